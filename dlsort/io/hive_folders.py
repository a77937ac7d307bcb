"""Hive folders, written: rows that go to folders such as ``day=2024-01-01``.

The counterpart of :mod:`dlsort.io.listing.hive`, which reads them. A value is written as Arrow
casts it to text. ASCII signs but for letters, digits and ``-_.~`` are percent-encoded, which
pyarrow, Spark, DuckDB and Polars decode; other letters stand as they are, since Spark takes
each encoded byte for a letter. Null is ``__HIVE_DEFAULT_PARTITION__``. What would be read as
another value is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_text
from dlsort.arrow.made import array_of
from dlsort.arrow.transport import combine
from dlsort.errors import BadOptionError, UnknownColumnError, shown
from dlsort.io.listing.hive import NULL, cast_text, folder_values
from dlsort.io.source import Piece, Source, cut_groups, cut_pieces
from dlsort.wording import closest

__all__ = [
    "check_partition_by",
    "folder_runs",
    "null_folder",
    "pieces_by_folder",
    "with_told_columns",
]

_ENCODED = re.compile(r"[^A-Za-z0-9\-_.~\u0080-\U0010ffff]")
_MOST_NAME_BYTES = 255  # of Linux, macOS and their file systems
_WHAT = "partition_by (--partition-by)"


def check_partition_by(schema: pa.Schema, columns: Sequence[str]) -> None:
    """Raise unless some columns can be folders, and others are left for the files.

    Raises
    ------
    UnknownColumnError
        If one is not in the schema.
    BadOptionError
        If one has a type or a name that no folder can have, or no column is left.
    """
    for name in columns:
        if name not in schema.names:
            near = closest(name, schema.names)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            msg = (
                f"{_WHAT} has {shown(name)}, which is none of the source's columns: "
                f"{shown(schema.names)}.{hint}"
            )
            raise UnknownColumnError(msg)
        kind = schema.field(name).type
        if not _can_be_told(kind):
            msg = (
                f"{_WHAT} has {shown(name)}, of type {kind}; expected a column of whole "
                "numbers, decimals, booleans, text, dates or times: of no other a folder's "
                "name tells the exact value."
            )
            raise BadOptionError(msg)
        if not name or name[0] in "_." or _ENCODED.search(name):
            msg = (
                f"{_WHAT} has {shown(name)}, which not all readers take for a folder's column; "
                "expected a name of letters, digits and -_.~ that begins with neither _ nor "
                "a dot. Rename the column."
            )
            raise BadOptionError(msg)
    if columns and len(columns) == len(schema.names):
        msg = (
            f"{_WHAT} has all columns of the source; leave one out, which the files then hold."
        )
        raise BadOptionError(msg)


def _can_be_told(kind: pa.DataType) -> bool:
    if pt.is_dictionary(kind):
        kind = kind.value_type
    told = pt.is_integer(kind) or pt.is_decimal(kind) or pt.is_boolean(kind) or is_text(kind)
    return bool(told or pt.is_date(kind) or pt.is_timestamp(kind) or pt.is_time(kind))


def folder_runs(
    table: pa.Table, columns: Sequence[str], schema: pa.Schema
) -> Iterator[tuple[str, pa.Table]]:
    """Yield the runs of rows with equal values of some columns, each with its folder.

    Parameters
    ----------
    table : pyarrow.Table
        Rows that are sorted by these columns first.
    columns : sequence of str
        The columns; without any all rows are one run, of no folder.
    schema : pyarrow.Schema
        Has the columns' own types: rows may come as dictionaries.

    Raises
    ------
    BadOptionError
        If a value would be read as another one, or a folder's name is too long.

    Notes
    -----
    Time O(rows and runs).
    """
    if not columns:
        yield "", table
        return
    if not table.num_rows:
        return
    arrays = [_plain(combine(table.column(name))) for name in columns]
    changes = np.zeros(table.num_rows - 1, np.bool_)
    for array in arrays:
        code = _codes(array)
        changes |= code[1:] != code[:-1]
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    kinds = [_value_type(schema.field(name).type) for name in columns]
    texts = [
        _texts(array.take(array_of(starts)).cast(kind), name)
        for array, kind, name in zip(arrays, kinds, columns, strict=True)
    ]
    edges = [*starts.tolist(), table.num_rows]
    for values, (first, last) in zip(zip(*texts, strict=True), pairwise(edges), strict=True):
        yield _folder(columns, values), table.slice(first, last - first)


def with_told_columns(
    table: pa.Table, path: str, columns: Sequence[str], schema: pa.Schema
) -> pa.Table:
    """Return the rows of a file with the columns that its folders tell.

    Parameters
    ----------
    table : pyarrow.Table
        The file's rows.
    path : str
        Where it lies below the dataset's folder.
    columns : sequence of str
        Which columns these are.
    schema : pyarrow.Schema
        Has their types.
    """
    told = dict(folder_values(path, path.split("/")[:-1]))
    for name in columns:
        value = cast_text(told[name], _value_type(schema.field(name).type), name, path)
        table = table.append_column(name, pa.repeat(value[0], table.num_rows))
    return table


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pt.is_dictionary(kind) else kind


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def _codes(array: pa.Array) -> npt.NDArray[np.int64]:
    """Return a number a row, equal where values are, or both are null."""
    codes = array.dictionary_encode().indices.cast(pa.int64())
    return codes.fill_null(-1).to_numpy(zero_copy_only=False)


def _texts(values: pa.Array, name: str) -> list[str | None]:
    """Return values as text, each of which is read as the same value again."""
    try:
        texts = values.cast(pa.string())
        is_kept = texts.cast(values.type).equals(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        is_kept = False
    if not is_kept:
        msg = (
            f"{_WHAT} has {shown(name)}, of type {values.type}, of which a folder's name can't "
            "tell the exact value; leave it out."
        )
        raise BadOptionError(msg)
    found: list[str | None] = texts.to_pylist()
    for text in found:
        if text in ("", NULL):
            msg = (
                f"{_WHAT} has {shown(name)}, which is {text!r} in some row: readers take such "
                "a folder for null. Put another value there, or leave the column out."
            )
            raise BadOptionError(msg)
    return found


def _folder(columns: Sequence[str], values: Sequence[str | None]) -> str:
    """Return the folders of a run, with a slash at the end.

    Examples
    --------
    >>> _folder(["day", "c"], ["2024-01-01", "x/y é"]), _folder(["k"], [None])
    ('day=2024-01-01/c=x%2Fy%20é/', 'k=__HIVE_DEFAULT_PARTITION__/')
    """
    folders = ""
    for name, value in zip(columns, values, strict=True):
        folder = f"{name}={NULL if value is None else _ENCODED.sub(_encode, value)}"
        if len(folder.encode()) > _MOST_NAME_BYTES:
            msg = (
                f"{_WHAT} has {shown(name)}, which is {shown(value)} in some row: longer than "
                f"the {_MOST_NAME_BYTES} bytes that a folder's name may have. Leave it out."
            )
            raise BadOptionError(msg)
        folders += f"{folder}/"
    return folders


def _encode(sign: re.Match[str]) -> str:
    return f"%{ord(sign[0]):02X}"


def null_folder(columns: Sequence[str]) -> str:
    """Return the folder of rows that have null in these columns; none without any."""
    return _folder(columns, [None] * len(columns))


def pieces_by_folder(source: Source, piece_bytes: int) -> list[Piece]:
    """Return pieces as :func:`dlsort.io.source.cut_pieces`, each of files of one folder."""
    groups, pieces, begin = source.row_groups, list[Piece](), 0
    folders = [source.files[group.file].rpartition("/")[0] for group in groups]
    for _, same in groupby(folders):
        end = begin + sum(1 for _ in same)
        runs = cut_groups(source, groups[begin:end], piece_bytes)
        pieces += [source.piece(begin + first, begin + last) for first, last in runs]
        begin = end
    return pieces or cut_pieces(source, piece_bytes)
