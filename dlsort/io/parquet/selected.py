"""Selected: a dataset as a sort sees it that wants some of its rows and columns.

It is a source as any other: its schema is that of the rows that travel, its row groups are
those that may have a row to keep, and its pieces say what is read of them. What footers tell of
a column they tell of it by whatever name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa

from dlsort.arrow.hidden import visible_schema
from dlsort.arrow.paths import find_path
from dlsort.errors import DlsortError
from dlsort.io.chosen import Chosen
from dlsort.io.parquet.files.layouts import ColumnLayout
from dlsort.io.parquet.files.row_groups import find_groups
from dlsort.io.parquet.pruning import may_be_kept
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.selection import Selection
from dlsort.io.source import Piece, Range, RowGroup
from dlsort.keys import SortKey

__all__ = ["SelectedSource", "selected"]


@dataclass(frozen=True)
class SelectedSource(ParquetSource):
    """Some rows and columns of a Parquet dataset.

    Parameters
    ----------
    selection : Selection
        What is read of each piece.
    whole : ParquetSource or None
        The dataset.
    share : float
        Estimated share of the rows that are kept, of those in row groups that are read.
    """

    selection: Selection = field(default_factory=Selection)
    whole: ParquetSource | None = None
    share: float = 1.0

    @property
    def kept_share(self) -> float:
        """Estimated share of the rows that are kept."""
        return self.share

    @property
    def is_filtered(self) -> bool:
        """Whether rows may be left out."""
        return self.selection.predicate is not None

    @property
    def made_fields(self) -> tuple[pa.Field, ...]:
        """Hidden columns that can be made of a result's columns anew."""
        kept = {n for n in visible_schema(self.schema).names if self.selection.stored(n) == n}
        computed = (made for made in self.selection.computed if kept.issuperset(made.columns))
        return tuple(self.schema.field(made.name) for made in computed)

    @property
    def n_passed_groups(self) -> int:
        """Row groups that are not read: what is told of them shows that no row is kept."""
        return len(self._dataset.row_groups) - len(self.row_groups)

    @property
    def _dataset(self) -> ParquetSource:
        assert self.whole is not None
        return self.whole

    @cached_property
    def _stored(self) -> ParquetSource:
        """The dataset's stored columns that are read, and the row groups of this source."""
        schema = self.selection.stored_schema(self.schema)
        groups = self.row_groups
        return replace(self._dataset, schema=schema, row_groups=groups, _ranges={})

    def ranges(self, column: str) -> Mapping[int, Range]:
        """Return what the footers tell of a column's values, by row group."""
        stored = self._stored_path(column)
        return {} if stored is None else self._stored.ranges(stored)

    def exact_ranges(self, column: str) -> dict[int, Range] | None:
        """Return the range of each row group; None if rows may be left out of some."""
        stored = self._stored_path(column)
        if stored is None or self.is_filtered:
            return None
        return self._stored.exact_ranges(stored)

    def claims_order(self, keys: Sequence[SortKey]) -> bool:
        """Return whether every row group says that its rows are in the order of a key."""
        stored = []
        for key in keys:
            path = self._stored_path(key.column)
            if path is None:
                return False
            stored.append(replace(key, column=path))
        return self._stored.claims_order(stored)

    def check_columns(self, columns: Collection[str], *, copied: bool) -> None:
        """Raise if some columns can't be read; or, if they are copied, can't be kept."""
        stored = [name for name in map(self.selection.stored, columns) if name is not None]
        needed = [*stored, *self.selection.needed.names]
        self._stored.check_columns(needed, copied=copied)

    def piece(self, first: int, last: int) -> Piece:
        """Return row groups ``first : last`` as a piece, with what is read of it."""
        return replace(super().piece(first, last), selection=self.selection)

    def count_kept(self, piece: Piece) -> int:
        """Return how many rows of a piece are kept; little more is read than that takes."""
        names, first = self.schema.names, self.selection.first
        cheap = [name for name in names if self.selection.stored(name) in first]
        return self.read(piece, (cheap or names)[:1]).num_rows

    def _times(self) -> dict[bool, str]:
        schema = self.selection.stored_schema(visible_schema(self.schema))
        return replace(self._dataset, schema=schema)._times()

    def _runs(self, file: int, begin: int, end: int) -> tuple[tuple[int, int], ...]:
        """Return which rows of a file some of its row groups are; others may lie between."""
        fit = self._fit(file)
        if fit is None or fit.labels is None:
            return ()
        rows = self.footers[file].rows
        runs = []
        for group in self.row_groups[begin:end]:
            first = int(rows[: group.index].sum()) + (group.first_row or 0)
            runs.append((first, first + group.n_rows))
        return tuple(runs)

    def _stored_path(self, column: str) -> str | None:
        """Return a key column by its stored name; None if it is computed, or has no such."""
        name = self.schema.names[find_path(self.schema, column)[0]]
        top = self.selection.stored(name)
        if top is None:
            return None
        path = top + column[len(name) :]
        try:
            at = find_path(self._stored.schema, path)[0]
        except DlsortError:
            return None
        return path if self._stored.schema.names[at] == top else None


