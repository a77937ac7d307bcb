"""Lazy expressions of sorted frames.

    SortValues ─┐
                ├─ lowered ─▶ an exchange (dlsort_cluster.expression)
    SetIndex ───┘
        └─ its head or tail ─▶ FirstRows: a reduction, no exchange

They stand for a sort until Dask lowers them, where the user's client lives. What comes after
a sort and can as well come before it (a choice of columns, a filter) is moved there.

The phases are imported by the tasks: Dask's scheduler reads this module too, and has no use
for the kernels.
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from dask.dataframe.dask_expr._expr import (
    Elemwise,
    Expr,
    Filter,
    Head,
    Index,
    Projection,
    Tail,
    determine_column_projection,
)
from dask.dataframe.dask_expr._reductions import NLargest, NSmallest

from dlsort.frame_first_expression import FirstRows
from dlsort.frame_plan import FramePlan, is_objects
from dlsort_cluster.expression import exchange_frame, find, is_async, known, learn

if TYPE_CHECKING:
    from dlsort_cluster.exchange import Slot, Split

__all__ = ["SetIndex", "SortValues"]

# Contexts that were learned, newest last: divisions are asked for again and again.
_learned: OrderedDict[str, Any] = OrderedDict()
MOST_LEARNED = 64


class Sorted(Expr):
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
        if isinstance(parent, Head | Tail):
            last, n = isinstance(parent, Tail), cast(Any, parent).operand("n")
            if n >= 0 and not (last and self._plan.ignore_index):
                return first(self.frame, self._plan, n, last)
        if isinstance(parent, NSmallest | NLargest) and self._leads_with(parent):
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
        found = self._replaced(self.frame[columns], positions)
        return type(parent)(found, *parent.operands[1:])

    def _can_filter_before(self, parent: Any, dependents: Any) -> bool:
        """Return whether the rows a filter keeps do not depend on their order or index."""
        plan, this = self._plan, cast(Any, self)
        if plan.ignore_index or not this._filter_passthrough_available(parent, dependents):
            return False
        dropped = plan.index_from is not None
        return _is_rowwise(parent.predicate, self, use_index=not dropped)

    def _leads_with(self, parent: Any) -> bool:
        """Return whether the first rows are those that NSmallest or NLargest want."""
        plan = self._plan
        columns = parent.operand("_columns")
        columns = columns if isinstance(columns, list) else [columns]
        places = range(len(columns))
        if plan.nulls_first or plan.n_added or len(columns) > len(plan.by):
            return False
        descending = isinstance(parent, NLargest) and not isinstance(parent, NSmallest)
        return all(
            plan.by[i] >= 0
            and plan.label(plan.by[i]) == columns[i]
            and plan.descending[i] == descending
            for i in places
        )


def _is_rowwise(expr: Any, frame: Expr, *, use_index: bool) -> bool:
    """Return whether an expression gives a value a row of a frame, from that row alone."""
    if not isinstance(expr, Expr) or expr._name == frame._name:
        return True
    if isinstance(expr, Index) and not use_index:
        return False
    if not isinstance(expr, Elemwise | Projection | Index):
        return all(each._name != frame._name for each in expr.walk())
    return all(_is_rowwise(each, frame, use_index=use_index) for each in expr.operands)


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
    ]
    _defaults = {
        "ignore_index": False,
        "n_parts": None,
        "n_added": 0,
        "together": False,
        "upsample": 1.0,
        "engine": None,
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
            ignore_index=self.ignore_index,
            n_added=self.n_added,
            together=self.together,
            upsample=self.upsample,
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
        return exchange_frame(
            self.frame,
            _to_learn(self.frame, plan),
            split=partial(_split, plan),
            merge=partial(_merge, plan),
            n_parts=plan.n_parts,
            meta=self._meta,
            engine=self.engine,
        )


def _keys(plan: FramePlan) -> list[tuple[Any, bool, bool]]:
    """Return label, direction and null place of each key column; for a level, its position."""
    return [
        (("level", position) if position < 0 else ("column", plan.label(position)), down, nulls)
        for position, down, nulls in zip(
            plan.by, plan.descending, [plan.nulls_first] * len(plan.by), strict=True
        )
    ]


def order_of(expr: Any) -> list[tuple[Any, bool, bool]]:
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


class SetIndex(Sorted):
    """A sort by what becomes, or is, the index, with equal values together.

    Its divisions are learned from the sample when something asks for them; then that sample
    is also what the sort goes by.
    """

    _parameters = [
        "frame",
        "position",
        "drop",
        "index_name",
        "n_parts",
        "n_added",
        "given",
        "upsample",
        "engine",
    ]
    _defaults = {
        "drop": True,
        "index_name": None,
        "n_parts": None,
        "n_added": 0,
        "given": None,
        "upsample": 1.0,
        "engine": None,
    }

    @functools.cached_property
    def _name(self) -> str:
        return f"dlsort_set_index-{self.deterministic_token}"

    def __str__(self) -> str:
        return f"SetIndex({self.frame}, {self._asked_plan.label(self.position)!r})"

    @functools.cached_property
    def _asked_plan(self) -> FramePlan:
        """The plan, with as many partitions as were asked for."""
        frame = self.frame
        given = self.given
        return FramePlan(
            frame._meta.iloc[:0],
            (self.position,),
            (False,),
            nulls_first=False,
            n_inputs=frame.npartitions,
            n_parts=len(given) - 1 if given else self.n_parts or frame.npartitions,
            n_added=self.n_added,
            index_from=None if self.position < 0 else self.position,
            index_name=self.index_name,
            drop=self.drop,
            together=True,
            upsample=self.upsample,
        )

    @property
    def _plan(self) -> FramePlan:
        return self._asked_plan

    @functools.cached_property
    def _to_learn(self) -> Expr:
        return _to_learn(self.frame, self._asked_plan, self.given, ahead=True)

    @property
    def is_learned(self) -> bool:
        """Whether the divisions are known without computing anything."""
        return self.given is not None or self._to_learn._name in _learned

    def _learn(self) -> Any:
        """Return the context, computed now unless it was before; None if that can't be."""
        name = self._to_learn._name
        if name not in _learned:
            if is_async():
                return None
            _learned[name] = find(self._to_learn)
            while len(_learned) > MOST_LEARNED:
                _learned.popitem(last=False)
        _learned.move_to_end(name)
        return _learned[name]

    def _divisions(self) -> tuple[Any, ...]:
        if self.given is not None:
            return tuple(self.given)
        context = self._learn()
        if context is None:
            return (None,) * (self._asked_plan.n_parts + 1)
        return tuple(context.divisions)

    @property
    def npartitions(self) -> int:
        """How many partitions come out: as asked, or fewer if there are too few values."""
        if self.given is None and self.is_learned:
            return len(self._divisions()) - 1
        return self._asked_plan.n_parts

    def _replaced(self, frame: Expr, positions: Any) -> Expr:
        position = positions.get(self.position, self.position)
        given = self._divisions() if self.is_learned else None
        given = None if given is None or given[0] is None else given
        made: Any = type(self)
        n_parts = self._asked_plan.n_parts
        rest = (self.n_added, given, self.upsample, self.engine)
        return made(frame, position, self.drop, self.index_name, n_parts, *rest)

    def _filter_simplification(self, parent: Any, predicate: Any = None) -> Any:
        simplify: Any = super()._filter_simplification
        found: Any = simplify(parent, predicate)
        return None if found is None else self._replaced(found.frame, {})

    def _simplify_down(self) -> Any:
        if self.n_parts is None:
            return self.substitute_parameters({"n_parts": self.frame.npartitions})
        return None

    def _lower(self) -> Any:
        plan = self._asked_plan
        context: Any = self._to_learn
        divisions = None
        if self.given is not None:
            divisions = tuple(self.given)
            if not _has_types_to_learn(plan):
                context = known(_fit_divisions(plan, divisions, []), context._name)
        elif (found := self._learn()) is not None:
            context = known(found, context._name)
            divisions = tuple(found.divisions)
            plan = plan.with_parts(len(divisions) - 1)
        return exchange_frame(
            self.frame,
            context,
            split=partial(_split, plan),
            merge=partial(_merge, plan),
            n_parts=plan.n_parts,
            meta=self._meta,
            divisions=divisions,
            engine=self.engine,
        )


