"""Which sizes are compared, and what the history keeps of it."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

import dlsort
from dlsort.errors import BadOptionError
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.source import Range
from dlsort.keys import parse_by
from dlsort.options.doors import DOORS
from dlsort.planner.history import History
from dlsort.sizes import GIB
from dlsort.strategies import sizes
from dlsort.strategies.asked import Asked, read_arguments
from dlsort.tuning import TUNING, Tuning
from dlsort_cluster.machine import ClusterSize
from ordered_sources import write

BUILT_IN = replace(TUNING, planner=replace(TUNING.planner, learns=False))
LEARNS = replace(TUNING, planner=replace(TUNING.planner, least_learned_s=0.0))


def asked(tuning: Tuning = TUNING, **given) -> Asked:
    defaults = {option.name: option.default for option in DOORS["sort_dataset"]}
    places = {"src": "in", "dst": "out", "by": "k"}
    return read_arguments({**defaults, **places, "scheduler": "embedded", **given}, tuning)


@pytest.fixture
def source(tmp_path) -> ParquetSource:
    table = pa.table({"k": np.arange(10_000) % 77, "v": range(10_000)})
    return open_source(write(tmp_path / "in", [table], row_group_size=10), TUNING.io)


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(sizes, "machine_cores", lambda: 64)


def processes(found: sizes.Sizes) -> set[int]:
    return {plan.shape.n_processes for plan in found.decision.alternatives}


def test_finer_parts_than_are_allowed_are_not_thought_of(source):
    size = source.arrow_bytes // 6 + 1
    budget = replace(TUNING.budget, partition_bytes=size, usual_most_parts=6)
    found = sizes.plan_sizes(source, asked(replace(TUNING, budget=budget)), parse_by("k"))
    assert {plan.shape.n_parts for plan in found.decision.alternatives} == {6}


@pytest.mark.parametrize("most", [7, 50, 200])
def test_partitions_and_inputs_grow_so_that_tasks_stay_few(source, most):
    budget = replace(TUNING.budget, partition_bytes=16, input_bytes=16, usual_most_parts=most)
    found = sizes.plan_sizes(source, asked(replace(TUNING, budget=budget)), parse_by("k"))
    for plan in found.decision.alternatives:
        assert plan.shape.n_parts <= most + 2  # rounded to the threads'
        assert plan.shape.n_pieces <= 1.2 * most
    whole = {plan.shape.n_parts for plan in found.decision.alternatives}
    assert max(whole) > most // 2
    narrow = replace(TUNING, budget=replace(budget, most_parts=most))
    given = asked(narrow, partition_size=16)
    with pytest.raises(BadOptionError, match="ask for a larger one"):
        sizes.plan_sizes(source, given, parse_by("k"))


def test_row_groups_are_not_cut_for_every_plan(source, many_cores, monkeypatch):
    cut = []
    monkeypatch.setattr(sizes, "MOST_CUT", 100)
    real = sizes.cut_groups
    monkeypatch.setattr(sizes, "cut_groups", lambda *how: cut.append(how) or real(*how))
    found = sizes.plan_sizes(source, asked(memory="20GiB"), parse_by("k"))
    assert len(found.decision.alternatives) > 10
    assert len(cut) == 1


def test_processes_are_thought_of_where_they_do_the_same(source, many_cores, monkeypatch):
    keys = parse_by("k")
    assert processes(sizes.plan_sizes(source, asked(), keys)) == {0, 2, 4, 8, 16, 32}
    for given in ({"dst": "s3://bucket/out"}, {"decryption": "json:loads"}, {"threads": 64}):
        assert processes(sizes.plan_sizes(source, asked(**given), keys)) == {0}
    stored = replace(source, files=("memory://in/0.parquet",))
    assert processes(sizes.plan_sizes(stored, asked(), keys)) == {0}
    monkeypatch.setattr(sizes, "current_process", lambda: SimpleNamespace(daemon=True))
    assert processes(sizes.plan_sizes(source, asked(), keys)) == {0}
    assert not multiprocessing.current_process().daemon


def test_a_cluster_that_runs_takes_no_time_to_start(source):
    here = asked(BUILT_IN)
    size = ClusterSize(10, 40, 100 * GIB, is_limited=True)
    for given, start_s in ((replace(here, scheduler="tcp://h:1"), 0.0), (here, 0.8)):
        predicted = sizes.plan_sizes(source, given, parse_by("k"), size).decision.to_dict()
        assert predicted["phases"]["start_s"] == pytest.approx(start_s, abs=0.01)


def test_with_too_little_memory_for_many_threads_there_are_fewer(source, many_cores):
    found = sizes.plan_sizes(source, asked(memory="500MiB"), parse_by("k"))
    threads = {plan.shape.n_threads for plan in found.decision.alternatives}
    assert 1 in threads
    assert max(threads) < 64


def test_a_job_whose_footers_lied_teaches_nothing(tmp_path, monkeypatch):
    days = [pa.table({"k": 100 * day + np.arange(50)}) for day in (1, 0)]
    source = write(tmp_path / "in", days)
    monkeypatch.setenv("DLSORT_HISTORY", str(tmp_path / "history.sqlite"))

    def sort() -> dlsort.SortReport:
        return dlsort.sort_dataset(
            source,
            tmp_path / "out",
            by="k",
            partitions=2,
            threads=1,
            strategy="move",
            overwrite=True,
            _tuning=LEARNS,
        )

    assert sort().moved
    (path,) = History.open().files()
    kept = path.read_bytes()
    lies = {0: Range(0, 10, 0), 1: Range(11, 300, 0)}
    monkeypatch.setattr(ParquetSource, "exact_ranges", lambda *_: lies)
    assert not sort().moved
    assert path.read_bytes() == kept
