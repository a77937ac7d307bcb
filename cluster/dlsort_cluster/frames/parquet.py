"""Read some row groups of what a Dask DataFrame reads from Parquet files.

Dask has two expressions that read Parquet, and two that read several files as one partition
where few columns are wanted. Their tasks are taken apart here and nowhere else; what can't
be is left to Dask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask._task_spec import Task
from dask.dataframe.dask_expr._expr import Expr, Projection
from dask.dataframe.dask_expr.io.io import FusedIO
from dask.dataframe.dask_expr.io.parquet import (
    FragmentWrapper,
    ReadParquet,
    ReadParquetFSSpec,
    ReadParquetPyarrowFS,
)
from dask.dataframe.dispatch import concat
from dask.dataframe.io.parquet.core import ParquetFunctionWrapper

from dlsort_cluster.frames.rowwise import is_rowwise

__all__ = ["ParquetBranch", "PartitionReads", "RowGroup", "find_parquet"]

_concat: Any = concat


@dataclass(frozen=True)
class PartitionReads:
    """The row groups that a partition is read from, in row order. Small and picklable.

    Parameters
    ----------
    reads : tuple of Task
        Each of them reads a file, or some row groups of it.
    rest : Task, optional
        What becomes of the rows: called with the frame as ``{source: frame}``.
    source : tuple
        The name of that frame.
    columns : frozenset of str
        Those that come as the file has them; the rest are computed from its rows.
    """

    reads: tuple[Task, ...]
    rest: Any
    source: tuple[Any, ...]
    columns: frozenset[str]

    def row_groups(self) -> list[RowGroup]:
        """Return the row groups, with their footers, which are read for it."""
        return [
            RowGroup(i, piece, number, footer)
            for i, read in enumerate(self.reads)
            for piece, number, footer in _footers(read)
        ]

    def read(self, groups: Sequence[RowGroup]) -> pd.DataFrame:
        """Return the rows of some of the row groups, at least one, in their order."""
        chosen: dict[int, dict[int, list[int]]] = {}
        for group in groups:
            of_read = chosen.setdefault(group.read, {})
            of_read.setdefault(group.piece, []).append(group.number)
        return self._finish([_narrow(self.reads[read], some) for read, some in chosen.items()])

    def read_all(self) -> pd.DataFrame:
        """Return the whole partition."""
        return self._finish(self.reads)

    def _finish(self, reads: Sequence[Task]) -> pd.DataFrame:
        if all(map(_is_of_fragment, reads)):
            # As Dask does: rows are numbered through all files of a partition.
            table = pa.concat_tables(
                [read.args[0]() for read in reads], promote_options="permissive"
            )
            frame = reads[0].func(table, **reads[0].kwargs)
        else:
            frames = [read() for read in reads]
            frame = frames[0] if len(frames) == 1 else _concat(frames)
        found: pd.DataFrame = frame if self.rest is None else self.rest({self.source: frame})
        return found


class RowGroup(NamedTuple):
    """A row group.

    Parameters
    ----------
    read, piece, number : int
        Where it is: the task, the piece of what that reads, its number in the file.
    footer : pyarrow.parquet.FileMetaData
        The file's.
    """

    read: int
    piece: int
    number: int
    footer: pq.FileMetaData


def _footers(read: Task) -> list[tuple[int, int, pq.FileMetaData]]:
    """Return piece, number and footer of each row group that a task reads."""
    if _is_of_fragment(read):
        fragment = _fragment(read).fragment
        return [(0, g.id, fragment.metadata) for g in fragment.row_groups]
    found = []
    wrapper: Any = read.func
    for i, piece in enumerate(_pieces(read)):
        path, numbers, _ = _parted(piece)
        with wrapper.fs.open(path, mode="rb") as file:
            metadata = pq.ParquetFile(file).metadata
        every = range(metadata.num_row_groups) if numbers is None else numbers
        found += [(i, number, metadata) for number in every]
    return found


def _narrow(read: Task, some: dict[int, list[int]]) -> Task:
    """Return the task that reads only some row groups, by piece, of what another reads."""
    if _is_of_fragment(read):
        wrapper = _fragment(read)
        subset = wrapper.fragment.subset(row_group_ids=some[0])
        inner = read.args[0]
        narrowed = FragmentWrapper(subset, wrapper._filesystem)
        kwargs = {**inner.kwargs, "fragment_wrapper": narrowed}
        return Task(None, read.func, Task(None, inner.func, **kwargs), **read.kwargs)
    pieces = []
    for i, numbers in some.items():
        piece = _pieces(read)[i]
        path, _, keys = _parted(piece)
        pieces.append({**piece, "piece": (path, numbers, keys)})
    return Task(None, read.func, pieces)


def _is_of_fragment(read: Task) -> bool:
    return read.func is ReadParquetPyarrowFS._table_to_pandas


def _fragment(read: Task) -> Any:
    return read.args[0].kwargs["fragment_wrapper"]


def _pieces(read: Any) -> list[Any]:
    part = read.args[0]
    return list(part) if isinstance(part, list) else [part]


def _parted(piece: dict[str, Any]) -> tuple[Any, list[int] | None, Any]:
    """Return path, row groups (None for all) and keys of a piece."""
    found = piece["piece"]
    path, numbers, keys = (found, None, None) if isinstance(found, str) else found
    if numbers in (None, [None], (None,)):
        return path, None, keys
    return path, list(numbers) if isinstance(numbers, list | tuple) else [numbers], keys


@dataclass(frozen=True)
class ParquetBranch:
    """A frame whose rows come from Parquet files and nowhere else.

    Parameters
    ----------
    branch, leaf : Expr
        The frame, and what reads the files.
    parts : tuple of tuple of int
        The partitions of ``leaf`` that each partition of the frame is made from.
    """

    branch: Expr
    leaf: ReadParquet
    parts: tuple[tuple[int, ...], ...]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return what names the frame."""
        return ("ParquetBranch", self.branch._name, self.leaf._name, self.parts)

    def reads(self, index: int) -> PartitionReads:
        """Return how a partition is read."""
        reads = tuple(self.leaf._filtered_task(None, part) for part in self.parts[index])
        return PartitionReads(reads, self._rest(), (self.leaf._name, 0), self._stored_columns())

    def _rest(self) -> Any:
        """Return what becomes of the rows of a partition as one task."""
        above = {e._name: e for e in self.branch.walk() if e._name != self.leaf._name}
        if not above:
            return None
        tasks = [e._task((e._name, 0), 0) for e in above.values()]
        return Task.fuse(*tasks, key="rest")

    def _stored_columns(self) -> frozenset[str]:
        """Return the columns, and names of the index, that are as the files have them."""
        top: Any = self.branch
        while isinstance(top, Projection):
            top = top.frame
        if top._name != self.leaf._name or self.leaf.operand("filters"):
            return frozenset()
        index = self.leaf._dataset_info.get("index") or []
        return frozenset(name for name in [*self.leaf.columns, *index] if isinstance(name, str))


