"""Datasets by keys that are computed: sorted, checked, resumed, from Python and the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import dlsort
from commands import dlsort as command
from dlsort.errors import BadKeyError, BadOptionError
from dlsort.io.parts import MANIFEST

NAMES = [None, "file10", "File2", "file2", "FILE1", "Ärger", "ärger", "zoë", "file02"]


def made(n: int = 900) -> pa.Table:
    rng = np.random.default_rng(3)
    return pa.table(
        {
            "id": np.arange(n),
            "name": pa.array([NAMES[i] for i in rng.integers(0, len(NAMES), n)]),
            "x": pa.array(rng.choice([1.5, -2.0, np.nan, 7.0], n), from_pandas=False),
            "n": pa.array(rng.integers(-50, 50, n), mask=rng.random(n) < 0.1),
            "ts": pa.array(rng.integers(0, 10**9, n), pa.timestamp("ms")),
        }
    )


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = made()
    for i in range(3):
        pq.write_table(rows.slice(i * 300, 300), folder / f"{i}.parquet", row_group_size=100)
    return folder


KEYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lower": ("lower(name),id:desc", {}),
    "flags": ("name:desc,n", {"ignore_case": True, "natural": True}),
    "numbers": ("abs(n):desc:nulls_first,n", {}),
    "dates": ("date_trunc('month', ts):desc,coalesce(name, '')", {}),
    "nan": ("x,lower(name)", {"nan_first": True}),
    "reverse": ("x:nan_first,natural_key(name)", {"reverse": True}),
    "pyarrow": ([(pc.field("n") * -1, "nulls_first"), "name"], {}),
    "plain": ("n,name", {"reverse": True}),
}


@pytest.mark.parametrize("strategy", ["exchange", "auto"])
@pytest.mark.parametrize("name", KEYS)
def test_a_dataset_is_sorted_as_a_table_is(source, tmp_path, name, strategy):
    by, flags = KEYS[name]
    report = dlsort.sort_dataset(
        source, tmp_path / "out", by=by, **flags, partitions=3, threads=2, strategy=strategy
    )
    assert report.proved
    want = dlsort.sort_table(made(), by, **flags)
    found = pq.read_table(tmp_path / "out")
    assert found.schema.names == want.schema.names
    assert found["id"].to_pylist() == want["id"].to_pylist()
    # With the key of the caller, and with the one that the footers tell.
    for how in ({"by": by, **flags}, {"by": report.by}, {}):
        checked = dlsort.check_dataset(tmp_path / "out", against=source, **how)
        assert (checked.ok, checked.by) == (True, report.by), how
        assert checked.checksum
    wrong = dlsort.check_dataset(source, by=by, **flags)
    assert wrong.disorder is not None
    assert "\0" not in wrong.to_text()


def test_processes_compute_it_too(source, tmp_path):
    by = "natural_key(casefold(name)),abs(n)"
    dlsort.sort_dataset(source, tmp_path / "out", by=by, workers=2, partitions=2)
    want = dlsort.sort_table(made(), by)
    assert pq.read_table(tmp_path / "out")["id"].to_pylist() == want["id"].to_pylist()


def test_pandas_agrees(source, tmp_path):
    dlsort.sort_dataset(source, tmp_path / "out", by="n", reverse=True, threads=1)
    rows = made().to_pandas()
    want = rows.sort_values("n", ascending=False, na_position="first", kind="stable")
    found = pq.read_table(tmp_path / "out").to_pandas()
    pd.testing.assert_frame_equal(found, want.reset_index(drop=True))


def test_a_part_tells_its_whole_key_and_claims_what_parquet_can(source, tmp_path):
    dlsort.sort_dataset(
        source, tmp_path / "out", by="n,lower(name),id", threads=1, partitions=2
    )
    for part in (tmp_path / "out").glob("*.parquet"):
        footer = pq.read_metadata(part)
        (claim,) = footer.row_group(0).sorting_columns
        assert claim.column_index == 3
        assert [c for c in footer.schema.names if "dlsort" in c] == []
        told = json.loads(footer.metadata[MANIFEST])
        assert [key[0] for key in told["keys"]][1] == "\0dlsort:lower(name)"
    assert dlsort.check_dataset(tmp_path / "out").by == "n,lower(name),id"


def test_a_flag_without_a_key_is_refused(source, tmp_path):
    dlsort.sort_dataset(source, tmp_path / "out", by="name", natural=True, threads=1)
    with pytest.raises(BadOptionError, match=r"natural is about the key.*give by"):
        dlsort.check_dataset(tmp_path / "out", natural=True)


@pytest.mark.parametrize(
    ("by", "flags"),
    [
        ("lowr(name)", []),
        ("lower(nme)", []),
        ("n", ["--natural"]),
        ("n", ["--nan-last"]),
        ("name", ["--numeric", "--ignore-case"]),
        ("name", ["--collate", "xx_YY"]),
    ],
)
def test_what_is_refused_leaves_the_destination_untouched(source, tmp_path, by, flags):
    result = command("sort", str(source), str(tmp_path / "out"), "--by", by, *flags)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_has_it_all(source, tmp_path):
    pytest.importorskip("icu")
    args = ["--by", "x", "--by", "name", "--natural", "--collate", "de_DE", "--nan-first"]
    done = command(
        "sort", str(source), str(tmp_path / "out"), *args, "--reverse", "--threads=1"
    )
    assert done.exit_code == 0, done.stderr
    how = {"natural": True, "collate": "de_DE", "nan_first": True, "reverse": True}
    want = dlsort.sort_table(made(), "x,name", **how)
    assert pq.read_table(tmp_path / "out")["id"].to_pylist() == want["id"].to_pylist()
    for more in ([], [*args, "--reverse"]):
        assert command("check", str(tmp_path / "out"), *more).exit_code == 0
    assert command("check", str(tmp_path / "out"), *args).exit_code == 1


def test_explain_plans_it(source):
    found = dlsort.explain(source, "lower(name)")
    assert "lower(name)" in str(found)
    assert "\0" not in str(found)


def test_doors_without_it_say_so(source, tmp_path):
    dlsort.sort_dataset(source, tmp_path / "out", by="lower(name)", threads=1)
    for by in (None, "lower(name)"):
        with pytest.raises(BadKeyError, match=r"the key 'lower\(name\)' is computed"):
            dlsort.distribution(tmp_path / "out", by=by)


def test_what_another_key_has_begun_is_not_resumed(source, tmp_path, monkeypatch):
    from dlsort import dataset
    from dlsort.errors import ResumeError

    def stop(*_: Any, **__: Any) -> None:
        msg = "stopped"
        raise RuntimeError(msg)

    how = {"partitions": 2, "threads": 1, "resume": True}
    with monkeypatch.context() as patched:
        patched.setattr(dataset, "check_visible", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            dlsort.sort_dataset(source, tmp_path / "out", by="name", natural=True, **how)
    with pytest.raises(ResumeError, match=r"by \(--by\) is 'casefold\(name\)'"):
        dlsort.sort_dataset(source, tmp_path / "out", by="name", ignore_case=True, **how)
    dlsort.sort_dataset(source, tmp_path / "out", by="name", natural=True, **how)
    assert dlsort.check_dataset(tmp_path / "out", against=source).by == "natural_key(name)"


def test_it_goes_with_a_choice_of_rows_and_columns(source, tmp_path):
    how = {"by": "lower(name),n:desc,id", "where": "x > 0", "threads": 1, "partitions": 2}
    rows = made().filter(pc.field("x") > 0)
    want = dlsort.sort_table(rows, how["by"])["id"].to_pylist()
    for number, choice in enumerate([{}, {"columns": "id,n"}, {"rename": "name=who"}]):
        out = tmp_path / f"out-{number}"
        dlsort.sort_dataset(source, out, **choice, **how)
        assert pq.read_table(out)["id"].to_pylist() == want
        if not choice:
            assert dlsort.check_dataset(out).by == how["by"]
        else:  # what the key is computed of is not there, or has another name
            with pytest.raises(BadKeyError):
                dlsort.check_dataset(out)
