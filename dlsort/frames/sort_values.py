"""Lazy expressions of sorted frames.

    SortValues ─┐
                ├─ lowered ─▶ an exchange (dlsort_cluster.frames.expression)
    SetIndex ───┤   (set_index.py)
                └─ its head or tail ─▶ FirstRows: a reduction, no exchange

They stand for a sort until Dask lowers them, where the user's client lives. What comes after
a sort and can as well come before it (a choice of columns, a filter) is moved there.

The phases are imported by the tasks: Dask's scheduler reads this module too, and has no use
for the kernels.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from dask.dataframe.dask_expr._expr import (
    Expr,
    Filter,
    Head,
    Projection,
    Tail,
    determine_column_projection,
)
from dask.dataframe.dask_expr._reductions import NLargest, NSmallest

from dlsort.errors import ClusterError
from dlsort.frame_tasks.plan import FramePlan
from dlsort.frames.first_rows import FirstRows
from dlsort.frames.notices import ComputedTwiceWarning, tell_once
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.frames.apart import choose
from dlsort_cluster.frames.expression import exchange_frame
from dlsort_cluster.frames.learn import learn
from dlsort_cluster.frames.remade import find_remade
from dlsort_cluster.frames.rowwise import gives_a_value_a_row
from dlsort_cluster.frames.singleton import Singleton

if TYPE_CHECKING:
    from dlsort_cluster.exchange import Shards, Slot, Split

__all__ = [
    "SortValues",
    "Sorted",
    "lay_exchange",
    "merge_task",
    "order_of",
    "split_task",
    "tell_if_remade",
    "to_learn",
]


class Sorted(Singleton, Expr):
    """What both sorts have in common."""

    _is_length_preserving = True
    _filter_passthrough = True

    @functools.cached_property
    def _plan(self) -> FramePlan:
        raise NotImplementedError

    def _replaced(self, frame: Expr, positions: Any) -> Expr:
        """Return the same sort of a frame with other columns; old to new positions."""
        raise NotImplementedError

    @functools.cached_property
    def _meta(self) -> pd.DataFrame:
        return self._plan.output

    @property
    def _projection_columns(self) -> list[Any]:
        return [*self._meta.columns, *self._needed]

    @property
    def _needed(self) -> list[Any]:
        """Labels of the columns that the sort itself needs."""
        plan = self._plan
        added = list(plan.like.columns[plan.like.shape[1] - plan.n_added :])
        index = [] if plan.index_from is None else [plan.label(plan.index_from)]
        return [*plan.column_labels, *added, *index]

    def _simplify_up(self, parent: Any, dependents: Any) -> Any:
        first: Any = FirstRows
        if isinstance(parent, Head | Tail) and _asks_for_rows(parent):
            last, n = isinstance(parent, Tail), cast(Any, parent).operand("n")
            if not (last and self._plan.ignore_index):
                return first(self.frame, self._plan, n, last)
        if (
            isinstance(parent, NSmallest | NLargest)
            and _asks_for_rows(parent)
            and self._leads_with(parent)
        ):
            return first(self.frame, self._plan, parent.n, False)
        if isinstance(parent, Filter) and self._can_filter_before(parent, dependents):
            this: Any = self
            return this._filter_simplification(parent)
        if isinstance(parent, Projection):
            return self._with_columns(parent, dependents)
        return None

    def _with_columns(self, parent: Any, dependents: Any) -> Any:
        wanted: Any = determine_column_projection(
            self, parent, dependents, additional_columns=self._needed
        )
        wanted = set(wanted) if isinstance(wanted, list) else {wanted}
        labels = list(self.frame.columns)
        columns = [label for label in labels if label in wanted]
        if columns == labels:
            return None
        positions = {labels.index(label): i for i, label in enumerate(columns)}
        found = self._replaced(choose(self.frame, columns), positions)
        return type(parent)(found, *parent.operands[1:])

    def _can_filter_before(self, parent: Any, dependents: Any) -> bool:
        """Return whether the rows a filter keeps do not depend on their order or index."""
        plan, this = self._plan, cast(Any, self)
        if plan.ignore_index or not this._filter_passthrough_available(parent, dependents):
            return False
        dropped = plan.index_from is not None
        return gives_a_value_a_row(parent.predicate, self, use_index=not dropped)

    def _leads_with(self, parent: Any) -> bool:
        """Return whether the first rows are those that NSmallest or NLargest want."""
        plan = self._plan
        columns = parent.operand("_columns")
        columns = columns if isinstance(columns, list) else [columns]
        places = range(len(columns))
        if plan.nulls_first or plan.n_added or len(columns) > len(plan.by):
            return False
        if plan.nan_first is not None:
            return False
        descending = isinstance(parent, NLargest) and not isinstance(parent, NSmallest)
        return all(
            plan.by[i] >= 0
            and plan.label(plan.by[i]) == columns[i]
            and plan.descending[i] == descending
            for i in places
        )


def _asks_for_rows(parent: Any) -> bool:
    """Return whether the number of rows is one; what another stands for is Dask's to say."""
    n = parent.operand("n")
    return isinstance(n, int | np.integer) and not isinstance(n, bool) and bool(n >= 0)