def find_parquet(branch: Expr, n_parts: int) -> ParquetBranch | None:
    """Return how a frame is read from Parquet, if its rows can be read a few at a time.

    Parameters
    ----------
    branch : Expr
        A frame of some columns, simplified.
    n_parts : int
        As many partitions as it has to have.

    Returns
    -------
    ParquetBranch or None
        None if it has another source, or one more, or if a row may depend on others.
    """
    source, parts = _only_source(branch), None
    if isinstance(source, FusedIO):
        # Of several files in one partition; there those columns that the sample needs suffice.
        parts = tuple(map(tuple, source._fusion_buckets))
        plain: Any = branch
        branch = plain.substitute(source, source.operand("_expr")).simplify()
        source = _only_source(branch)
    if not isinstance(source, ReadParquetFSSpec | ReadParquetPyarrowFS):
        return None
    parts = parts or tuple((part,) for part in source._partitions)
    if len(parts) != n_parts or not is_rowwise(branch, source):
        return None
    found = ParquetBranch(branch, source, parts)
    return found if all(map(_is_known, found.reads(0).reads)) else None


def _only_source(expr: Any) -> Any:
    """Return the only thing that an expression reads from, or None."""
    sources = {each._name: each for each in expr.walk() if not each.dependencies()}
    return next(iter(sources.values())) if len(sources) == 1 else None


def _is_known(read: Task) -> bool:
    """Return whether a task can be taken apart: it reads a file that has a name."""
    if _is_of_fragment(read):
        return True
    return isinstance(read.func, ParquetFunctionWrapper) and all(
        isinstance(piece, dict) and "piece" in piece and isinstance(_parted(piece)[0], str)
        for piece in _pieces(read)
    )
