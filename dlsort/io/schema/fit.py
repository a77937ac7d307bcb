"""Fit: what is done to the rows of a file so that they have the schema of the dataset."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.kinds import is_list
from dlsort.arrow.layouts import recast
from dlsort.arrow.same_names import named
from dlsort.errors import SchemaMismatchError
from dlsort.io.schema.labels import Labels

__all__ = ["ASKED", "Difference", "Fit", "fit_rows"]

# Days from 1970 at which the Julian and today's calendar part, and at which time zones of
# places had become offsets of whole minutes: Spark's older files differ before them.
_FIRST_DAY = -141_427  # 1582-10-15
_FIRST_MOMENT = -25_567  # 1900-01-01
ASKED = "the schema that is asked for"
_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


@dataclass(frozen=True)
class Difference:
    """How a column of a file is not as the dataset's.

    Parameters
    ----------
    here : str
        Its type in the file.
    other, there : str
        Who has it otherwise, and its type there.
    """

    here: str
    other: str
    there: str


@dataclass(frozen=True, eq=False)
class Fit:
    """What is done to a file's rows.

    Parameters
    ----------
    missing : frozenset of str
        Columns of the dataset that the file has not.
    differs : dict of str to Difference
        Columns that become another type.
    labels : Labels or None
        Of pandas' that become a column.
    calendar_of : str
        A file whose dates are of today's calendar, where this one's are of an older one as far
        as these are not the same; else empty.
    """

    missing: frozenset[str] = frozenset()
    differs: Mapping[str, Difference] = field(default_factory=dict)
    labels: Labels | None = None
    calendar_of: str = ""

    def stored(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that the file has."""
        made = "" if self.labels is None else self.labels.column
        return [name for name in columns if name not in self.missing and name != made]


def fit_rows(
    table: pa.Table,
    fit: Fit,
    path: str,
    columns: Sequence[str],
    schema: pa.Schema,
    as_dictionary: Collection[str] = (),
    runs: Iterable[tuple[int, int]] = (),
) -> pa.Table:
    """Return the rows of a file in the dataset's types.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of the file, with the columns that it has.
    fit : Fit
        What is to be done.
    path : str
        The file.
    columns : sequence of str
        Which columns, in this order.
    schema : pyarrow.Schema
        The dataset's.
    as_dictionary : collection of str
        Columns that are dictionaries on their way.
    runs : iterable of (int, int)
        Which rows of the file they are: numbers of a first, and of the one behind a last.

    Raises
    ------
    SchemaMismatchError
        If a value would be another one.
    """
    found = []
    for name in columns:
        field = schema.field(name)
        kind = pa.dictionary(pa.int32(), field.type) if name in as_dictionary else field.type
        if fit.labels is not None and name == fit.labels.column:
            column = fit.labels.of(runs)
        elif name in fit.missing:
            column = pa.chunked_array([pa.nulls(table.num_rows, kind)], kind)
        else:
            column = table.column(name)
            if fit.calendar_of:
                _check_calendar(column, name, path, fit.calendar_of)
        if name in fit.differs or name in fit.missing:
            column = _recast(column, kind, field, path, fit.differs.get(name))
        elif column.type != kind:
            column = pa.chunked_array([recast(c, kind) for c in column.chunks], kind)
        found.append(column)
    fields = [schema.field(n).with_type(c.type) for n, c in zip(columns, found, strict=True)]
    if not fields:
        return table
    return pa.Table.from_arrays(found, schema=pa.schema(fields))


def _recast(
    column: pa.ChunkedArray,
    kind: pa.DataType,
    field: pa.Field,
    path: str,
    differs: Difference | None,
) -> pa.ChunkedArray:
    why = ""
    try:
        column = pa.chunked_array([recast(chunk, kind) for chunk in column.chunks], kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
        why = str(error).partition("\n")[0]
    if not why and (field.nullable or not column.null_count):
        return column
    if differs is None:
        differs = Difference("missing", ASKED, f"{field.type} not null")
    why = why.rstrip(".") or "some are null"
    msg = (
        f"the files disagree on column {named(field.name)}: it is {differs.here} in {path} and "
        f"{differs.there} in {differs.other}, and {field.type} can't hold each of its values "
        f"({why}). Give the type to use with schema (--schema FILE), or bring the files to one."
    )
    if differs.other == ASKED:
        msg = (
            f"column {named(field.name)} is {differs.here} in {path} and {differs.there} in "
            f"{ASKED}, which can't hold each of its values ({why})."
        )
    raise SchemaMismatchError(msg)


def _check_calendar(column: pa.ChunkedArray, name: str, path: str, other: str) -> None:
    """Raise if a column has a moment that calendars do not agree on."""
    for chunk in column.chunks:
        for array in _times(chunk):
            kind = array.type
            first = _FIRST_DAY if pt.is_date(kind) else _FIRST_MOMENT
            unit = getattr(kind, "unit", "ms")
            per_day = 1 if pt.is_date32(kind) else _PER_DAY[unit]
            least = pc.min(array.cast(pa.int32() if pt.is_date32(kind) else pa.int64())).as_py()
            if least is not None and least < first * per_day:
                msg = (
                    f"the files disagree on the calendar: dates of {path} are told to be of "
                    f"the older one that Spark 2 and Hive use, those of {other} are not, and "
                    f"column {named(name)} of {path} has some for which this makes a "
                    "difference. Read one of the files with Spark, and write it anew."
                )
                raise SchemaMismatchError(msg)


def _times(array: pa.Array) -> Iterable[pa.Array]:
    """Yield the dates and timestamps in an array, at any depth."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        yield from _times(array.storage)
    elif pt.is_dictionary(kind):
        yield from _times(array.dictionary)
    elif pt.is_date(kind) or pt.is_timestamp(kind):
        yield array
    elif pt.is_struct(kind):
        for inner in array.flatten():
            yield from _times(inner)
    elif pt.is_map(kind):
        yield from _times(array.keys)
        yield from _times(array.items)
    elif is_list(kind):
        yield from _times(array.flatten())
