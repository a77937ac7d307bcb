from __future__ import annotations

import itertools
import threading

import pytest

from dlsort_kernels.threads import chunks, pool
from patience import PATIENCE_S


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_arguments(threads):
    with pool(threads) as workers:
        assert workers.threads == max(threads, 1)
        assert workers.run(lambda a, b: a - b, [5, 7, 9], [1, 2, 3]) == [4, 5, 6]
        assert workers.run(lambda a: a, []) == []


def test_one_thread_is_the_callers_own():
    with pool(1) as workers:
        assert workers.run(lambda _: threading.current_thread(), [0]) == [
            threading.current_thread()
        ]


def test_tasks_run_at_once():
    both = threading.Barrier(2, timeout=PATIENCE_S)
    with pool(2) as workers:
        assert sorted(workers.run(lambda _: both.wait(), [0, 1])) == [0, 1]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_end_with_the_block_though_a_task_fails(threads):
    def fail(number):
        if number == 1:
            msg = f"task {number}"
            raise ValueError(msg)

    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="task 1"), pool(threads) as workers:
        workers.run(fail, range(3))
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000, 2**33 + 1])
@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_chunks_are_even_and_cover_all_rows(n, count):
    bounds = chunks(n, count)
    assert 1 <= len(bounds) <= count
    assert [start for start, _ in bounds] == [0, *[stop for _, stop in bounds[:-1]]]
    assert bounds[-1][1] == n
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("n", [0, 1, 7, 64, 100, 1001])
def test_chunks_end_at_whole_steps(n):
    bounds = chunks(n, 3, step=8)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == n
    assert all(start % 8 == 0 for start, _ in bounds)
    for (_, stop), (start, _) in itertools.pairwise(bounds):
        assert stop == start
