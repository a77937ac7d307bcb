"""How columns are stored in the source, and how they are best stored in the result.

pyarrow's default writes a dictionary for every column and falls back to plain
pages when it has grown too large: the slow way for a column of mostly distinct
values, and twice the bytes. The source's footers tell which columns are worth
a dictionary; integers and what is stored as them are delta-packed otherwise.
On TPC-H lineitem that halves the writer's time at a smaller file (DESIGN.md).
A part's own rows put that right where they can (part_encoding).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_text, is_wide
from dlsort.tuning import IoTuning

__all__ = ["ColumnLayout", "Encodings", "choose_encodings", "layouts", "readable_as_dictionary"]

DELTA_TYPES = ("INT32", "INT64")
DECIMAL_AS_INTEGER = 18  # digits that fit a 64-bit integer


@dataclass(frozen=True)
class ColumnLayout:
    """How one leaf column is stored over all files.

    Parameters
    ----------
    physical_type : str
        Parquet's type, such as ``INT64``.
    n_values : int
        Values in all.
    dictionary_bytes : int
        Size of all dictionary pages as stored.
    with_dictionary : int
        Values in column chunks that have a dictionary page.
    """

    physical_type: str
    n_values: int = 0
    dictionary_bytes: int = 0
    with_dictionary: int = 0

    def has_few_values(self, tuning: IoTuning) -> bool:
        """Whether its dictionaries are small beside its values."""
        return (
            self.with_dictionary == self.n_values > 0
            and self.dictionary_bytes <= tuning.dictionary_value_bytes * self.n_values
        )


@dataclass(frozen=True)
class Encodings:
    """What the writer is told; what it isn't told of is plain.

    Parameters
    ----------
    dictionary : tuple of str
        Paths of the leaf columns that get a dictionary.
    other : dict of str to str
        Parquet's name of the encoding of other leaf columns, by path.
    """

    dictionary: tuple[str, ...]
    other: dict[str, str]


def layouts(
    stored: Iterable[tuple[Sequence[Any], npt.NDArray[np.int64]]],
) -> dict[str, ColumnLayout]:
    """Return how each leaf column is stored, by its path.

    Parameters
    ----------
    stored : iterable of (leaves, chunks)
        Each file's leaf columns (``path`` and ``kind``) and column chunks, as of
        :func:`dlsort_kernels.sound_chunks`.

    Notes
    -----
    Time O(chunks); files whose leaves are one object are counted together.
    """
    by_leaves: dict[int, tuple[Sequence[Any], list[npt.NDArray[np.int64]]]] = {}
    for leaves, chunks in stored:
        by_leaves.setdefault(id(leaves), (leaves, []))[1].append(chunks)
    found: dict[str, ColumnLayout] = {}
    for leaves, of_files in by_leaves.values():
        chunks = np.concatenate(of_files)
        if not len(chunks):
            continue
        start, _, n_values, pages, _, _ = chunks.T.reshape(6, -1, len(leaves))
        has_dictionary = start < pages
        for i, leaf in enumerate(leaves):
            one = found.get(leaf.path, ColumnLayout(leaf.kind))
            inside = has_dictionary[:, i]
            found[leaf.path] = ColumnLayout(
                one.physical_type,
                one.n_values + int(n_values[:, i].sum()),
                one.dictionary_bytes + int((pages - start)[inside, i].sum()),
                one.with_dictionary + int(n_values[inside, i].sum()),
            )
    return found


def readable_as_dictionary(
    field: pa.Field, stored: Mapping[str, ColumnLayout], tuning: IoTuning
) -> bool:
    """Return whether a column of strings should stay a dictionary on its way through."""
    kind = field.type
    text = is_text(kind) or is_binary(kind)
    layout = stored.get(field.name)
    return text and not is_wide(kind) and layout is not None and layout.has_few_values(tuning)


def choose_encodings(
    schema: pa.Schema, stored: Mapping[str, ColumnLayout], tuning: IoTuning
) -> Encodings:
    """Return the encodings of the result from how the source is stored."""
    dictionary: list[str] = []
    other: dict[str, str] = {}
    for path, layout in stored.items():
        kind = schema.field(path).type if path in schema.names else None
        if layout.has_few_values(tuning) or (kind is not None and pt.is_dictionary(kind)):
            dictionary.append(path)
        elif layout.physical_type in DELTA_TYPES or (
            kind is not None and pt.is_decimal(kind) and kind.precision <= DECIMAL_AS_INTEGER
        ):
            other[path] = "DELTA_BINARY_PACKED"
    return Encodings(tuple(dictionary), other)
