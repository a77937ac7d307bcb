"""Text rows: what CSV and JSON lines have in common, for those who read either."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

__all__ = ["RoundedError", "TextRows", "in_small_blocks", "large_floats", "with_types"]

#: From here on not every whole number is a float64.
EXACT = 2.0**53
#: Of text that is parsed at once, so that what it becomes stays in the cache, and memory is
#: used again: 16 MiB at once take a third longer of CSV, and 10 to 40 % of JSON.
PARSED_BYTES = 1 << 20


class RoundedError(pa.ArrowInvalid):  # type: ignore[misc] # pyarrow is Any
    """A whole number would be rounded."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(f"column {column!r} holds {text}, which float64 would round")
        self.column = column


class TextRows(ABC):
    """How a format's text becomes rows.

    Parameters
    ----------
    types : mapping of str to pyarrow.DataType
        Types of columns that are given; the others are inferred.
    """

    #: What people call it.
    name: str
    #: The encoding of its text.
    encoding = "utf-8"
    #: Whether names stand above the first rows.
    has_names = False

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        self.types = types

    @abstractmethod
    def row_end(self, text: bytes) -> int:
        """Return where the last whole row of a text ends, 0 if there is none."""

    @abstractmethod
    def infer(self, text: bytes, *, is_first: bool) -> pa.Schema:
        """Return the columns of a text, and their types.

        Raises
        ------
        pyarrow.ArrowInvalid
            If it is none, or has not the types that are given.
        """

    @abstractmethod
    def infer_more(self, text: bytes, schema: pa.Schema, *, is_first: bool) -> pa.Schema:
        """Return the types that a further text needs, of columns of the first one's names.

        Raises
        ------
        pyarrow.ArrowInvalid
            As :meth:`infer` does.
        """

    @abstractmethod
    def read(self, text: bytes, schema: pa.Schema, *, is_first: bool) -> pa.Table:
        """Return the rows of a text; above the first of a file names may stand.

        Raises
        ------
        pyarrow.ArrowInvalid
            If it is none, or values don't fit the types.
        """

    def bad_row(self, text: bytes, read: Callable[[bytes], object]) -> int:
        """Return where the first row begins that can't be read: by halves."""
        good, bad = 0, len(text)
        while True:
            middle = good + self.row_end(text[good : good + (bad - good) // 2])
            if middle == good:  # the first half is of one row
                middle = good + self._first_end(text[good:bad])
            if middle >= bad:
                return good
            try:
                read(text[:middle])
                good = middle
            except pa.ArrowException:
                bad = middle

    def _first_end(self, text: bytes) -> int:
        """Return where the first row ends."""
        at = -1
        while (at := text.find(b"\n", at + 1)) >= 0:
            if end := self.row_end(text[: at + 1]):
                return end
        return len(text)


def in_small_blocks(
    text: bytes, read: Callable[[int], pa.Table], *, has_types: bool
) -> pa.Table:
    """Return the rows of a text that is parsed in small blocks; at once if a row is longer.

    Parameters
    ----------
    text : bytes
        Of whole rows.
    read : callable
        Parses it in blocks of so many bytes.
    has_types : bool
        Whether all columns' types are given: others are inferred of the first block.
    """
    if has_types and len(text) > PARSED_BYTES:
        try:
            return read(PARSED_BYTES).combine_chunks()
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
    return read(len(text) + 1)


def with_types(schema: pa.Schema, types: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return a schema with some columns' types."""
    return pa.schema([f.with_type(types.get(f.name, f.type)) for f in schema])


def large_floats(table: pa.Table, given: Mapping[str, pa.DataType]) -> Iterator[str]:
    """Yield the columns whose floats may be whole numbers that were rounded.

    Of columns whose types were given, rounding is what was asked for.
    """
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name not in given and any(map(_is_large, _leaves(column))):
            yield name


def _is_large(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    return low is not None and max(-low, high) >= EXACT


def _leaves(column: pa.ChunkedArray | pa.Array) -> Iterator[pa.ChunkedArray | pa.Array]:
    """Yield the floats that a column holds, at any depth."""
    kind = column.type
    if pt.is_floating(kind):
        yield column
    elif pt.is_struct(kind):
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            for child in chunk.flatten():
                yield from _leaves(child)
    elif pt.is_list(kind):
        yield from _leaves(pc.list_flatten(column))