class SortValues(Sorted):
    """A sort, before it is laid out."""

    _parameters = [
        "frame",
        "by",
        "descending",
        "nulls_first",
        "ignore_index",
        "n_parts",
        "n_added",
        "together",
        "upsample",
        "engine",
        "tuning",
        "nan_first",
    ]
    _defaults = {
        "ignore_index": False,
        "n_parts": None,
        "n_added": 0,
        "together": False,
        "upsample": 1.0,
        "engine": None,
        "nan_first": None,
    }

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_sort_values-{self.deterministic_token}"

    def __str__(self) -> str:
        labels = [self._plan.label(position) for position in self.by]
        return f"SortValues({self.frame}, by={labels!r})"

    @functools.cached_property
    def _plan(self) -> FramePlan:
        frame = self.frame
        return FramePlan(
            frame._meta.iloc[:0],
            self.by,
            self.descending,
            self.nulls_first,
            frame.npartitions,
            self.npartitions,
            self.tuning,
            ignore_index=self.ignore_index,
            n_added=self.n_added,
            together=self.together,
            upsample=self.upsample,
            nan_first=self.nan_first,
        )

    def _divisions(self) -> tuple[None, ...]:
        return (None,) * (self.npartitions + 1)

    @property
    def npartitions(self) -> int:
        """How many partitions come out."""
        return int(self.n_parts or self.frame.npartitions)

    def _replaced(self, frame: Expr, positions: Any) -> Expr:
        by = tuple(positions.get(position, position) for position in self.by)
        made: Any = type(self)
        rest: Any = self.substitute_parameters({"n_parts": self.npartitions})
        return made(frame, by, *rest.operands[2:])

    def _simplify_down(self) -> Any:
        if self.n_parts is None:
            # Dask may yet read the input in fewer partitions.
            return self.substitute_parameters({"n_parts": self.frame.npartitions})
        if self.n_added or self.together:
            return None
        keys = _keys(self._plan)
        frame = self.frame
        if not self.ignore_index and self.n_parts == frame.npartitions:
            # Sorted by the same columns, or more, already.
            return frame if order_of(frame)[: len(keys)] == keys else None
        if isinstance(frame, SortValues) and order_of(frame)[: len(keys)] == keys:
            ignore = self.ignore_index or frame.ignore_index
            return frame.substitute_parameters(
                {"n_parts": self.n_parts, "ignore_index": ignore}
            )
        return None

    def _lower(self) -> Any:
        plan = self._plan
        context = to_learn(self.frame, plan)
        tell_if_remade(context)
        return lay_exchange(
            self.frame,
            context,
            split=partial(split_task, plan),
            merge=partial(merge_task, plan),
            n_parts=plan.n_parts,
            meta=self._meta,
            engine=self.engine,
            title=f"sort_values by {plan.shown_by}",
        )


