"""Selection: which rows and columns of a source are read, and which columns are made of them.

    stored       day  name  price  note           the source's columns
                  │    │      │
    predicate     │    │   price > 5              read first; rows that it leaves out end here
                  │    │      │
    travelling   day  who  ␀dlsort:lower(name)   what the sort sees: chosen, renamed, computed

It goes with every piece of a source, so that whoever reads a piece, for a sample or to sort it,
sees the same rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort.arrow.evaluate import is_true
from dlsort.arrow.hidden import is_hidden
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import to_transport
from dlsort.errors import BadOptionError

__all__ = ["Computed", "Read", "Selection"]

Rows = npt.NDArray[np.uint32]


class Read(Protocol):
    """Reads stored columns of a piece."""

    def __call__(self, names: Sequence[str], rows: Rows | None) -> pa.Table:
        """Return the columns, in this order, of some rows, ascending, or of all."""


class Computed(Protocol):
    """A key column that is computed from stored ones. Small and picklable."""

    @property
    def name(self) -> str:
        """Its name, which begins with :data:`dlsort.arrow.hidden.HIDDEN`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The stored columns that it needs."""

    def kind(self, schema: pa.Schema) -> pa.DataType:
        """Return its type, over a source of this schema."""

    def of(self, rows: pa.Table) -> pa.Array | pa.ChunkedArray:
        """Return its value for each row of a table, which has the columns that it needs.

        Columns of text may be dictionaries.
        """


@dataclass(frozen=True, eq=False)
class Selection:
    """What is read of each piece of a source. Small and picklable.

    Parameters
    ----------
    names : dict of str to str
        What travelling columns are called as they are stored, where that differs.
    needed : pyarrow.Schema
        Stored columns that the predicate and computed columns need.
    computed : tuple of Computed
        Columns that are made.
    predicate : pyarrow.compute.Expression or None
        Which rows are kept, by stored columns in plain types; None: all.
    first : tuple of str
        The stored columns that the predicate needs, at least one if there is a predicate.
    told : str
        The predicate as the caller gave it, for messages.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    needed: pa.Schema = field(default_factory=lambda: pa.schema([]))
    computed: tuple[Computed, ...] = ()
    predicate: Any = None
    first: tuple[str, ...] = ()
    told: str = ""

    def stored(self, name: str) -> str | None:
        """Return what a travelling column is called as it is stored; None if it is computed."""
        if is_hidden(name) and any(made.name == name for made in self.computed):
            return None
        return self.names.get(name, name)

    def stored_schema(self, travelling: pa.Schema) -> pa.Schema:
        """Return the stored columns that are read, given the travelling ones."""
        found: dict[str, pa.Field] = {}
        for column in travelling:
            name = self.stored(column.name)
            if name is not None:
                found.setdefault(name, column.with_name(name))
        for column in self.needed:
            found.setdefault(column.name, column)
        return pa.schema(list(found.values()))

    def read(self, read: Read, columns: Sequence[str]) -> pa.Table:
        """Return some travelling columns of the rows of a piece that are kept.

        Parameters
        ----------
        read : callable
            Reads stored columns of it. Those of the predicate are read first, and the others
            only if some row is kept.
        columns : sequence of str
            Which columns, in this order.

        Raises
        ------
        BadOptionError
            If the predicate has no result for some row.
        """
        made = {each.name: each for each in self.computed if each.name in columns}
        names = {name: self.stored(name) for name in columns if name not in made}
        needed = [name for each in made.values() for name in each.columns]
        stored = [name for name in names.values() if name is not None]  # "" is a name
        rows = self._kept(read, list(dict.fromkeys([*stored, *needed])))
        found, fields = [], []
        for name in columns:
            if name in made:
                column = made[name].of(rows.select(list(made[name].columns)))
                like = pa.field(name, column.type)
            else:
                column, like = rows.column(names[name]), rows.schema.field(names[name])
            found.append(column)
            fields.append(like.with_name(name))
        return pa.Table.from_arrays(found, schema=pa.schema(fields))

    def _kept(self, read: Read, columns: list[str]) -> pa.Table:
        """Return some stored columns of the rows that are kept."""
        if self.predicate is None:
            return read(columns, None)
        first = read(self.first, None)
        try:
            is_kept = is_true(self.predicate, first)
        except pa.ArrowException as error:
            why = str(error).partition("\n")[0].rstrip(".")
            msg = (
                f"where (--where) {self.told!r} has no result for some rows: {why}. Change it "
                "so that it has one for each row."
            )
            raise BadOptionError(msg) from error
        numbers = np.flatnonzero(is_kept).astype(np.uint32)
        wanted = [name for name in self.first if name in columns]
        others = [name for name in columns if name not in wanted]
        tables = [_take(first.select(wanted), numbers)] if wanted else []
        del first
        if others:
            tables.append(read(others, None if len(numbers) == len(is_kept) else numbers))
        fields = [each for table in tables for each in table.schema]
        found = [column for table in tables for column in table.columns]
        return pa.Table.from_arrays(found, schema=pa.schema(fields))


def _take(table: pa.Table, numbers: Any) -> pa.Table:
    if len(numbers) == table.num_rows:
        return table
    if not len(numbers):
        return table.slice(0, 0)
    return take_table(to_transport(table), numbers)
