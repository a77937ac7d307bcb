"""What can be said of the sort of a Dask frame without computing it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from dask.dataframe.dask_expr._expr import Filter
from dask.dataframe.dask_expr.io import FromPandas

from dlsort.errors import BadOptionError
from dlsort.explained.explanation import Explanation
from dlsort.explained.of_dataset import phases_of
from dlsort.frame_tasks.plan import FramePlan, is_objects
from dlsort.frames.methods import sort_values
from dlsort.frames.sort_values import SortValues, to_learn
from dlsort.keys import By, SortKey, format_by, parse_by
from dlsort.model.sample import rows_needed
from dlsort.options.arguments import data_name
from dlsort.planner.cost import Resources
from dlsort.planner.decide import decide
from dlsort.planner.known import Known, learn
from dlsort.planner.profile import machine_key
from dlsort.planner.work import Facts, Shape
from dlsort.sizes import UNBOUNDED
from dlsort.tuning import Tuning
from dlsort.wording import count
from dlsort_cluster.frames.parquet import find_parquet
from dlsort_cluster.frames.remade import find_remade
from dlsort_cluster.machine import machine_cores

__all__ = ["explain_frame"]

# Steps of a dataset's sort that a frame's has not; and the one of rows that are not in memory.
_OF_DATASETS = ("start", "prove", "write", "publish")
_READ = "read"


class _Size(NamedTuple):
    """What is known of a frame's size; ``why``: how, or why not."""

    rows: int | None
    n_bytes: int
    stored_bytes: int
    why: str
    is_read: bool = False


def explain_frame(frame: Any, by: By, partitions: int | None, tuning: Tuning) -> Explanation:
    """Return what can be said of the sort of a frame that is not computed.

    Raises
    ------
    DlsortError
        As :func:`dlsort.sort_values` would.
    """
    if getattr(frame, "ndim", 0) != 2 or not hasattr(frame, "columns"):
        msg = f"src is {data_name(frame)}; expected a Dask DataFrame. A series has to_frame()."
        raise BadOptionError(msg)
    keys = parse_by(by, [name for name in frame.columns if isinstance(name, str)])
    labels = [key.column for key in keys]
    ascending = [not key.descending for key in keys]
    wanted: Any = sort_values(frame, labels, partitions, ascending)
    simple: Any = wanted.expr.simplify()
    found = next((e for e in simple.walk() if isinstance(e, SortValues)), None)
    n_inputs = int(frame.npartitions)
    told: dict[str, Any] = {
        "src": f"a Dask frame of {count(n_inputs, 'partition')}",
        "dst": "",
        "by": format_by(keys),
        "pinned": {} if partitions is None else {"partitions": partitions},
    }
    if found is None:
        return Explanation(
            **told,
            told_by="the frame",
            predicted_seconds=0.0,
            source={"rows": None, "partitions": n_inputs, "arrow_bytes": None},
            plan=_plan("nothing", n_inputs, n_inputs, 0, 0),
            notes=["the frame is sorted so already: nothing is done."],
        )
    return _of_sort(found, keys, told, tuning)


def _of_sort(
    found: Any, keys: Sequence[SortKey], told: dict[str, Any], tuning: Tuning
) -> Explanation:
    plan, source = found._plan, found.frame
    n_inputs, n_parts = int(source.npartitions), int(plan.n_parts)
    size = _size_of(source, n_inputs, tuning.frames.footers)
    n_processes, n_threads, where = _place()
    remade = find_remade(to_learn(source, plan))
    notes = [
        f"rows: {size.why}.",
        f"the input is computed twice, as {remade!r} can't be computed in part: persist() it."
        if remade
        else "the input is computed once; for the sample key columns alone are read or taken.",
        f"{where}; its memory is Dask's to manage, and is not predicted.",
    ]
    shown = {"rows": size.rows, "partitions": n_inputs, "arrow_bytes": size.n_bytes or None}
    told |= {"source": shown}
    shape = Shape("exchange", n_parts, n_inputs, n_processes, n_threads)
    told["plan"] = _plan("exchange", n_parts, n_inputs, n_processes, n_threads)
    if size.rows is None:
        notes.append("seconds: not predicted, as the number of rows is not known.")
        return Explanation(**told, told_by="the frame", predicted_seconds=None, notes=notes)
    sampled = min(size.rows, rows_needed(n_parts, tuning.sample.balance)) if n_parts > 1 else 0
    facts = _facts(source._meta, plan, size, n_inputs, len(keys))
    known = learn(machine_key(), "", tuning.planner) if tuning.planner.learns else Known()
    absent = _OF_DATASETS if size.is_read else (*_OF_DATASETS, _READ)
    speeds = {step: units for step, units in known.speeds.items() if step not in absent}
    known = replace(known, prior=speeds, speeds=speeds, factors={})
    place = Resources(n_threads, 0, UNBOUNDED, 0, 0)
    shape = Shape("exchange", n_parts, n_inputs, n_processes, n_threads, sampled_rows=sampled)
    decision = decide(facts, [shape], lambda _: place, known)
    twice = " What is done to make the input is not in it." if remade else ""
    notes.append(
        "seconds: as a dataset's sort would take for these rows, without proof and files; not "
        f"measured on frames.{twice}"
    )
    return Explanation(
        **told,
        told_by=str(known),
        predicted_seconds=decision.chosen.predicted.seconds,
        phases=[p for p in phases_of(decision.chosen, facts) if p.seconds],
        notes=notes,
    )