def selected(source: ParquetSource, chosen: Chosen) -> SelectedSource:
    """Return what is chosen of a dataset.

    Parameters
    ----------
    source : ParquetSource
        The dataset, its row groups whole.
    chosen : Chosen
        What is wanted of it.
    """
    selection, schema = chosen.selection, chosen.schema
    stored = selection.stored_schema(schema)
    names = _travelling(selection, schema)
    fits = source.fits or (None,) * len(source.files)
    groups = list(find_groups(source.footers, fits, source.schema, frozenset(stored.names)))
    if selection.predicate is not None:
        is_read = may_be_kept(source, selection.predicate, selection.first)
        groups = [group for group, is_one in zip(groups, is_read, strict=True) if is_one]
    taken = {name: getattr(source, name) for name in source.__dataclass_fields__}
    taken |= {
        "schema": schema,
        "row_groups": tuple(_renamed(group, names, selection) for group in groups),
        "layouts": _layouts(source.layouts, names),
        "told_types": _told_types(source.told_types, schema, selection),
        "dropped": (*source.dropped, *chosen.dropped),
        "_ranges": {},
    }
    return SelectedSource(**taken, selection=selection, whole=source)


def _travelling(selection: Selection, schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names under which each stored column travels, its own if it only is read."""
    names: dict[str, list[str]] = {}
    for name in schema.names:
        stored = selection.stored(name)
        if stored is not None:
            names.setdefault(stored, []).append(name)
    return names


def _paths(path: str, names: Mapping[str, list[str]]) -> list[str]:
    """Return the paths under which a stored leaf travels."""
    top = path if path in names else path.partition(".")[0]
    return [name + path[len(top) :] for name in names.get(top, ())]


def _renamed(group: RowGroup, names: Mapping[str, list[str]], selection: Selection) -> RowGroup:
    sizes = {
        new: size for path, size in group.column_bytes.items() for new in _paths(path, names)
    }
    for made in selection.computed:
        sizes[made.name] = sum(group.column_bytes.get(name, 0) for name in made.columns)
    return replace(group, column_bytes=sizes)


def _layouts(
    stored: Mapping[str, ColumnLayout], names: Mapping[str, list[str]]
) -> dict[str, ColumnLayout]:
    return {new: layout for path, layout in stored.items() for new in _paths(path, names)}


def _told_types(
    told: pa.Schema | None, schema: pa.Schema, selection: Selection
) -> pa.Schema | None:
    """Return the Arrow schema that parts are to tell of the columns of the result."""
    if told is None:
        return None
    visible = visible_schema(schema)
    fields = [told.field(selection.stored(name)).with_name(name) for name in visible.names]
    return pa.schema(fields, schema.metadata)
