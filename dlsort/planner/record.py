"""Record: a job's report as a run of the history."""

from __future__ import annotations

import time

from dlsort.planner.history import Run
from dlsort.planner.speeds import Work
from dlsort.report import SortReport
from dlsort_cluster.machine import machine_cores

__all__ = ["run_of"]

# Steps whose wall seconds are measured, as phases of the report.
_PHASES = ("start", "sample", "publish")


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
    work: dict[str, dict[str, float]] = {s: dict(u) for s, u in told["amounts"].items()}
    measured = dict(phases.work)
    measured |= {step: getattr(phases, f"{step}_s") for step in _PHASES if step in work}
    if "sample" in work:  # whose tasks run side by side
        measured["sample"] *= min(report.threads, machine_cores())
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
    return Run(time.time(), machine, job, _known(work), told["work"], measured, figures)


def _known(work: Work) -> Work:
    return {step: units for step, units in work.items() if any(units.values())}