def _plan(name: str, n_parts: int, n_inputs: int, n_proc: int, n_thr: int) -> dict[str, Any]:
    return {
        "strategy": name,
        "parts": n_parts,
        "inputs": n_inputs,
        "processes": n_proc,
        "threads": n_thr,
    }


def _place() -> tuple[int, int, str]:
    """Return processes, threads, and where a computation of now would run."""
    if "distributed" in sys.modules:
        from dlsort_cluster.clusters.joined import current_client
        from dlsort_cluster.clusters.sizes import size_of

        if (client := current_client()) is not None:
            size = size_of(client)
            return size.n_processes, size.n_threads, "it would run on the current client"
    return (
        0,
        machine_cores(),
        "it would run on threads of this process, as no client is current",
    )


def _size_of(frame: Any, n_inputs: int, n_footers: int) -> _Size:
    """Return how many rows a frame has, as far as that is known before it is computed."""
    leaves = {e._name: e for e in frame.walk() if not e.dependencies()}
    is_filtered = any(isinstance(e, Filter) for e in frame.walk())
    most = "at most, as a filter is before it: " if is_filtered else ""
    if any(_changes_rows(e) for e in frame.walk()):
        why = "not known, as what is before the sort may make or drop rows"
        return _Size(None, 0, 0, why)
    if all(isinstance(leaf, FromPandas) for leaf in leaves.values()):
        frames = [leaf.frame._data for leaf in leaves.values()]
        n_bytes = int(sum(f.memory_usage(deep=True).sum() for f in frames))
        return _Size(sum(map(len, frames)), n_bytes, 0, f"{most}counted, they are in memory")
    branch = find_parquet(frame, n_inputs)
    if branch is None:
        why = "not known before it is computed, as it is not of Parquet files or pandas alone"
        return _Size(None, 0, 0, why)
    step = -(-n_inputs // n_footers)
    looked = range(0, n_inputs, step)
    rows = n_bytes = stored = 0
    for i in looked:
        for group in branch.reads(i).row_groups():
            footer = group.footer.row_group(group.number)
            rows, n_bytes = rows + footer.num_rows, n_bytes + footer.total_byte_size
            columns = range(footer.num_columns)
            stored += sum(footer.column(c).total_compressed_size for c in columns)
    times = n_inputs / len(looked)
    of_some = f"estimated from the footers of {len(looked):,} partitions"
    why = most + ("told by the Parquet footers" if step == 1 else of_some)
    rows, n_bytes, stored = (int(n * times) for n in (rows, n_bytes, stored))
    return _Size(rows, n_bytes, stored, why, is_read=True)


def _changes_rows(expr: Any) -> bool:
    """Return whether an expression may have more rows than what it is made of, or others."""
    if not expr.dependencies() or isinstance(expr, Filter):
        return False
    return not getattr(expr, "_is_length_preserving", False)


def _facts(
    like: pd.DataFrame, plan: FramePlan, size: _Size, n_inputs: int, n_keys: int
) -> Facts:
    rows = size.rows or 0
    widths = [_width(dtype) for dtype in like.dtypes]
    fixed = sum(widths) * rows
    text = max(0, size.n_bytes - fixed) if 0 in widths else 0
    texts = sum(_width(plan.dtype(position)) == 0 for position in plan.by)
    chunks = n_inputs * len(widths)
    return Facts(
        rows,
        n_inputs,
        len(widths),
        chunks,
        fixed,
        text,
        0,
        size.stored_bytes,
        fixed + text,
        n_keys - texts,
        texts,
        1.0,
    )


def _width(dtype: Any) -> int:
    """Return the bytes of each value, 0 where they differ."""
    if is_objects(dtype) or isinstance(dtype, pd.StringDtype | pd.CategoricalDtype):
        return 0
    return int(getattr(dtype, "itemsize", 0) or 0)