def _has_types_to_learn(plan: FramePlan) -> bool:
    """Return whether it takes a look at the keys to know what they are."""
    dtypes = [plan.dtype(position) for position in plan.by]
    return any(is_objects(d) or isinstance(d, pd.CategoricalDtype) for d in dtypes)


def _to_learn(
    frame: Expr,
    plan: FramePlan,
    divisions: Sequence[Any] | None = None,
    *,
    ahead: bool = False,
) -> Expr:
    """Return the task that learns the model from a sample of the key columns."""
    together = partial(_fit, plan)
    if divisions is not None:
        together = partial(_fit_divisions, plan, tuple(divisions))
    branch: Any = frame[plan.column_labels]
    return learn(
        frame, branch, each=partial(_sample_keys, plan), together=together, ahead=ahead
    )


def _sample_keys(plan: FramePlan, frame: pd.DataFrame, input_id: int) -> Any:
    from dlsort.frame_tasks import sample_keys

    return sample_keys(plan, frame, input_id)


def _fit(plan: FramePlan, samples: list[Any]) -> Any:
    from dlsort.frame_tasks import fit

    return fit(plan, samples)


def _fit_divisions(plan: FramePlan, divisions: tuple[Any, ...], samples: list[Any]) -> Any:
    from dlsort.frame_tasks import fit_divisions

    return fit_divisions(plan, divisions, samples)


def _split(plan: FramePlan, frame: pd.DataFrame, context: Any, input_id: int) -> Split:
    from dlsort.frame_tasks import split

    return split(plan, frame, context, input_id)


def _merge(plan: FramePlan, shards: list[Any], context: Any, slot: Slot) -> pd.DataFrame:
    from dlsort.frame_tasks import merge

    return merge(plan, shards, context, slot)
