"""Jobs that learn from one another: what is kept, what is predicted, and what goes wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.planner.history import History
from dlsort.planner.profile import machine_key
from dlsort.tuning import TUNING, PlannerTuning

ALWAYS = replace(TUNING, planner=PlannerTuning(least_learned_s=0.0))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give a home folder of its own, without a profile of this machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)


@pytest.fixture
def history(tmp_path, monkeypatch):
    path = tmp_path / "history.sqlite"
    monkeypatch.setenv("DLSORT_HISTORY", str(path))
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "day-1"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for day in range(3):
        table = pa.table(
            {"secret_name": rng.integers(0, 10**9, 20_000), "v": rng.random(20_000)}
        )
        pq.write_table(table, folder / f"2026-11-{day + 10}.parquet")
    return folder


def sort(source, tmp_path, **options):
    options = {"_tuning": ALWAYS} | options
    return dlsort.sort_dataset(
        source, tmp_path / "out", by="secret_name", overwrite=True, **options
    )


def test_each_job_is_remembered_and_known_again(history, source, tmp_path):
    told = [sort(source, tmp_path).predicted["told_by"] for _ in range(3)]
    assert told[0] == "built-in figures"
    assert told[2].endswith("fitted to 2 runs, 2 of this job")
    runs = History.open().recent(machine_key())
    assert len(runs) == 3
    assert len({run.job for run in runs}) == 1
    assert {"read", "sort", "write", "wall"} <= set(runs[0].measured)
    assert b"secret" not in history.read_bytes()
    assert str(source).encode() not in history.read_bytes()


def test_a_dataset_of_another_day_is_the_same_job(history, source, tmp_path):
    sort(source, tmp_path)
    sort(source.rename(tmp_path / "day-2"), tmp_path)
    assert len({run.job for run in History.open().recent(machine_key())}) == 1


def test_jobs_that_drop_rows_are_remembered_apart(history, source, tmp_path):
    kinds = [
        {"unique": "first", "by": "v"},
        {"where": "v < 0.25"},
        {"limit": 100},
        {"limit": 50_000},
        {},
    ]
    for path in source.iterdir():
        table = pq.read_table(path)
        pq.write_table(table.set_column(1, "v", pc.round(table["v"], 2)), path)
    for options in kinds:
        by = options.pop("by", "secret_name")
        options |= {"overwrite": True, "_tuning": ALWAYS, "threads": 1, "partitions": 2}
        first, second = (
            dlsort.sort_dataset(source, tmp_path / "out", by=by, **options) for _ in range(2)
        )
        rows = second.predicted["rows"]
        assert abs(rows["written"] - second.kept_rows) <= 0.05 * second.kept_rows
        assert abs(rows["sent"] - second.sent_rows) <= 0.05 * second.sent_rows
        assert "1 of this job" in second.predicted["told_by"]
        assert first.kept_rows == second.kept_rows
    runs = History.open().recent(machine_key())
    assert len({run.job for run in runs}) == len(kinds)
    # What was done counts, not what was predicted: of some hundred keys few rows are written.
    assert 10 * runs[0].work["write"]["bytes"] < runs[-1].work["write"]["bytes"]
    assert runs[4].measured["find"] > 0


def test_a_model_that_is_known_is_planned_with(source, tmp_path):
    options = {"strategy": "exchange", "partitions": 3, "threads": 1}
    first = sort(source, tmp_path, **options)
    second = sort(source, tmp_path, **options)
    assert [first.model, second.model] == ["learned", "reused"]
    assert [each.predicted["is_known"] for each in (first, second)] == [False, True]
    assert second.predicted["work"]["sample"] < first.predicted["work"]["sample"]


def test_small_jobs_leave_no_trace(history, source, tmp_path):
    sort(source, tmp_path, _tuning=TUNING)
    assert not history.exists()


def test_it_can_be_off(source, tmp_path, monkeypatch):
    monkeypatch.setenv("DLSORT_HISTORY", "off")
    assert sort(source, tmp_path).predicted["told_by"] == "built-in figures"


@pytest.mark.parametrize("damage", ["text", "folder", "cut"])
def test_a_history_that_is_damaged_fails_no_job(history, source, tmp_path, damage, recwarn):
    sort(source, tmp_path)
    if damage == "folder":
        history.unlink()
        history.mkdir()
    else:
        whole = history.read_bytes()
        history.write_bytes(
            b"not a database" * 99 if damage == "text" else whole[: len(whole) // 2]
        )
    report = sort(source, tmp_path)
    assert report.proved
    assert sort(source, tmp_path).proved


def test_what_is_predicted_is_in_the_report(history, source, tmp_path):
    report = sort(source, tmp_path, threads=2, partitions=4)
    told = json.loads(report.to_json())["predicted"]
    assert told["seconds"] > 0
    assert set(told["phases"]) == {
        "start_s", "sample_s", "partition_s", "sort_s", "publish_s"
    }  # fmt: skip
    assert set(report.phases.work) <= set(told["work"])
    assert abs(told["balance"] - report.balance) < 0.05


def test_a_strategy_that_is_asked_for_is_taken(source, tmp_path):
    for strategy in ("range", "exchange"):
        report = sort(source, tmp_path, strategy=strategy, partitions=3)
        assert report.predicted["strategy"] == strategy
        assert report.moved == (strategy != "exchange")
    report = sort(source, tmp_path, strategy="move", partitions=3)  # it is in no order
    assert report.predicted["strategy"] == "exchange"


def test_inputs_have_the_size_that_is_asked_for(source, tmp_path):
    whole = sort(source, tmp_path, partitions=2, strategy="exchange")
    small = sort(source, tmp_path, partitions=2, strategy="exchange", input_size="100KiB")
    assert small.input_parts >= whole.input_parts
    with pytest.raises(dlsort.errors.BadOptionError, match="strategy is 'best'"):
        sort(source, tmp_path, strategy="best")


def test_a_resumed_job_has_the_encodings_that_it_began_with(source, tmp_path, monkeypatch):
    """Whatever was measured between the attempts."""
    from dlsort.strategies import exchange

    slow = replace(TUNING.io.costs, dictionary_ns=1.0, packing_byte_ns=(9.0, 9.0))
    begun = replace(ALWAYS, io=replace(TUNING.io, costs=slow))
    options = {"partitions": 3, "threads": 1, "strategy": "exchange", "resume": True}
    write, costs = exchange.write_partition, []

    def stopped(writer, shards, slot, **how):
        costs.append(writer.tuning.io.costs)
        if len(costs) == 2:
            raise KeyboardInterrupt
        return write(writer, shards, slot, **how)

    monkeypatch.setattr(exchange, "write_partition", stopped)
    with pytest.raises(KeyboardInterrupt):
        sort(source, tmp_path, _tuning=begun, **options)
    report = sort(source, tmp_path, **options)
    assert report.resumed_parts == 1
    assert set(costs) == {slow}
