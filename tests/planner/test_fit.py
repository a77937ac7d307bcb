"""Speeds fitted from runs: right after a few, and never far wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.planner.fit import BOUND, at_level, fit, job_factor
from dlsort.planner.history import Run

PRIOR = {
    "sort": {"bytes": 1e-9, "text": 3e-9, "rows": 4e-8},
    "read": {"stored": 2e-9, "chunks": 2e-5},
    "publish": {"tasks": 1e-3},
}
UNITS = [(step, unit) for step, speeds in PRIOR.items() for unit in speeds]


def seconds(speeds, work, step):
    return sum(speeds[step][unit] * work[step][unit] for unit in work[step])


def run_of(work, truth=PRIOR, factor=1.0):
    return Run(
        0.0, "mine", "job", work, {}, {s: factor * seconds(truth, work, s) for s in work}, {}
    )


def runs_of(truth, n, *, noise=0.0, seed=0):
    """Return jobs of 1 to 1,000 MB and differing shapes, on a machine of true speeds."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        size = 10 ** rng.uniform(6, 9)
        part = rng.uniform(0.05, 1, 4) * (rng.random(4) < 0.7)
        work = {
            "sort": {"bytes": size * part[0], "text": size * part[1], "rows": size / 40},
            "read": {"stored": size * (0.1 + part[2]), "chunks": size / 1e5 * (0.1 + part[3])},
            "publish": {"tasks": float(rng.integers(1, 100))},
        }
        run = run_of(work, truth)
        noisy = {s: t * np.exp(rng.normal(0, noise)) for s, t in run.measured.items()}
        found.append(replace(run, measured=noisy))
    return found


def truth_of(seed, octaves=1.2):
    rng = np.random.default_rng(seed)
    return {
        step: {unit: speed * 2 ** rng.uniform(-octaves, octaves) for unit, speed in of.items()}
        for step, of in PRIOR.items()
    }


def scales(fitted):
    return [fitted[step][unit] / PRIOR[step][unit] for step, unit in UNITS]


def within_bounds(fitted):
    return all(0.999 / BOUND <= scale <= 1.001 * BOUND for scale in scales(fitted))


# ---------------------------------------------------------------- right


def test_without_runs_it_is_the_prior():
    assert fit(PRIOR, []) == PRIOR
    assert fit({}, runs_of(PRIOR, 3)) == {}


@pytest.mark.parametrize("seed", range(10))
def test_ten_runs_of_differing_shapes_tell_the_speeds(seed):
    truth = truth_of(seed)
    fitted = fit(PRIOR, runs_of(truth, 10, seed=seed))
    for step, unit in UNITS:
        assert fitted[step][unit] == pytest.approx(truth[step][unit], rel=0.1), (step, unit)


@pytest.mark.parametrize("seed", range(10))
def test_jobs_to_come_are_predicted_after_seven(seed):
    truth = truth_of(seed)
    fitted = fit(PRIOR, runs_of(truth, 7, seed=seed))
    for to_come in runs_of(truth, 5, seed=seed + 100):
        for step, measured in to_come.measured.items():
            assert seconds(fitted, to_come.work, step) == pytest.approx(measured, rel=0.08)


def test_small_jobs_count_as_much_as_large_ones():
    small = [run_of({"publish": {"tasks": 1.0}}, factor=2) for _ in range(3)]
    large = [run_of({"publish": {"tasks": 1e6}}, factor=2) for _ in range(3)]
    assert fit(PRIOR, small)["publish"]["tasks"] == pytest.approx(2e-3, rel=0.02)
    assert fit(PRIOR, small) == fit(PRIOR, large)


def test_recent_runs_weigh_more():
    slow, fast = ([run_of({"publish": {"tasks": 9.0}}, factor=f)] * 60 for f in (1.6, 1.2))
    assert fit(PRIOR, slow + fast)["publish"]["tasks"] < 1.35e-3
    assert fit(PRIOR, fast + slow)["publish"]["tasks"] > 1.45e-3
    old = [replace(run, at=0.0) for run in slow]
    new = [replace(run, at=4e7) for run in fast]
    mixed = [each for pair in zip(old, new, strict=True) for each in pair]
    by_age = fit(PRIOR, mixed, now=4e7)["publish"]["tasks"]
    assert by_age < fit(PRIOR, mixed)["publish"]["tasks"]


# ---------------------------------------------------------------- never far wrong


@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("seed", range(5))
def test_an_outlier_of_ten_times_among_six_moves_no_step_by_a_tenth(seed, which):
    runs = runs_of(truth_of(seed, 0.5), 6, noise=0.03, seed=seed)
    bad = list(runs)
    bad[which] = replace(
        bad[which], measured={s: 10 * t for s, t in bad[which].measured.items()}
    )
    usual, spoiled = fit(PRIOR, runs), fit(PRIOR, bad)
    for each in runs[:which] + runs[which + 1 :]:
        for step in PRIOR:
            expected = seconds(usual, each.work, step)
            assert seconds(spoiled, each.work, step) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("factor", [100.0, 0.01])
