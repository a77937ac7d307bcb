"""`argsort` keeps to the memory it promises: 3 times the keys, beside keys and result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import memory_probe
from memory_probe import CASES

PROBE = Path(memory_probe.__file__)
# What does not grow with the rows, and pages of 2 MiB of which a part is used.
SLACK_BYTES = 2 << 20

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux to forget a peak"
)


@pytest.fixture(scope="module")
def measured() -> dict[str, tuple[int, int]]:
    """Return (bytes beside keys and result, bytes of the keys) of each case."""
    # Memory that is freed goes back to the system at once, so the peak is what was in use.
    at_once = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    env = {**os.environ, **at_once, "ARROW_DEFAULT_MEMORY_POOL": "system"}
    run = subprocess.run(
        [sys.executable, PROBE], env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", CASES)
def test_no_more_than_3_times_the_keys(name, measured):
    beside, keys = measured[name]
    found = f"{beside / 2**20:.1f} MiB beside {keys / 2**20:.1f} MiB of keys"
    assert beside <= 3 * keys + SLACK_BYTES, found