def lay_exchange(frame: Expr, context: Expr, **how: Any) -> Expr:
    """Return the frame that an exchange makes; see :func:`exchange_frame`.

    Raises
    ------
    ClusterError
        If the cluster can't run it.
    """
    try:
        return exchange_frame(frame, context, **how)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error


def _keys(plan: FramePlan) -> list[tuple[Any, bool, tuple[bool, bool | None]]]:
    """Return label, direction and the places of nulls and NaN of each key column.

    Of a level its position stands for the label.
    """
    places = plan.nulls_first, plan.nan_first
    return [
        (("level", at) if at < 0 else ("column", plan.label(at)), down, places)
        for at, down in zip(plan.by, plan.descending, strict=True)
    ]


def order_of(expr: Any) -> list[tuple[Any, bool, tuple[bool, bool | None]]]:
    """Return the keys by which the rows of an expression are sorted, as far as can be told."""
    if isinstance(expr, SortValues):
        if expr.n_added or (expr.ignore_index and any(p < 0 for p in expr.by)):
            return []
        return _keys(expr._plan)
    if isinstance(expr, Filter):
        return order_of(expr.frame)
    if isinstance(expr, Projection) and expr.ndim == 2:
        keys = order_of(expr.frame)
        lost = [i for i, (column, *_) in enumerate(keys) if not _has(expr, column)]
        return keys[: lost[0]] if lost else keys
    return []


def _has(expr: Expr, column: tuple[str, Any]) -> bool:
    return column[0] == "level" or column[1] in expr.columns


def to_learn(
    frame: Expr,
    plan: FramePlan,
    together: Callable[..., Any] | None = None,
    *,
    ahead: bool = False,
) -> Expr:
    """Return the task that learns the model from a sample of the key columns.

    ``together`` makes it of all samples; by default :func:`dlsort.frame_tasks.tasks.fit`.
    """
    plan = plan.of_keys()
    # Without any column, some readers give no rows either.
    branch = choose(frame, plan.column_labels or list(frame.columns[:1]))
    return learn(
        frame,
        branch,
        each=partial(_sample_keys, plan),
        each_parquet=partial(_sample_parquet, plan),
        together=together or partial(_fit, plan),
        ahead=ahead,
    )


def tell_if_remade(context: Expr, *, ahead: bool = False) -> None:
    """Warn, once in a process, if a sample makes again what is costly to make."""
    if (name := find_remade(context, ahead=ahead)) is not None:
        msg = (
            "the input is computed twice, first for a sample of its key and then to be sorted: "
            f"{name!r} can't be computed in part. Call persist() before you sort, if the input "
            "fits in the cluster's memory, or sort Parquet files."
        )
        tell_once(ComputedTwiceWarning, msg, ComputedTwiceWarning)


def _sample_parquet(plan: FramePlan, reads: Any, input_id: int) -> Any:
    from dlsort.frame_tasks.sample_parquet import sample_parquet

    return sample_parquet(plan, reads, input_id)


def _sample_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> Any:
    from dlsort.frame_tasks.sample import sample_keys

    return sample_keys(plan, frame, input_id)


def _fit(plan: FramePlan, samples: list[Any]) -> Any:
    from dlsort.frame_tasks.tasks import fit

    return fit(plan, samples)


def split_task(plan: FramePlan, frame: pd.DataFrame, context: Any, input_id: int) -> Split:
    """Group a partition's rows by output partition, on a worker."""
    from dlsort.frame_tasks.tasks import split

    return split(plan, frame, context, input_id)


def merge_task(plan: FramePlan, shards: Shards, context: Any, slot: Slot) -> pd.DataFrame:
    """Sort an output partition, on a worker."""
    from dlsort.frame_tasks.tasks import merge

    return merge(plan, shards, context, slot)
