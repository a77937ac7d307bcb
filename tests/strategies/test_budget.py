"""How a job's memory becomes sizes, and sizes a number of partitions."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dlsort
from dlsort.errors import BadOptionError
from dlsort.sizes import GIB, MIB, parse_bytes
from dlsort.strategies import sizes as job_sizes
from dlsort.strategies.budget import Budget, count_parts, plan_budget
from dlsort.tuning import TUNING
from dlsort_cluster.clusters import sizes
from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.machine import ClusterSize

processes = st.integers(1, 16)
threads = st.integers(1, 64)


def least(n_processes: int, n_threads: int) -> int:
    """Return the smallest memory that is not refused, by bisection."""
    low, high = 0, 2**50
    while high - low > 1:
        middle = (low + high) // 2
        try:
            plan_budget(middle, n_processes, n_threads, TUNING.budget)
        except BadOptionError:
            low = middle
        else:
            high = middle
    return high


@given(st.integers(GIB, 2**45), processes, threads, st.integers(0, 2 * GIB))
def test_the_shares_stay_within_the_memory(memory, n_processes, n_threads, group_bytes):
    assume(n_threads >= n_processes)
    try:
        budget = plan_budget(memory, n_processes, n_threads, TUNING.budget, group_bytes)
    except BadOptionError:
        return
    threads_each = -(-n_threads // n_processes)
    used = (
        TUNING.budget.base_bytes
        + budget.store_bytes
        + threads_each * TUNING.budget.working_copies * budget.part_bytes
    )
    assert used <= memory // n_processes
    assert 0 < budget.piece_bytes <= min(budget.part_bytes, TUNING.budget.input_bytes)
    assert budget.store_bytes > 0
    least = TUNING.budget.least_store_share * (memory // n_processes - TUNING.budget.base_bytes)
    reads = TUNING.budget.reading_copies * group_bytes
    assert budget.working_bytes >= reads or budget.store_bytes <= least


@given(st.integers(GIB, 2**45), st.integers(0, 2**40), processes, threads)
def test_more_memory_never_means_smaller_sizes(memory, more, n_processes, n_threads):
    try:
        before = plan_budget(memory, n_processes, n_threads, TUNING.budget)
    except BadOptionError:
        return
    after = plan_budget(memory + more, n_processes, n_threads, TUNING.budget)
    assert after.store_bytes >= before.store_bytes
    assert after.part_bytes >= before.part_bytes
    assert after.piece_bytes >= before.piece_bytes


@given(st.integers(4 * GIB, 2**45), threads)
def test_more_threads_never_mean_larger_partitions(memory, n_threads):
    try:
        after = plan_budget(memory, 1, n_threads + 1, TUNING.budget)
    except BadOptionError:
        return
    assert after.part_bytes <= plan_budget(memory, 1, n_threads, TUNING.budget).part_bytes


@pytest.mark.parametrize(("n_processes", "n_threads"), [(1, 1), (1, 8), (4, 4), (3, 8)])
def test_a_memory_that_is_too_small_is_refused_by_name(n_processes, n_threads):
    enough = least(n_processes, n_threads)
    assert enough > n_processes * TUNING.budget.base_bytes
    assert isinstance(plan_budget(enough, n_processes, n_threads, TUNING.budget), Budget)
    with pytest.raises(BadOptionError, match=r"memory is .* too small to work with") as caught:
        plan_budget(enough - 1, n_processes, n_threads, TUNING.budget)
    message = str(caught.value)
    assert f"{n_processes} process{'es' if n_processes > 1 else ''} and" in message
    assert f"{n_threads} thread{'s' if n_threads > 1 else ''} need at least" in message


@pytest.mark.parametrize(
    ("n_processes", "n_threads"),
    [
        (1, 1),
        (1, 8),
        (4, 4),
        (3, 8),
    ],
)
def test_the_memory_that_the_refusal_advises_is_enough(n_processes, n_threads):
    with pytest.raises(BadOptionError) as caught:
        plan_budget(1, n_processes, n_threads, TUNING.budget)
    advised = str(caught.value).removesuffix(".").split("need at least ")[1]
    plan_budget(parse_bytes(advised, "memory"), n_processes, n_threads, TUNING.budget)


def test_a_default_memory_that_is_too_small_is_told_as_such(tmp_path):
    pq.write_table(pa.table({"k": [2, 1]}), tmp_path / "in.parquet")
    with pytest.raises(BadOptionError) as told:
        dlsort.sort_dataset(tmp_path / "in.parquet", tmp_path / "out", by="k", threads=10**6)
    says = (
        r"the memory of a job, by default 70% of this machine's, is \d+\.\d [GT]iB, too small "
        r"to work with: 1 process and 1000000 threads need at least [\d.]+ [GT]iB\. Ask for "
        r"fewer workers \(--workers\), fewer threads \(--threads\), or more memory "
        r"\(--memory\)\."
    )
    assert re.fullmatch(says, str(told.value))


def test_a_default_share_of_workers_that_is_too_small_is_told_as_such():
    with pytest.raises(BadOptionError, match="70% of the workers', is") as told:
        plan_budget(GIB, 2, 100, TUNING.budget, 0, "workers")
    assert str(told.value).endswith(" Give the workers fewer threads, or more memory.")
    assert "--threads" not in str(told.value)


@pytest.mark.parametrize("n_threads", [1, 7, 33, 100, 1000, 12345])
def test_the_least_memory_is_told_in_the_unit_of_the_memory(n_threads):
    with pytest.raises(BadOptionError) as told:
        plan_budget(GIB, 1, n_threads, TUNING.budget) if n_threads > 7 else plan_budget(
            MIB, 1, n_threads, TUNING.budget
        )
    advised = str(told.value).removesuffix(".").split("need at least ")[1]
    assert advised.endswith(" GiB" if n_threads > 7 else " MiB")
    plan_budget(parse_bytes(advised, "memory"), 1, n_threads, TUNING.budget)


@pytest.mark.parametrize("memory", [1, 1000, MIB])
def test_a_memory_of_next_to_nothing_is_refused_too(memory):
    with pytest.raises(BadOptionError, match="too small to work with"):
        plan_budget(memory, 2, 4, TUNING.budget)


def source(n_rows: int, arrow_bytes: int) -> SimpleNamespace:
    return SimpleNamespace(n_rows=n_rows, kept_bytes=arrow_bytes)


@given(st.integers(10**6, 10**12), st.integers(0, 2**36), st.integers(MIB, GIB), threads)
def test_parts_are_a_multiple_of_the_threads_and_small_enough(n_rows, size, part, n_threads):
    n_parts = count_parts(source(n_rows, size), part, n_threads, TUNING.budget)
    if n_parts == n_rows:  # no part without a row
        return
    assert n_parts == 1 or n_parts % n_threads == 0
    assert size <= n_parts * part or n_parts == n_rows
    # no more than needed
    assert n_parts <= n_threads or (n_parts - n_threads) * part < size


@given(st.integers(1, 2**35), st.integers(0, 2**35), st.integers(MIB, GIB), threads)
def test_more_bytes_never_mean_fewer_parts(size, more, part, n_threads):
    before = count_parts(source(10**9, size), part, n_threads, TUNING.budget)
    assert count_parts(source(10**9, size + more), part, n_threads, TUNING.budget) >= before


def test_few_rows_make_few_parts():
    assert count_parts(source(0, 0), MIB, 8, TUNING.budget) == 1
    assert count_parts(source(3, 100), MIB, 8, TUNING.budget) == 3
    assert (
        count_parts(source(3, GIB), MIB, 8, TUNING.budget) == 3
    )  # rows of hundreds of megabytes
    assert count_parts(source(10**6, 20 * MIB), 128 * MIB, 8, TUNING.budget) == 8


def test_a_partition_size_that_makes_millions_of_parts_is_refused():
    with pytest.raises(BadOptionError) as told:
        count_parts(source(300_000, 300_000), 1, 8, TUNING.budget)
    assert str(told.value) == (
        "a partition size of 1 B cuts the source, of 293.0 KiB in memory, into 300,000 "
        "partitions; ask for a larger one, that makes at most 100,000."
    )
    assert count_parts(source(300_000, 300_000), 3, 8, TUNING.budget) == 100_000


@pytest.mark.parametrize("limits", [(GIB, GIB), (GIB, 0), (0, 0)])
def test_more_memory_than_all_workers_have_is_refused(tmp_path, monkeypatch, limits):
    pq.write_table(pa.table({"k": [2, 1]}), tmp_path / "in.parquet")
    where = tmp_path / "in.parquet", tmp_path / "out"
    with connect(workers=2, threads=2) as owner:
        told = workers_of(owner)
        for worker, limit in zip(told.values(), limits, strict=True):
            worker["memory_limit"] = limit
        monkeypatch.setattr(sizes, "workers_of", lambda _: told)
        options = {"by": "k", "scheduler": owner}
        if all(limits):
            says = r"memory \(--memory\) is 3\.0 GiB, but the workers have only 2\.0 GiB in all"
            with pytest.raises(BadOptionError, match=says):
                dlsort.sort_dataset(*where, **options, memory="3GiB")
            assert not where[1].exists()
            dlsort.sort_dataset(*where, **options, memory="2GiB")
        else:  # one without a limit may have any amount
            dlsort.sort_dataset(*where, **options, memory="3GiB")


def test_a_job_leaves_a_cluster_s_workers_room(tmp_path, monkeypatch):
    planned = []
    monkeypatch.setattr(
        job_sizes, "plan_budget", lambda *args: planned.append(args[0]) or plan_budget(*args)
    )
    pq.write_table(pa.table({"k": [2, 1]}), tmp_path / "in.parquet")
    with connect(workers=2, threads=2, memory_bytes=4 * GIB) as owner:
        address = owner.scheduler.address
        dlsort.sort_dataset(
            tmp_path / "in.parquet", tmp_path / "out", by="k", scheduler=address
        )
    assert planned == [int(0.7 * 4 * GIB)]


def test_many_small_workers_are_told_what_they_need_and_no_negative_size():
    """128 workers of one job share what is too little for each of them."""
    asked = SimpleNamespace(scheduler="tcp://x:1", memory=None, memory_bytes=0, tuning=TUNING)
    source = SimpleNamespace(row_groups=[SimpleNamespace(arrow_bytes=MIB)])
    size = ClusterSize(128, 128, GIB, True)
    with pytest.raises(BadOptionError, match="128 processes") as caught:
        job_sizes.plan_sizes(source, asked, (), size)
    assert not re.search(r"-\d", str(caught.value))
