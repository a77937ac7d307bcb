"""Figures: medians, ratios within a round, rates, and what dlsort loses."""

from __future__ import annotations

import math

import pytest

from dlsort.bench.bounds import bounds, phase_spans
from dlsort.bench.engines import Outcome
from dlsort.bench.figures import Resources, Size, losses, rates, summary, wrong
from dlsort.bench.published import PUBLISHED
from dlsort.bench.rounds import Turn, in_turn
from dlsort.bench.suites.usage import samples_of
from dlsort.bench.watch import Sample
from dlsort.page.drawing import curves
from dlsort.page.tables import table


def turns(*seconds: float, verdict: str = "ok") -> list[Turn]:
    return [Turn(i, Outcome(s, None, None), 5, verdict) for i, s in enumerate(seconds)]


def test_the_cold_round_is_not_in_the_median():
    figures = summary(
        {"dlsort": turns(9.0, 1.0, 3.0, 2.0), "duckdb": turns(4.5, 2.0, 3.0, 1.0)}
    )
    ours, theirs = figures["dlsort"], figures["duckdb"]
    assert (ours["seconds"], ours["least"], ours["most"], ours["cold"]) == (2.0, 1.0, 3.0, 9.0)
    assert theirs["over_dlsort"] == 1.0  # of 2, 1 and 0.5, not of the medians
    assert theirs["cold_over_dlsort"] == 0.5


def test_a_stopped_race_has_the_figures_of_its_turns():
    figures = summary({"dlsort": turns(2.0, 1.0), "dask": turns(4.0), "copy": []})
    assert figures["dlsort"]["seconds"] == 1.0
    assert figures["dask"]["seconds"] == 4.0
    assert figures["dask"]["over_dlsort"] == 2.0
    assert "copy" not in figures


def test_losses_are_told_of_right_results_alone():
    race = {
        "dlsort": turns(2.0, 2.0),
        "polars": turns(1.0, 1.0),
        "duckdb": turns(0.1, 0.1, verdict="other rows"),
        "copy": turns(0.1, 0.1),
    }
    results = {"table": summary(race)}
    assert losses(results) == ["to Polars on table (2.00 × its time)"]
    assert wrong(results) == ["DuckDB: other rows (table)"]


def test_nothing_is_compared_with_a_wrong_result_of_ours():
    results = {"t": summary({"dlsort": turns(2, 2, verdict="x"), "polars": turns(1, 1)})}
    assert results["t"]["polars"]["over_dlsort"] is None
    assert losses(results) == []


def test_rates_follow_from_seconds_cores_and_machines():
    size = Size(1000, 10**9, 2 * 10**9)
    found = rates(10.0, size, Resources(4, 2, 0.9))
    assert found == {
        "rows_s": 100.0,
        "mb_s_core": 50.0,
        "stored_mb_s_core": 25.0,
        "dollars_tb": pytest.approx(10 / 3600 * 2 * 0.9 / 0.002),
    }
    assert rates(10.0, size, Resources(4, 2))["dollars_tb"] is None
    assert set(rates(0.0, size, Resources(4, 2)).values()) == {None}


def test_engines_take_turns():
    order = []

    def take(number: int, name: str) -> Turn:
        order.append((number, name))
        return turns(1.0)[0]._replace(round=number)

    takers = {name: lambda n, name=name: take(n, name) for name in "ab"}
    seen = []
    found = in_turn(takers, 1, lambda name, turn: seen.append((turn.round, name)))
    assert order == seen == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    assert [len(each) for each in found.values()] == [2, 2]


@pytest.mark.parametrize("each", PUBLISHED, ids=lambda each: f"{each.name} {each.year}")
def test_published_figures_follow_from_what_was_published(each):
    assert each.source.startswith("http")
    assert each.dollars is not None or each.mb_s_core is not None
    if each.mb_s_core is not None:
        assert math.isclose(each.mb_s_core * 1e6 * each.cores * each.seconds, each.n_bytes)
        assert f"= {each.mb_s_core:.1f} MB/s" in each.arithmetic