@pytest.mark.parametrize("n", [1, 5, 50])
@pytest.mark.parametrize("wrong", [None, *UNITS], ids=str)
def test_a_history_that_is_wrong_a_hundredfold_is_mended_by_one_normal_run(wrong, n, factor):
    truth = {
        step: {u: s * (factor if wrong in (None, (step, u)) else 1) for u, s in speeds.items()}
        for step, speeds in PRIOR.items()
    }
    lies, normal = runs_of(truth, n), runs_of(PRIOR, 1, seed=99)[0]
    before, after = fit(PRIOR, lies), fit(PRIOR, [*lies, normal])
    assert within_bounds(before)
    assert within_bounds(after)
    for step, measured in normal.measured.items():
        errors = [
            abs(np.log(seconds(f, normal.work, step) / measured)) for f in (before, after)
        ]
        assert errors[1] <= errors[0] + 0.02
        assert errors[1] < np.log(2)


amounts = st.sampled_from([0.0, 1.0, 1e3, 1e9, 1e18]) | st.floats(0, 1e12)
of_units = st.dictionaries(st.sampled_from(["rows", "bytes", "text", "odd"]), amounts)
works = st.dictionaries(st.sampled_from(["sort", "read", "odd"]), of_units)
measured = st.dictionaries(st.sampled_from(["sort", "read", "odd"]), st.floats(0, 1e9))


@given(st.lists(st.builds(Run, st.just(0.0), st.just("m"), st.just("j"), works, st.just({}),
                          measured, st.just({})), max_size=12))  # fmt: skip
def test_whatever_runs_say_speeds_stay_within_the_bounds(runs):
    fitted = fit(PRIOR, runs)
    assert within_bounds(fitted)
    assert fitted["publish"] == PRIOR["publish"]
    assert [list(speeds) for speeds in fitted.values()] == [list(s) for s in PRIOR.values()]
    assert fit(PRIOR, runs) == fitted
    assert all(0.5 <= factor <= 2 for factor in job_factor(runs, PRIOR).values())


def test_steps_and_units_that_nobody_knows_are_ignored():
    runs = runs_of(truth_of(1), 8)
    more = [
        replace(
            run,
            work={**run.work, "sort": {**run.work["sort"], "odd": 5.0}, "odd": {"rows": 1.0}},
            measured={**run.measured, "odd": 9.0, "read": run.measured["read"]},
        )
        for run in runs
    ]
    assert fit(PRIOR, more) == fit(PRIOR, runs)


@pytest.mark.parametrize("factor", [0.02, 1.0, 50.0])
def test_a_machine_of_any_speed_is_learned_where_its_runs_are_trusted(factor):
    truth = {s: {u: factor * t for u, t in of.items()} for s, of in truth_of(3).items()}
    runs = runs_of(truth, 10, seed=3)
    fitted = fit(at_level(PRIOR, runs), runs, spread=2.0)
    for step, unit in UNITS:
        assert fitted[step][unit] == pytest.approx(truth[step][unit], rel=0.1), (step, unit)
    assert at_level(PRIOR, []) == PRIOR


def test_a_speed_of_nothing_stays_so():
    prior = {"sort": {"rows": 1e-7, "bytes": 0.0}, "read": {"stored": 0.0}}
    runs = [run_of({"sort": {"rows": 1e6, "bytes": 1e9}, "read": {"stored": 1.0}}, prior)]
    fitted = fit(prior, runs)
    assert fitted["sort"]["bytes"] == fitted["read"]["stored"] == 0.0


# ---------------------------------------------------------------- jobs


def test_a_job_that_takes_longer_than_others_is_known_the_better_the_more_often_it_ran():
    work = {"publish": {"tasks": 10.0}}
    factors = [job_factor([run_of(work, factor=1.5)] * n, PRIOR)["publish"] for n in (1, 3, 7)]
    assert factors == sorted(factors)
    assert 1.2 < factors[0] < factors[-1] < 1.5
    assert job_factor([], PRIOR) == {}


def test_a_job_is_known_by_its_usual_runs_within_bounds():
    work = {"publish": {"tasks": 10.0}}
    usual, odd = run_of(work), run_of(work, factor=7)
    assert job_factor([usual, odd, usual, usual], PRIOR)["publish"] == pytest.approx(1)
    assert 1.4 < job_factor([odd], PRIOR)["publish"] <= 2
    assert job_factor([odd] * 7, PRIOR)["publish"] <= 2
    assert job_factor([run_of(work, factor=0.2)] * 7, PRIOR)["publish"] >= 0.5


def test_what_can_not_be_right_of_a_job_is_ignored_and_its_latest_run_counts_most():
    work = {"publish": {"tasks": 10.0}}
    lies = [run_of(work, factor=factor) for factor in (0, 0.01, 100)]
    assert job_factor(lies, PRIOR) == {}
    assert job_factor([run_of(work, factor=4)] * 6 + [run_of(work)], PRIOR)["publish"] < 1.01
