"""Plans that prove wrong in mid-run are changed, and what is sorted is right all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.planner.history import History
from dlsort.planner.profile import Profile, machine_key, save
from dlsort.planner.speeds import BUILT_IN
from dlsort.sizes import MIB
from dlsort.tuning import TUNING
from ordered_sources import rows_of, write

SMALL_PARTS = replace(TUNING, budget=replace(TUNING.budget, partition_bytes=MIB // 8))
EAGER = replace(TUNING, planner=replace(TUNING.planner, least_again_s=0.0, least_learned_s=0.0))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give a home folder of its own, without a profile of this machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


@pytest.fixture
def wide(tmp_path):
    """Give texts that are stored once and repeated, so that footers tell a tenth of them."""
    rng = np.random.default_rng(0)
    texts = pa.array([rng.bytes(150).hex() for _ in range(100)])
    files = [
        pa.table(
            {
                "k": rng.integers(0, 1000, 2_000),
                "t": texts.take(pa.array(rng.integers(0, 100, 2_000))),
            }
        )
        for _ in range(8)
    ]
    return write(tmp_path / "in", files, row_group_size=2_000)


def sort(source, out, **options) -> dlsort.SortReport:
    report = dlsort.sort_dataset(source, out, by="k", overwrite=True, **options)
    want = rows_of(source).to_pandas().sort_values("k", kind="stable", ignore_index=True)
    assert rows_of(out).to_pandas().equals(want)
    return report


def test_rows_that_are_larger_than_footers_say_get_more_parts(wide, tmp_path):
    options = {"threads": 1, "input_size": "100KiB", "_tuning": SMALL_PARTS}
    planned = dlsort.explain(wide, "k", **options).plan["parts"]
    report = sort(wide, tmp_path / "out", **options)
    assert report.output_parts >= 4 * planned
    assert report.arrow_factor > 4
    (change,) = report.replanned
    assert change["change"] == f"{report.output_parts} parts instead of {planned}"
    assert change["measured"] > 4 * change["predicted"]
    assert "replanned  " in report.to_text()
    assert max(report.part_rows) * 312 < 1.3 * MIB // 8


def test_the_same_source_is_planned_again_alike(wide, tmp_path):
    options = {"input_size": "100KiB", "_tuning": SMALL_PARTS}
    reports = [sort(wide, tmp_path / str(n), threads=n, **options) for n in (2, 2, 1)]
    assert all(report.replanned for report in reports)
    assert reports[0].part_rows == reports[1].part_rows
    pinned = options | {"partitions": reports[2].output_parts}
    (first, *_), (second, *_) = (
        (sort(wide, tmp_path / "p", threads=n, **pinned).part_rows,) for n in (1, 2)
    )
    assert first == second


def test_what_is_asked_for_stays(wide, tmp_path):
    report = sort(wide, tmp_path / "out", threads=1, partitions=2, _tuning=SMALL_PARTS)
    assert report.output_parts == 2
    assert not report.replanned


def test_processes_get_other_parts_too(wide, tmp_path):
    report = sort(wide, tmp_path / "out", workers=2, threads=2, _tuning=SMALL_PARTS)
    assert report.workers == 2
    assert report.replanned
    assert max(report.part_rows) * 312 < 1.3 * MIB // 8


def test_the_next_run_knows_and_a_history_that_is_wrong_is_found_out(
    wide, tmp_path, monkeypatch
):
    monkeypatch.setenv("DLSORT_HISTORY", str(tmp_path / "history.sqlite"))
    planner = replace(TUNING.planner, least_learned_s=0.0)
    options = {"threads": 1, "input_size": "100KiB"}
    options["_tuning"] = replace(SMALL_PARTS, planner=planner)
    first = sort(wide, tmp_path / "out", **options)
    second = sort(wide, tmp_path / "out", **options)
    assert first.replanned
    assert not second.replanned
    assert second.output_parts == first.output_parts
    (note,) = dlsort.explain(wide, "k", **options).notes
    assert "as the last run of this job found" in note
    (*_, run) = History.open().recent(machine_key())
    wrong = run.figures | {"arrow_factor": 100 * run.figures["arrow_factor"]}
    for _ in range(3):
        History.open().append(replace(run, figures=wrong))
    third = sort(wide, tmp_path / "out", **options)
    assert third.replanned
    assert third.output_parts == first.output_parts
    assert not sort(wide, tmp_path / "out", **options).replanned


def test_reads_that_are_dearer_than_a_profile_says_end_in_an_exchange(tmp_path):
    n = 50_000  # in one row group, which each of the parts reads
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.random(n) for i in range(6)}
    table = pa.table({"k": np.arange(n), **columns})
    claim = [pq.SortingColumn(0)]
    source = write(tmp_path / "in", [table], row_group_size=n, sorting_columns=claim)
    told = {step: dict(of_units) for step, of_units in BUILT_IN.items()}
    for step in ("classify", "split", "sample"):
        told[step] = {unit: s * 100 for unit, s in told[step].items()}
    for step in ("read", "prove"):
        told[step] = dict.fromkeys(BUILT_IN[step], 1e-15)
    save(Profile(machine_key(), told))
    options = {"partitions": 40, "threads": 1, "_tuning": EAGER}
    found = dlsort.explain(source, "k", **options)
    assert found.plan["strategy"] == "move"
    assert found.plan["rereads"] == 40
    report = sort(source, tmp_path / "out", **options)
    assert report.predicted["strategy"] == "exchange"
    assert not report.moved
    assert [each["change"] for each in report.replanned] == ["exchange instead of move"]
    assert not sort(source, tmp_path / "pin", strategy="move", **options).replanned


def test_threads_join_in_where_there_is_more_work_than_predicted(tmp_path, monkeypatch):
    monkeypatch.setattr("dlsort.dataset.machine_cores", lambda: 4)
    rng = np.random.default_rng(0)
    files = [pa.table({"k": rng.integers(0, 10**6, 20_000)}) for _ in range(12)]
    source = write(tmp_path / "in", files, row_group_size=20_000)
    told = {step: {u: s / 1000 for u, s in of.items()} for step, of in BUILT_IN.items()}
    told["start"] = {"jobs": 1e-3, "threads": 0.1, "processes": 10.0}
    save(Profile(machine_key(), told))
    monkeypatch.setattr("dlsort.strategies.sizes.machine_cores", lambda: 4)
    options = {"partitions": 8, "strategy": "exchange", "input_size": "100KiB"}
    assert dlsort.explain(source, "k", _tuning=EAGER, **options).plan["threads"] == 1
    report = sort(source, tmp_path / "out", _tuning=EAGER, **options)
    (change, *_) = report.replanned
    assert "threads instead of 1" in change["change"]
    pinned = sort(source, tmp_path / "pin", _tuning=EAGER, threads=1, **options)
    assert not pinned.replanned
    assert pinned.part_rows == report.part_rows
