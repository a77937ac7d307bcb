"""The fuzz target for Parquet files, for a few of them; `make fuzz-parquet` runs thousands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fuzz_parquet
import parquet_mutations as mutations
from patience import PATIENCE_S

FUZZ = Path(fuzz_parquet.__file__)


def test_mutated_files_are_refused_or_sorted_as_pyarrow_reads_them():
    found = subprocess.run(
        [sys.executable, FUZZ, "--files", "60", "--seed", "6", "--processes", "1"],
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_S,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    tally = {
        what: int(count.replace(",", ""))
        for count, _, what in (
            line.strip().partition(" ") for line in found.stdout.splitlines()
        )
        if what in ("refused", "sorted")
    }
    # both ways have been gone
    assert tally["refused"] >= 10
    assert tally["sorted"] >= 5
    assert sum(tally.values()) == 60


def test_the_same_seed_and_number_make_the_same_file():
    assert mutations.mutated(3, 14) == mutations.mutated(3, 14)
    assert mutations.mutated(3, 14)[2] != mutations.mutated(3, 15)[2]


@pytest.mark.parametrize("base", mutations.bases(), ids=lambda base: base.name)
def test_a_footer_is_written_as_it_was_read(base):
    assert mutations.with_footer(base.data, lambda footer: None) == base.data
