"""The proof: a checksum of whole rows that doesn't depend on their order.

Each row is hashed over all its columns, by name, type-independent of layout
(a string hashes alike as ``string``, ``string_view`` or in a dictionary), and
the rows' hashes are summed in two 64-bit lanes. Two tables with the same sum
and row count hold, but for a chance of about 2⁻¹²⁸, the same rows, whatever
their order; a column that slipped against its neighbours changes the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.blocks import in_blocks
from dlsort.arrow.hidden import without_hidden
from dlsort.arrow.kinds import is_bytes
from dlsort.arrow.transport import combined, to_transport
from dlsort.arrow.views import bytes_views, fixed_view, nulls
from dlsort.tuning import ProofTuning
from dlsort_kernels import (
    fold,
    hash_bytes,
    hash_limbs,
    hash_lists,
    hash_lookup,
    hash_raw,
    hash_words,
)

__all__ = ["NOTHING", "Proof", "prove", "total"]

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
LANE = 2**64
# Columns up to here are hashed together: to copy one takes less than a call, some 60 µs.
_SHORT_ROWS = 16_384


@dataclass(frozen=True)
class Proof:
    """What some rows amount to, in any order.

    Parameters
    ----------
    rows : int
        Number of rows.
    low, high : int
        The two lanes of the checksum, each mod 2⁶⁴.
    """

    rows: int = 0
    low: int = 0
    high: int = 0

    def __add__(self, other: Proof) -> Proof:
        """Return the proof of both sets of rows together."""
        return Proof(
            self.rows + other.rows,
            (self.low + other.low) % LANE,
            (self.high + other.high) % LANE,
        )

    def __sub__(self, other: Proof) -> Proof:
        """Return the proof of these rows without some of them."""
        return Proof(
            self.rows - other.rows,
            (self.low - other.low) % LANE,
            (self.high - other.high) % LANE,
        )

    @property
    def checksum(self) -> str:
        """The checksum as 32 hexadecimal digits."""
        return f"{self.high:016x}{self.low:016x}"


#: Of no rows.
NOTHING = Proof()


def total(proofs: Iterable[Proof]) -> Proof:
    """Return the proof of all the rows together."""
    return sum(proofs, NOTHING)


def prove(table: pa.Table, tuning: ProofTuning) -> Proof:
    """Return row count and checksum of a table's rows.

    Parameters
    ----------
    table : pyarrow.Table
        Any types; columns are distinguished by name, their order does not count. Hidden ones
        are no part of the rows.
    tuning : ProofTuning
        How many rows are hashed together.

    Returns
    -------
    Proof

    Notes
    -----
    Time O(bytes). The row hash is a sum over columns of a mixed value, seeded
    by the column's name, and is mixed once more before rows are summed.

    Examples
    --------
    >>> a = pa.table({"x": [1, 2], "y": ["p", "q"]})
    >>> tuning = ProofTuning(block_rows=65_536)
    >>> prove(a, tuning) == prove(a.take([1, 0]), tuning)
    True
    >>> prove(a, tuning) == prove(pa.table({"x": [1, 2], "y": ["q", "p"]}), tuning)
    False
    """
    table = to_transport(without_hidden(table))
    columns = combined(table)
    seeds = [_seed(name) for name in table.column_names]
    low = high = 0
    lookups = [_dictionary_hashes(c, seed) for c, seed in zip(columns, seeds, strict=True)]
    n_rows = tuning.block_rows
    for start in range(0, table.num_rows, n_rows):
        acc = np.zeros(min(n_rows, table.num_rows - start), np.uint64)
        some = [column.slice(start, n_rows) for column in columns]
        blocks, others = in_blocks(some, _SHORT_ROWS)
        for i in others:
            _hash(acc, some[i], seeds[i], lookups[i])
        for block in blocks:
            _hash_block(acc, block.values, [seeds[i] for i in block.numbers])
        block_low, block_high = fold(acc)
        low, high = low + block_low, high + block_high
    return Proof(table.num_rows, low % LANE, high % LANE)


def _seed(name: str) -> int:
    data = name.encode()
    return crc32(data) | crc32(data[::-1], 1) << 32


def _dictionary_hashes(array: pa.Array, seed: int) -> Hashes | None:
    """Return the hash of each value of a dictionary: once a column, not once a block."""
    if not pt.is_dictionary(array.type):
        return None
    hashes = np.zeros(len(array.dictionary), np.uint64)
    _hash(hashes, array.dictionary, seed)
    return hashes


def _hash(acc: Hashes, array: pa.Array, seed: int, lookup: Hashes | None = None) -> None:
    """Add each value's hash to its row's, in place."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        _hash(acc, array.storage, seed)
        return
    null = nulls(array)
    if pt.is_null(kind):
        hash_words(acc, np.zeros(len(array), np.uint64), null, seed)
    elif pt.is_dictionary(kind):
        if lookup is None:
            lookup = _dictionary_hashes(array, seed)
        _hash_dictionary(acc, array, lookup, null, seed)
    elif is_bytes(kind):
        hash_bytes(acc, *bytes_views(array), null, seed)
    elif pt.is_struct(kind):
        _hash_struct(acc, array, null, seed)
    elif pt.is_list(kind) or pt.is_large_list(kind) or pt.is_map(kind):
        _hash_list(acc, bytes_views(array)[0], array, null, seed)
    elif pt.is_fixed_size_list(kind):
        steps = np.arange(array.offset, array.offset + len(array) + 1, dtype=np.int64)
        _hash_list(acc, steps * kind.list_size, array, null, seed)
    elif kind.num_fields or kind in (pa.string_view(), pa.binary_view()):
        _hash_text(acc, array, seed)
    else:
        _hash_fixed(acc, array, null, seed)


