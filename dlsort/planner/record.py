"""Record: a job's report as a run of the history."""

from __future__ import annotations

import time
from collections.abc import Mapping

from dlsort.planner.history import Run
from dlsort.planner.speeds import Work
from dlsort.report import SortReport
from dlsort_cluster.machine import machine_cores

__all__ = ["run_of"]

# Steps whose wall seconds are measured, as phases of the report.
_PHASES = ("start", "sample", "publish")
# Units that are as many as rows.
_OF_ROWS = ("bytes", "text", "coded", "rows", "texts", "stored")


def run_of(report: SortReport, machine: str, job: str) -> Run:
    """Return what a job was predicted to take, and took, as history keeps it.

    Parameters
    ----------
    report : SortReport
        Of the job, which is done.
    machine, job : str
        What they are recognised by.
    """
    told, phases = report.predicted, report.phases
    work = _done(told["amounts"], told["rows"], report)
    measured = dict(phases.work)
    measured |= {step: getattr(phases, f"{step}_s") for step in _PHASES if step in work}
    for step in ("sample", "find"):
        if step in work:  # whose tasks run side by side
            measured[step] = phases.sample_s * min(report.threads, machine_cores())
    # Seconds of the clock, beside those that threads took, spread evenly.
    predicted_s = sum(told["work"].get(step, 0.0) for step in phases.work)
    if predicted_s > 0:
        longer = sum(phases.work.values()) / predicted_s
        work["wall"] = {unit: n * longer for unit, n in work["wall"].items()}
        measured["wall"] = phases.partition_s + phases.sort_s
    figures = {
        "wall_s": report.seconds,
        "predicted_wall_s": told["seconds"],
        "peak_bytes": float(report.peak_memory_bytes),
        "predicted_peak_bytes": float(told["memory_bytes"]),
        "spilled_bytes": float(report.spilled_bytes),
        "balance": report.balance,
        "predicted_balance": told["balance"],
        "threads": float(report.threads),
        "processes": float(report.workers),
        "arrow_factor": report.arrow_factor,
    }
    if told["rows"]["kept"]:
        for name, rows in (("sent", report.sent_rows), ("written", report.kept_rows)):
            figures[f"{name}_share"] = rows / told["rows"]["kept"]
    return Run(time.time(), machine, job, _known(work), told["work"], measured, figures)


def _known(work: Work) -> Work:
    return {step: units for step, units in work.items() if any(units.values())}


def _done(
    amounts: Work, rows: Mapping[str, int], report: SortReport
) -> dict[str, dict[str, float]]:
    """Return how much was done, where more or fewer rows went on than predicted."""
    sent, written = (
        done / rows[name] if rows[name] and done else 1.0
        for name, done in (("sent", report.sent_rows), ("written", report.kept_rows))
    )
    by = dict.fromkeys(("prove", "classify", "split", "sort"), sent)
    by |= {"write": written, "publish": written}
    return {
        step: {u: n * (by.get(step, 1.0) if u in _OF_ROWS else 1.0) for u, n in units.items()}
        for step, units in amounts.items()
    }
