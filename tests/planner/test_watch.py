"""How wrong a plan is, as it shows while it is executed."""

from __future__ import annotations

import pytest

from dlsort.planner.cost import Resources
from dlsort.planner.decide import decide
from dlsort.planner.known import Known
from dlsort.planner.speeds import BUILT_IN
from dlsort.planner.watch import FirstInputs, Pace
from dlsort.planner.work import Facts, Shape
from dlsort.sizes import GIB, MIB
from dlsort.tuning import TUNING


def test_the_first_inputs_by_number_decide():
    first = FirstInputs(100, lambda _: 10.0, TUNING.planner)
    assert first.note(50, 10, 10**9) is None  # it has ended before its turn
    assert first.note(1, 10, 300) is None
    assert first.note(0, 10, 100) == 2.0
    assert first.note(0, 10, 100) is None
    assert FirstInputs(0, lambda _: 1.0, TUNING.planner).note(0, 1, 1) is None


def test_a_pace_tells_how_wrong_a_prediction_is():
    facts = Facts(10**6, 4, 2, 8, 16 * 10**6, 0, 0, 10**7, 16 * 10**6, 1, 0, 1.0)
    shapes = [Shape("exchange", 4, 8, 0, n) for n in (1, 2)]
    place = Resources(2, 320 * MIB, GIB, 8, 4)
    wrong = {step: {u: s / 50 for u, s in of.items()} for step, of in BUILT_IN.items()}
    wrong["start"] = {"jobs": 0.0, "threads": 100.0}
    decision = decide(facts, shapes, lambda _: place, Known(prior=wrong, speeds=wrong))
    steps = decision.chosen.predicted.steps
    assert decision.chosen.shape.n_threads == 1
    pace = Pace(decision, 10**6)
    assert not pace.is_due(0.02)
    pace.note({"read": steps["read"] * 10}, n_read=100_000)
    predicted, measured = pace.seconds()
    assert measured == pytest.approx(100 * predicted)
    assert pace.is_due(0.02)
    assert not pace.is_due(0.02)  # no more is done than before
    one, two = pace.again(shapes)
    assert one.steps["read"] == pytest.approx(100 * steps["read"])
    assert one.steps["sort"] == pytest.approx(100 * steps["sort"])  # as that of which some is
    assert two.seconds < one.seconds  # nor is it believed what threads take to start
