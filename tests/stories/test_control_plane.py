"""A sort's control plane, counted: nothing grows as inputs x partitions; and the model."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY = 4, 8  # workers


@pytest.fixture(scope="module", autouse=True)
def _benchmarks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return small sorts by their inputs, partitions and workers."""
    from benchmarks.scale.control_plane import Shape, measure

    shapes = [Shape(16, 16, FEW), Shape(16, 16, MANY), Shape(32, 32, MANY)]
    found = measure(shapes, tmp_path_factory.mktemp("inputs"), idle_s=0)
    return {(one.inputs, one.parts, one.workers): one for one in found}


@pytest.fixture
def made():
    """Return runs that follow a law, with nothing measured."""
    from benchmarks.scale.control_plane import Measured

    def make(inputs: int, parts: int, workers: int) -> Measured:
        size = inputs + parts
        return Measured(
            inputs,
            parts,
            workers,
            seconds=1.0,
            scheduler_s=1e-3 * size + 5e-3 * workers,
            tasks=size + 3,
            dependencies=2 * size,
            transitions=5 * size,
            told=4 * size,
            messages=inputs * (workers - 1) + 2 * workers,
            message_bytes=1_000 * inputs,
            receipt_bytes=300 * inputs,
            answer_bytes=8 * workers * parts,
            passed_bytes=8 * parts + 276,
            verdict="ok",
        )

    return make


# ---------------------------------------------------------------- counted


def test_each_sort_is_right(runs):
    assert [one.verdict for one in runs.values()] == ["ok"] * 3


def test_tasks_are_inputs_and_partitions_and_a_few(runs):
    for one in runs.values():
        assert one.size < one.tasks <= one.size + 4
        # One to the barrier an input, one from it a partition, and the model to both.
        assert one.dependencies <= 2 * one.size + 4


def test_an_input_sends_a_worker_one_message_at_most(runs):
    for one in runs.values():
        asked = 4 * one.workers  # by the barrier
        assert 0 < one.messages <= one.inputs * (one.workers - 1) + asked


def test_receipts_grow_with_inputs_alone(runs):
    few, many, larger = (runs[key] for key in [(16, 16, FEW), (16, 16, MANY), (32, 32, MANY)])
    assert many.receipt_bytes <= 1.1 * few.receipt_bytes
    assert larger.receipt_bytes <= 2.2 * many.receipt_bytes


def test_what_the_barrier_gives_grows_with_partitions(runs):
    many, larger = runs[16, 16, MANY], runs[32, 32, MANY]
    assert larger.passed_bytes - many.passed_bytes <= 16 * (larger.parts - many.parts)


def test_workers_tell_the_barrier_one_number_a_partition(runs):
    for one in runs.values():
        assert one.answer_bytes <= 8 * one.parts * one.workers


def test_the_scheduler_is_told_more_by_each_worker_not_by_each_pair(runs):
    few, many = runs[16, 16, FEW], runs[16, 16, MANY]
    a_worker = 25  # messages of a job to the scheduler, of which it needs some ten
    assert many.told - few.told <= a_worker * (MANY - FEW)


# ---------------------------------------------------------------- the model


def test_the_model_finds_a_law_and_says_it_of_many_workers(made):
    from benchmarks.scale import control_model
    from benchmarks.scale.control_plane import shape_of

    few = [made(8, 8, 8), made(400, 400, 8), made(32, 32, 32), made(400, 400, 32)]
    many = made(400, 400, 400)
    laws = control_model.fit([*few, many])
    for figure, law in laws.items():
        assert law(shape_of(many)) == pytest.approx(getattr(many, figure), rel=1e-3)
    assert laws["receipt_bytes"].sizes == {"inputs": pytest.approx(300)}


def test_the_model_is_fitted_on_few_workers_alone(made):
    from benchmarks.scale import control_model

    few = [made(8, 8, 8), made(400, 400, 32)]
    wrong = replace(made(400, 400, 400), tasks=1_000_000)
    assert control_model.fit([*few, wrong]) == control_model.fit(few)
    row = control_model.checks([wrong], control_model.fit(few))[2]
    assert "**checked**" in row
    assert row.endswith("| -100% |")
    with pytest.raises(ValueError, match="no run on at most 32 workers to fit: found 1"):
        control_model.fit([wrong])


def test_no_term_of_a_law_is_negative():
    from benchmarks.scale.control_model import fit_terms

    ones, line = np.ones(4), np.arange(1.0, 5.0)
    assert fit_terms({"a": ones, "b": line}, 3 * ones + 2 * line) == {
        "a": pytest.approx(3),
        "b": pytest.approx(2),
    }
    assert fit_terms({"b": line, "a": ones}, 10 - line).keys() == {"a"}


def test_exponents_are_those_of_the_logarithms(made):
    from benchmarks.scale.control_plane import exponent

    found = [replace(made(n, n, n), receipt_bytes=7 * n**2) for n in (32, 128, 400)]
    assert exponent(found, "receipt_bytes") == pytest.approx(2)
    assert exponent(found, "dependencies") == pytest.approx(1)


def test_a_forecast_says_what_runs_out_first(made):
    from benchmarks.scale import control_model
    from benchmarks.scale.cluster_model import Fit, Hardware, Sizes, forecast

    laws = control_model.fit([made(8, 8, 8), made(400, 400, 8), made(400, 400, 32)])
    fit = Fit(10.0, 10.0, 1.0, 1.0, 2e-4, 0.5, laws)

    def of(inputs: int, parts: int):
        return forecast(1e3, 100, fit, Hardware(), Sizes(inputs, parts, 1e8, 0.45))

    small = of(1_000, 1_000)
    assert small.share < 1
    assert small.bound == "cores"
    assert small.tasks == pytest.approx(2_003, abs=2)
    many = of(150_000, 150_000)
    assert (many.first, many.share) == ("tasks (200,000)", pytest.approx(1.5, rel=0.01))
    assert many.bound == "scheduler"
    assert many.seconds > small.seconds


def test_large_inputs_send_each_worker_one_message_small_ones_wait(made):
    from benchmarks.scale.cluster_model import MESSAGE_BYTES, messages_of
    from benchmarks.scale.control_plane import Shape

    def pairs(shape):
        return shape.workers * (shape.workers - 1)

    shape = Shape(1_000, 1_000, 11)
    assert messages_of(0.0, shape, pairs) == 110
    assert messages_of(100.0 * MESSAGE_BYTES, shape, pairs) == 210
    assert messages_of(1e15, shape, pairs) == 10_000


def test_a_page_has_both_tables_and_its_runs_are_read_again(made, tmp_path):
    from benchmarks.scale.control_plane import Shape, page, read, shapes_of

    shapes = shapes_of([8, 32], ["2000x2000@128"])
    assert shapes[-1] == Shape(2_000, 2_000, 128)
    found = [made(*shape) for shape in shapes]
    text = page(found, "here.")
    assert "| as many inputs and partitions as workers | 8 × 8 on 8 | 32 × 32 on 32 |" in text
    assert "2,000 × 2,000 on 128" in text
    path = tmp_path / "runs.json"
    assert read(path) == []
    path.write_text(json.dumps([asdict(one) for one in found]))
    assert read(path) == found
