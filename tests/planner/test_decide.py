"""Which plan is taken: by cost, and however wrong what was learned is."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.planner.cost import Resources, predict, speed_up
from dlsort.planner.decide import decide
from dlsort.planner.known import Known
from dlsort.planner.speeds import BUILT_IN, Speeds
from dlsort.planner.work import Facts, Shape
from dlsort.planner.write_costs import BOUND, costs_of, measure_costs
from dlsort.sizes import GIB, MIB
from dlsort.tuning import TUNING, WriteCosts

RESOURCES = Resources(4, 320 * MIB, 2 * GIB, 8, 4)


def facts(n_rows: int, *, overlap: float = 1.0) -> Facts:
    """Return those of a table of four numbers, in files of a million rows."""
    n_bytes, groups = 32 * n_rows, max(1, n_rows // 10**6)
    return Facts(
        n_rows, groups, 4, 4 * groups, n_bytes, 0, 0, n_bytes // 2, n_bytes, 1, 0, overlap
    )


def shapes(n_rows: int) -> list[Shape]:
    """Return exchanges of one, two and four threads, and a move that reads twice."""
    groups = max(1, n_rows // 10**6)
    found = [
        Shape("exchange", parts, groups, 0, threads)
        for threads in (1, 2, 4)
        for parts in (1, 4, 16)
    ]
    return [*found, Shape("move", 4, groups, 0, 4, rereads=2.0)]


@pytest.mark.parametrize("n_rows", [100, 10**7])
def test_threads_are_used_where_they_pay(n_rows):
    chosen = decide(facts(n_rows), shapes(n_rows)[:-1], lambda _: RESOURCES, Known()).chosen
    assert (chosen.shape.n_threads > 1) == (n_rows > 100)
    assert not chosen.why_not


def test_rows_are_read_again_as_long_as_that_is_cheaper_than_an_exchange():
    n_rows = 10**7
    exchange = Shape("exchange", 4, 10, 0, 4)

    def chosen(rereads: float) -> str:
        move = Shape("move", 4, 10, 0, 4, rereads=rereads)
        plans = [move, exchange]
        return decide(facts(n_rows), plans, lambda _: RESOURCES, Known()).chosen.shape.strategy

    assert chosen(1.0) == "move"
    assert chosen(20.0) == "exchange"


wrong = st.sampled_from([0.01, 0.1, 1.0, 10.0, 100.0])


@given(st.data())
def test_a_history_that_is_wrong_costs_a_bounded_share(data):
    """Whatever speeds and factors it tells, the plan is near the best of the profile's."""
    n_rows = data.draw(st.sampled_from([10**3, 10**5, 10**7, 10**9]))
    speeds: Speeds = {
        step: {unit: speed * data.draw(wrong) for unit, speed in units.items()}
        for step, units in BUILT_IN.items()
    }
    factors = {step: data.draw(wrong) for step in BUILT_IN}
    known = Known(speeds=speeds, factors=factors, n_runs=5)
    there, plans = facts(n_rows), shapes(n_rows)
    decision = decide(there, plans, lambda _: RESOURCES, known)

    def cost(shape: Shape) -> float:
        told = predict(there, shape, RESOURCES, BUILT_IN)
        return told.seconds + TUNING.planner.processor_weight * told.processor_s / 4

    assert cost(decision.chosen.shape) <= 1.2 * min(map(cost, plans)) * (1 + 1e-9)


def test_a_gain_that_is_small_changes_nothing():
    there, plans = facts(10**7), shapes(10**7)
    usual = decide(there, plans, lambda _: RESOURCES, Known()).index
    speeds = {
        step: {unit: speed * 1.02 for unit, speed in units.items()}
        for step, units in BUILT_IN.items()
    }
    assert decide(there, plans, lambda _: RESOURCES, Known(speeds=speeds)).index == usual


def test_more_work_never_costs_less():
    little, much = (
        predict(facts(n), Shape("exchange", 4, 8, 0, 4), RESOURCES, BUILT_IN)
        for n in (10**6, 10**8)
    )
    assert little.seconds < much.seconds
    assert little.memory_bytes < much.memory_bytes
    assert little.spilled_bytes == 0
    assert much.spilled_bytes > 0  # what the store does not hold


def test_threads_wait_for_the_lock():
    assert speed_up(1, 0.2) == 1.0
    assert speed_up(8, 0.0) == pytest.approx(8)
    ups = [speed_up(n, 0.1) for n in range(1, 65)]
    assert all(a <= b + 1e-9 for a, b in pairwise(ups))
    assert ups[7] < 7.5
    assert ups[-1] <= 10 + 1e-9


def test_costs_of_writing_stay_near_the_built_in_ones():
    usual = WriteCosts()
    measured = costs_of(measure_costs(1 << 10), usual)
    for name in ("dictionary_ns", "delta_byte_ns", "split_ns"):
        value = getattr(usual, name)
        assert value / BOUND <= getattr(measured, name) <= value * BOUND
    assert costs_of({}, usual) == usual
    assert measured.byte_ns == usual.byte_ns
    assert len(measured.packing_byte_ns) == 2
