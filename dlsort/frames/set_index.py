"""The lazy expression of a sort by the index that is to be.

SetIndex ── tuned ─┬─▶ SetIndex with the divisions that were learned ─▶ an exchange
└─▶ SortEach: partitions were in order among each other already
"""

# ruff: noqa: RUF012 - Dask declares an expression's parameters as a class's list.

from __future__ import annotations

import functools
from collections import OrderedDict
from functools import partial
from typing import Any

import pandas as pd
from dask.dataframe.dask_expr import DataFrame
from dask.dataframe.dask_expr._expr import Expr
from dask.dataframe.dask_expr._shuffle import SetIndexBlockwise

from dlsort.errors import ClusterError
from dlsort.frame_tasks.plan import FramePlan, is_objects
from dlsort.frames.sort_values import (
    Sorted,
    lay_exchange,
    merge_task,
    split_task,
    tell_if_remade,
    to_learn,
)
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.frames.apart import unfused
from dlsort_cluster.frames.learn import find, known
from dlsort_cluster.frames.scheduler import is_async

__all__ = ["LazyDivisionsFrame", "SetIndex", "lazy_divisions"]

# Contexts that were learned, newest last: divisions are asked for again and again.
_learned: OrderedDict[str, Any] = OrderedDict()
MOST_LEARNED = 64


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
        "tuning",
        "learned_as",
    ]
    _defaults = {
        "drop": True,
        "index_name": None,
        "n_parts": None,
        "n_added": 0,
        "given": None,
        "upsample": 1.0,
        "engine": None,
        "learned_as": None,
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
            tuning=self.tuning,
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
        plan, given = self._asked_plan.of_keys(), self.given
        together = partial(_fit_divisions, plan, tuple(given)) if given else None
        return to_learn(self.frame, plan, together, ahead=True)

    @property
    def is_learned(self) -> bool:
        """Whether the divisions are known without computing anything."""
        return self.given is not None or self._to_learn._name in _learned

    def _learn(self) -> Any:
        """Return the context, computed now unless it was before; None if that can't be."""
        name = self._to_learn._name
        found = _learned.get(name)
        if found is None and not is_async():
            tell_if_remade(self._to_learn, ahead=True)
            try:
                found = find(self._to_learn)
            except ExchangeError as error:
                raise ClusterError(str(error)) from error
            _learned[name] = found
            while len(_learned) > MOST_LEARNED:
                _learned.popitem(last=False)
        return found

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
        rest: Any = self.substitute_parameters({"n_parts": self._asked_plan.n_parts})
        made: Any = type(self)
        return made(frame, position, *rest.operands[2:])

    def _filter_simplification(self, parent: Any, predicate: Any = None) -> Any:
        simplify: Any = super()._filter_simplification
        found: Any = simplify(parent, predicate)
        if found is None or not self.is_learned or self._divisions()[0] is None:
            return found
        # What was told of the partitions still holds for those rows that are left.
        return found.substitute_parameters({"given": self._divisions()})

    def _simplify_down(self) -> Any:
        if self.n_parts is None:
            return self.substitute_parameters({"n_parts": self.frame.npartitions})
        return None

    def _tune_down(self) -> Any:
        """Learn before anything is laid out: what comes after counts the partitions."""
        if self.given is not None or (found := self._learn()) is None:
            return None
        if found.is_presorted:
            made: Any = SortEach
            return made(unfused(self.frame), self._asked_plan, found.divisions)
        known: dict[str, Any] = {
            "given": found.divisions,
            "learned_as": self._to_learn._name,
        }
        if self.position < 0:
            # Rows are numbered by partition where no index is stored: as they were sampled.
            known["frame"] = unfused(self.frame)
        return self.substitute_parameters(known)

    def _lower(self) -> Any:
        plan = self._asked_plan
        context: Any = self._to_learn
        divisions, found = None, None
        if self.given is not None:
            divisions = tuple(self.given)
            found = _learned.get(self.learned_as)
            if found is None and not _has_types_to_learn(plan, divisions):
                found = _fit_divisions(plan.of_keys(), divisions, [])
        elif (found := self._learn()) is not None:
            divisions = tuple(found.divisions)
            if found.is_presorted:
                made: Any = SortEach
                return made(self.frame, plan, divisions)
            plan = plan.with_parts(len(divisions) - 1)
        if found is not None:
            context = known(found, context._name)
        else:
            tell_if_remade(context, ahead=True)
        return lay_exchange(
            self.frame,
            context,
            split=partial(split_task, plan),
            merge=partial(merge_task, plan),
            n_parts=plan.n_parts,
            meta=self._meta,
            divisions=divisions,
            engine=self.engine,
            title=f"set_index {plan.shown_by}",
        )


def _has_types_to_learn(plan: FramePlan, divisions: tuple[Any, ...]) -> bool:
    """Return whether it takes a look at the keys to know what they are."""
    from dlsort.frame_tasks.casts import cast_exactly

    (position,) = plan.by
    dtype = plan.dtype(position)
    if is_objects(dtype) or isinstance(dtype, pd.CategoricalDtype):
        return True
    return cast_exactly(pd.Series(list(divisions)), dtype) is None  # the meta is wrong


def _fit_divisions(plan: FramePlan, divisions: tuple[Any, ...], samples: list[Any]) -> Any:
    from dlsort.frame_tasks.tasks import fit_divisions

    return fit_divisions(plan, divisions, samples)


class SortEach(SetIndexBlockwise):
    """Sort every partition by itself.

    Of Dask's class, as only that keeps its divisions when some partitions are chosen.
    """

    _parameters = ["frame", "plan", "known_as"]
    _defaults = {}
    _keyword_only = []
    _preserves_partitioning_information = False
    _is_length_preserving = True

    @functools.cached_property
    def _meta(self) -> pd.DataFrame:
        return self.plan.output

    def _divisions(self) -> tuple[Any, ...]:
        return tuple(self.known_as)

    @functools.cached_property
    def _args(self) -> list[Any]:
        return [self.frame, self.plan]

    def _simplify_up(self, parent: Any, dependents: Any) -> None:
        """Leave what follows where it is: it had its chance before."""

    @staticmethod
    def operation(  # type: ignore[override]
        frame: pd.DataFrame, plan: FramePlan
    ) -> pd.DataFrame:
        """Return a partition, sorted."""
        from dlsort.frame_tasks.first_rows import sort_alone

        return sort_alone(frame, plan)


class LazyDivisionsFrame(DataFrame):
    """A frame that can be looked at before its divisions are learned."""

    @property
    def _repr_divisions(self) -> pd.Index[Any]:
        expr = self.expr
        if isinstance(expr, SetIndex) and not expr.is_learned:
            name = f"npartitions={self.npartitions}"
            return pd.Index([""] * (self.npartitions + 1), name=name)
        return super()._repr_divisions


# It is a Dask DataFrame to who looks at it.
LazyDivisionsFrame.__name__ = "DataFrame"
lazy_divisions: Any = LazyDivisionsFrame


def sort_partition_by_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a partition in the order of its index."""
    return frame.sort_index(kind="stable")
