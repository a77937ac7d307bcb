"""The plan of a dataset's sort, made as the sort itself makes it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from dlsort.explained.explanation import Explanation, Phase
from dlsort.io.paths import shown_places
from dlsort.planner.decide import Alternative
from dlsort.planner.work import Facts
from dlsort.publish.replaceable import Held
from dlsort.strategies.asked import Asked
from dlsort.strategies.choose import rank_plans
from dlsort.strategies.earlier import known_model
from dlsort.strategies.file_sizes import written_row_bytes
from dlsort.strategies.opened import Selected, check_source, open_selected
from dlsort.strategies.run import place_for
from dlsort.strategies.sizes import job_of, plan_sizes
from dlsort_cluster.machine import ClusterSize, machine_cores

__all__ = ["explain_dataset", "phases_of"]


def explain_dataset(
    asked: Asked,
    pinned: Mapping[str, Any],
    began: float,
    standing: tuple[str, Held] = ("", MappingProxyType({})),
) -> Explanation:
    """Return the plan of a dataset's sort.

    Parameters
    ----------
    asked : Asked
        What is wanted.
    pinned : mapping
        What of that fixes a part of the plan.
    began : float
        When that was asked, by ``time.perf_counter``.
    standing : (str, mapping)
        Where the parts would go, and what is there.
    """
    with open_selected(asked) as selection:
        return _explain(selection, asked, pinned, began, standing)


def _explain(
    selection: Selected,
    asked: Asked,
    pinned: Mapping[str, Any],
    began: float,
    standing: tuple[str, Held],
) -> Explanation:
    source, keys, by = selection
    if asked.target_file_size:
        asked = replace(asked, row_bytes=written_row_bytes(source, asked, keys))
    check_source(source, asked, keys, asked.dst)
    known = None
    if asked.fewer(keys) is None:
        known = known_model(asked, *standing, source, keys)
    opened_s = time.perf_counter() - began
    size = None
    if asked.scheduler is not None:
        with place_for(asked, source) as place:  # its owner's: nothing is started
            size = place.size
    elif asked.workers:
        n_threads = max(1, (asked.threads or machine_cores()) // asked.workers)
        size = ClusterSize(asked.workers, asked.workers * n_threads, 0, is_limited=False)
    sizes = plan_sizes(source, asked, keys, size)
    is_here = sizes.decision.chosen.shape.n_processes == 0
    job = job_of(source, asked, keys, sizes, None, is_here=is_here)
    _, decision = rank_plans(replace(job.scaled(), known=known))
    taken, facts = decision.chosen, decision.facts
    others = [a for i, a in enumerate(decision.alternatives) if i != decision.index]
    others += [
        a for i, a in enumerate(sizes.decision.alternatives) if i != sizes.decision.index
    ]
    predicted = decision.to_dict()
    stored = source.stored_bytes
    shape = taken.shape
    return Explanation(
        src=shown_places(asked.src),
        dst=asked.dst,
        by=by,
        told_by=predicted["told_by"],
        predicted_seconds=taken.predicted.seconds,
        source={
            "rows": source.n_rows,
            "files": len(source.given[0]),
            "stored_bytes": stored,
            "arrow_bytes": source.arrow_bytes,
        },
        plan={
            **_shape(taken),
            "input_bytes": shape.piece_bytes,
            "rereads": shape.rereads,
            "memory_limit_bytes": sizes.memory_bytes,
        },
        predicted=predicted,
        pinned=dict(pinned),
        phases=[
            Phase("open", source.n_rows, stored, opened_s, {}, is_measured=True),
            *phases_of(taken, facts),
        ],
        alternatives=[_told(a) for a in others],
        notes=_larger(sizes.arrow_factor),
    )


def _larger(arrow_factor: float) -> list[str]:
    if arrow_factor == 1.0:
        return []
    told = f"rows take {arrow_factor:.3g} x what footers say, as the last run of this job found"
    return [told]


def phases_of(taken: Alternative, facts: Facts) -> list[Phase]:
    """Return what each phase of a plan has to do, and is predicted to take."""
    p, shape = taken.predicted, taken.shape
    rows, row_bytes = p.rows, facts.row_bytes
    sampled = shape.sampled_rows if shape.known_rows is None else shape.known_rows
    made_of = rows["sent" if shape.is_exchange else "read"]
    amounts = {
        "sample": (shape.looked_rows or sampled, None),
        "partition": (rows["read"], int(row_bytes * rows["read"])),
        "sort": (made_of, int(row_bytes * rows["sent"])),
        "publish": (None, int(facts.stored_bytes * rows["written"] / max(1, facts.rows))),
    }
    phases = []
    for name, seconds in p.phases.items():
        steps = p.steps_of.get(name, {})
        if steps:
            phases.append(Phase(name, *amounts.get(name, (None, None)), seconds, dict(steps)))
    return phases


def _shape(plan: Alternative) -> dict[str, Any]:
    shape = plan.shape
    return {
        "strategy": shape.strategy,
        "parts": shape.n_parts,
        "inputs": shape.n_pieces,
        "processes": shape.n_processes,
        "threads": shape.n_threads,
    }


def _told(plan: Alternative) -> dict[str, Any]:
    p = plan.predicted
    figures = {"predicted_seconds": p.seconds, "processor_s": p.processor_s}
    return _shape(plan) | figures | {"memory_bytes": p.memory_bytes, "why_not": plan.why_not}