def test_published_figures_are_those_of_the_papers():
    by_name = {each.name: each for each in PUBLISHED}
    assert round(by_name["Exoshuffle-CloudSort on Ray, Indy"].mb_s_core) == 29
    assert by_name["Exoshuffle-CloudSort on Ray, Indy"].dollars_tb == 0.97
    assert round(by_name["Apache Spark, GraySort Daytona"].mb_s_core) == 11
    # 44.8 TB/min and 60.7 TB/min
    for name, rate in (("Daytona", 44.8), ("Indy", 60.7)):
        each = by_name[f"Tencent Sort, GraySort {name}"]
        assert math.isclose(each.n_bytes / 1e12 / each.seconds * 60, rate, rel_tol=0.01)


# ---------------------------------------------------------------- bounds

LIMITS = {
    "cores": 2.0,
    "memory_bytes": 100.0,
    "disk_read": 100.0,
    "disk_write": 50.0,
    "network": 10.0,
}


def sample(at_s: float, **used: float) -> Sample:
    usual = {"cores": 0.0, "memory_bytes": 10, "disk_read": 0.0, "disk_write": 0.0, "sent": 0.0}
    return Sample(at_s, 1.0, **{**usual, **used})


@pytest.mark.parametrize(
    ("used", "bound"),
    [
        ({"cores": 1.9}, "processor"),
        ({"cores": 1.0}, "waiting"),
        ({"disk_read": 40.0, "disk_write": 20.0}, "disk"),
        ({"sent": 9.0, "cores": 1.5}, "network"),
        ({"memory_bytes": 100}, "waiting"),
    ],
    ids=str,
)
def test_the_largest_share_is_the_bound(used, bound):
    (found,) = bounds([("sort", 0.0, 1.0)], [sample(1.0, **used)], LIMITS)
    assert found["bound"] == bound


def test_a_phase_has_what_was_used_in_it():
    samples = [sample(1.0, cores=2.0), sample(2.0, cores=0.0), sample(3.0, cores=1.0)]
    spans = [("partition", 0.0, 1.0), ("sort", 1.0, 3.0), ("publish", 3.0, 3.1)]
    first, second, last = bounds(spans, samples, {**LIMITS, "network": None})
    assert (first["processor"], first["bound"]) == (1.0, "processor")
    assert (second["processor"], second["bound"]) == (0.25, "waiting")
    assert second["network"] is None
    assert last["bound"] == "too short to tell"


def test_phases_that_took_no_time_are_left_out():
    report = {"phases": {"open_s": 0.5, "sample_s": 0.0, "sort_s": 1.0, "work": {}}}
    assert phase_spans(report, 9.0) == [("open", 0.0, 0.5), ("sort", 0.5, 1.5)]


def test_workers_of_one_host_share_its_disk():
    worker = {"at_s": [0.1, 0.6, 1.4], "cpu": [100.0, 50.0, 9.0], "memory": [1, 2, 3]}
    rates = {"disk_read": [4.0, 0.0, 0.0], "disk_write": [None] * 3, "sent": [1.0, 2.0, 3.0]}
    told = [{"host": host, **worker, **rates} for host in ("a", "a", "b")]
    found = samples_of(told, 1.0)
    assert [each.at_s for each in found] == [0.5, 1.0]
    assert [each.cores for each in found] == [3.0, 1.5]
    assert [each.memory_bytes for each in found] == [3, 6]
    assert [each.disk_read for each in found] == [8.0, 0.0]
    assert [each.sent for each in found] == [2.0, 4.0]


# ---------------------------------------------------------------- the page


def test_a_look_after_the_end_is_drawn_at_the_end():
    def drawn(last: float) -> str:
        return curves({"disk": ([(0.1, 1.0), (last, 1.0)], 1.0, "1 B/s", "#000000")}, 0.35)

    assert drawn(0.41) == drawn(0.35) != drawn(0.3)


def test_text_that_begins_with_a_digit_is_no_number():
    row = table(["a", "b"], [["1.000 × mean", "40 Amazon i4i.4xlarge of 16 vCPUs, data in S3"]])
    assert row.count('class="n"') == 1