def _hash_block(acc: Hashes, values: pa.Array, seeds: list[int]) -> None:
    """Add the hashes of columns that lie one after the other."""
    columns = fixed_view(values).reshape(len(seeds), len(acc))
    hash_raw(acc, columns, nulls(values), np.array(seeds, np.uint64))


def _hash_fixed(acc: Hashes, array: pa.Array, null: Mask | None, seed: int) -> None:
    values = fixed_view(array)
    if values.ndim == 1:
        hash_raw(acc, values, null, seed)
    elif values.dtype == np.uint64:
        hash_limbs(acc, values, null, seed)
    else:
        width = values.shape[1]
        offsets = np.arange(len(values) + 1, dtype=np.int64) * width
        hash_bytes(acc, offsets, values.reshape(-1), null, seed)


def _hash_dictionary(
    acc: Hashes, array: pa.DictionaryArray, lookup: Hashes | None, null: Mask | None, seed: int
) -> None:
    assert lookup is not None
    if len(lookup):
        hash_lookup(acc, lookup, fixed_view(array.indices), null, seed)
    else:
        hash_words(acc, np.zeros(len(array), np.uint64), null, seed)


def _hash_struct(acc: Hashes, array: pa.StructArray, null: Mask | None, seed: int) -> None:
    inner = np.zeros(len(array), np.uint64)
    for field, child in zip(
        array.type, (array.field(i) for i in range(array.type.num_fields)), strict=True
    ):
        _hash(inner, child, seed ^ _seed(field.name))
    hash_words(acc, inner, null, seed)


def _hash_list(
    acc: Hashes, offsets: npt.NDArray[Any], array: pa.Array, null: Mask | None, seed: int
) -> None:
    first, last = int(offsets[0]), int(offsets[-1])
    child = np.zeros(last - first, np.uint64)
    if pt.is_map(array.type):
        _hash(child, array.keys.slice(first, last - first), seed + 1)
        _hash(child, array.items.slice(first, last - first), seed + 2)
    else:
        _hash(child, array.values.slice(first, last - first), seed + 1)
    hash_lists(acc, offsets - first, child, null, seed)


def _hash_text(acc: Hashes, array: pa.Array, seed: int) -> None:
    """Hash what has no kernel (unions, run-end encodings) by its printed values."""
    texts = pa.array([repr(value) for value in array.to_pylist()], pa.string())
    _hash(acc, texts, seed)
