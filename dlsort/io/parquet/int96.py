"""INT96 timestamps: whether those that were read are the ones that are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.views import fixed_view
from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.stored_schema import INT96, find_leaves, is_wanted

__all__ = ["check_int96"]

Stamps = npt.NDArray[np.int64]

# What does not fit, and how it shows.
_CHECKS: dict[str, tuple[str, Callable[[Stamps, Stamps], npt.NDArray[np.bool_]]]] = {
    "ns": ("fractions of a microsecond", lambda us, ns: us * 1000 == ns),
    "s": ("years beyond 292,277", lambda us, s: us // 1_000_000 == s),
}


def check_int96(
    file: pq.ParquetFile,
    again: Callable[..., pq.ParquetFile],
    table: pa.Table,
    read: Callable[[pq.ParquetFile, Sequence[str]], pa.Table],
) -> None:
    """Raise if INT96 timestamps became other values when they were read in microseconds.

    Parameters
    ----------
    file : pyarrow.parquet.ParquetFile
        What was read, in microseconds.
    again : callable
        Opens it again, given ``coerce_int96_timestamp_unit``.
    table : pyarrow.Table
        Some columns of it.
    read : callable
        Reads the same rows of other columns of an open file.

    Raises
    ------
    UnsupportedFileError
        If so; the message names the column.

    Notes
    -----
    pyarrow reads INT96 in a unit that it is given, and what does not fit 64 bits of it becomes
    another value. In nanoseconds values wrap around but keep their remainder, in seconds all
    fit; so such columns are read three times.
    """
    for name in _names_of(file, table.schema):
        column = table.select([name]).combine_chunks().column(0)
        for unit, (what, is_kept) in _CHECKS.items():
            with again(coerce_int96_timestamp_unit=unit) as other:
                rows = read(other, [name])
            values = rows.select([name]).combine_chunks().column(0)
            for us, them in zip(_stamps(column), _stamps(values), strict=True):
                is_int96 = us.type.unit == "us" and them.type.unit == unit
                if is_int96 and not is_kept(fixed_view(us), fixed_view(them)).all():
                    msg = (
                        f"column {name!r} has INT96 timestamps that don't fit microseconds, "
                        f"for {what}. Write it as TIMESTAMP(NANOS) or as text first."
                    )
                    raise UnsupportedFileError(msg)


def _names_of(file: pq.ParquetFile, schema: pa.Schema) -> list[str]:
    """Return the columns that are, or hold, INT96."""
    names = [field.name for field in schema if _may_be(field.type)]
    if not names:
        return []
    stored = [leaf for leaf in find_leaves(file.metadata.schema) if leaf.kind == INT96]
    return [name for name in names if any(is_wanted(leaf, {name}) for leaf in stored)]


def _may_be(kind: pa.DataType) -> bool:
    if pt.is_nested(kind):
        return any(_may_be(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pt.is_timestamp(kind) and kind.unit == "us")


def _stamps(array: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    """Yield the timestamps of a column at any depth, without nulls."""
    kind = array.type
    if isinstance(array, pa.ChunkedArray):
        for chunk in array.chunks:
            yield from _stamps(chunk)
    elif pt.is_timestamp(kind):
        yield array.drop_null()
    elif pt.is_struct(kind):
        for i in range(kind.num_fields):
            yield from _stamps(array.field(i))
    elif pt.is_map(kind):
        yield from _stamps(array.keys)
        yield from _stamps(array.items)
    elif pt.is_nested(kind):
        yield from _stamps(array.values)
