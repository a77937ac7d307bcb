"""Variable-length values of few kinds, told apart by hashing.

Sorting by 100,000 different strings is sorting by 100,000 numbers, once each string has
one: then every comparison is that of an integer, and several key columns fit one word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes, Mask, Offsets, Rows, Words
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.memory import empty
from dlsort_kernels.mix import absorb, murmur
from dlsort_kernels.prefix import load_prefix, shared_bytes
from dlsort_kernels.threads import SERIAL, Pool, chunks
from dlsort_kernels.unaligned import prefetch

__all__ = ["Encoded", "encode_bytes", "estimate_distinct"]

# Rows that are looked at to estimate how many different values there are.
SAMPLE = 1 << 13
# Slots looked at for one value before the table is given up: values chosen to collide.
MOST_PROBES = 256
SMALLEST_TABLE = 1 << 12
# Words of a slot: half a cache line.
SLOT = 4
# Rows hashed before they are looked up.
BLOCK = 128

U0 = np.uint64(0)
U1 = np.uint64(1)
U32 = np.uint64(32)
HIGH = np.uint64(0xFFFFFFFF00000000)
LOW = np.uint64(0x00000000FFFFFFFF)


class Encoded(NamedTuple):
    """A column as numbers for its different values.

    Parameters
    ----------
    codes : (n,) uint32
        Of each row, counted anew in each part; of a null row, anything.
    parts : list of tuple of int
        Bounds of the parts of the rows.
    first_rows : list of (d,) uint32
        A row that has the value of each code, a list for each part.
    """

    codes: Rows
    parts: list[tuple[int, int]]
    first_rows: list[Rows]


def estimate_distinct(offsets: Offsets, data: Bytes, null: Mask | None) -> float:
    """Return about how many different values a column has, from a sample of its rows.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    data : (b,) uint8
    null : (n,) bool or None

    Returns
    -------
    float
        As if all values were as frequent: few, if some are frequent. Infinity if no value
        came twice.
    """
    n = len(offsets) - 1
    rows = np.random.default_rng(n).integers(0, n, SAMPLE, dtype=np.uint32)
    if null is not None:
        rows = rows[~null[rows]]
    size = len(rows)
    if size == 0:
        return np.inf
    found = _encode_rows(offsets, data, np.empty(0, np.bool), rows, SAMPLE)
    if found is None:
        return np.inf
    seen = len(found[1])
    if seen == size:
        return np.inf
    # How many of D values a sample meets is D (1 − exp(−size / D)), which grows with D.
    low, high = float(seen), float(size) ** 2
    for _ in range(50):
        middle = (low + high) / 2
        if middle * -np.expm1(-size / middle) < seen:
            low = middle
        else:
            high = middle
    return high


def encode_bytes(
    offsets: Offsets, data: Bytes, null: Mask | None, most: int, *, workers: Pool = SERIAL
) -> Encoded | None:
    """Return a number for each different value; None if they are more than ``most``.

    Parameters
    ----------
    offsets : (n + 1,) int32 or int64
    data : (b,) uint8
        Value ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    null : (n,) bool or None
        Rows that are passed over.
    most : int
        Different values, in each part.
    workers : Pool
        Threads to share the work, a part each.

    Returns
    -------
    Encoded or None

    Notes
    -----
    Expected time O(bytes); memory 4 bytes a row and 32 bytes a different value.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.frombuffer(b"abcab", np.uint8)
    >>> found = encode_bytes(np.array([0, 2, 3, 5]), data, None, 10)
    >>> found.codes.tolist(), [rows.tolist() for rows in found.first_rows]
    ([0, 1, 0], [[0, 1]])
    """
    n = len(offsets) - 1
    parts = chunks(n, workers.threads)
    codes = empty(n, np.uint32)

    def encode(start: int, stop: int) -> Rows | None:
        mask = np.empty(0, np.bool) if null is None else null[start:stop]
        found = _encode_rows(
            offsets[start : stop + 1],
            data,
            mask,
            np.empty(0, np.uint32),
            most,
            codes[start:stop],
        )
        return None if found is None else found[1] + np.uint32(start)

    found = workers.run(encode, *zip(*parts, strict=True))
    first_rows = [rows for rows in found if rows is not None]
    return Encoded(codes, parts, first_rows) if len(first_rows) == len(parts) else None


def _encode_rows(
    offsets: Offsets,
    data: Bytes,
    null: Mask,
    rows: Rows,
    most: int,
    codes: Rows | None = None,
) -> tuple[Rows, Rows] | None:
    """Return the code of each row (of all rows, if none are given), and a row of each code."""
    n = len(rows) or len(offsets) - 1
    codes = np.empty(n, np.uint32) if codes is None else codes
    slots = np.zeros((SMALLEST_TABLE, SLOT), np.uint64)
    first_rows = np.empty(SMALLEST_TABLE // 2, np.uint32)
    hashes = np.empty(BLOCK, np.uint64)
    at, n_codes = 0, 0
    while True:
        at, n_codes = _encode(
            offsets, data, null, rows, slots, first_rows, codes, hashes, at, n_codes
        )
        if at == n:
            return codes, first_rows[:n_codes].copy()
        if at < 0 or n_codes >= most:
            return None
        # Half full: a table of twice the size.
        larger = np.zeros((2 * len(slots), SLOT), np.uint64)
        _refill(slots, offsets, data, first_rows, larger)
        slots = larger
        first_rows = np.concatenate(
            [first_rows, np.empty(len(slots) // 2 - n_codes, np.uint32)]
        )


@inlined
def _hash(data: Bytes, at: Any, size: Any) -> np.uint64:
    # The length, first: so zeros that fill the last word cannot be taken for bytes.
    h = absorb(U1, np.uint64(size))
    for j in range(0, size, 8):
        h = absorb(h, load_prefix(data, at + j, size - j))
    return murmur(h)


_OFFSETS = (types.int32, types.int64)


@kernel(
    *(
        types.UniTuple(types.int64, 2)(
            reads(offset),
            reads(types.uint8),
            reads(types.boolean),
            reads(types.uint32),
            writes(types.uint64, 2),
            writes(types.uint32),
            writes(types.uint32),
            writes(types.uint64),
            types.int64,
            types.int64,
        )
        for offset in _OFFSETS
    )
)
def _encode(
    offsets: Offsets,
    data: Bytes,
    null: Mask,
    rows: Rows,
    slots: Words,
    first_rows: Rows,
    codes: Rows,
    hashes: Words,
    start: int,
    n_codes: int,
) -> tuple[int, int]:
    """Go on from row ``start``; return where it stopped, and how many codes there are.

    It stops at the end, where ``first_rows`` is full, or, with −1, where values collide.
    A slot holds the upper half of a hash, and a code plus 1; the value's length, and its
    row; and its first 16 bytes.
    """
    mask = np.uint64(len(slots) - 1)
    n = len(rows) if len(rows) else len(offsets) - 1
    for block in range(start, n, BLOCK):
        end = min(block + BLOCK, n)
        # All hashes of a block first, and its slots asked for: the memory answers in parallel.
        for i in range(block, end):
            row = np.int64(rows[i]) if len(rows) else np.int64(i)
            at = np.int64(offsets[row])
            h = _hash(data, at, np.int64(offsets[row + 1]) - at)
            hashes[i - block] = h
            prefetch(slots, np.int64((h & mask) * np.uint64(SLOT)))
        for i in range(block, end):
            if len(null) and null[i]:
                codes[i] = 0
                continue
            row = np.int64(rows[i]) if len(rows) else np.int64(i)
            at = np.int64(offsets[row])
            size = np.int64(offsets[row + 1]) - at
            h = hashes[i - block]
            first = load_prefix(data, at, size)
            second = load_prefix(data, at + 8, size - 8) if size > 8 else U0
            slot = h & mask
            probes = 0
            while True:
                held = slots[slot, 0]
                if held == U0:
                    if n_codes == len(first_rows):
                        return i, n_codes
                    slots[slot, 0] = (h & HIGH) | np.uint64(n_codes + 1)
                    slots[slot, 1] = (np.uint64(size) << U32) | np.uint64(row)
                    slots[slot, 2] = first
                    slots[slot, 3] = second
                    first_rows[n_codes] = row
                    codes[i] = n_codes
                    n_codes += 1
                    break
                differs = ((held ^ h) & HIGH) | (slots[slot, 2] ^ first)
                differs |= (slots[slot, 3] ^ second) | (
                    (slots[slot, 1] >> U32) ^ np.uint64(size)
                )
                if differs == U0:
                    if size <= 16:
                        codes[i] = (held & LOW) - U1
                        break
                    other_at = np.int64(offsets[slots[slot, 1] & LOW])
                    if shared_bytes(data, at + 16, other_at + 16, size - 16) == size - 16:
                        codes[i] = (held & LOW) - U1
                        break
                slot = (slot + U1) & mask
                probes += 1
                if probes > MOST_PROBES:
                    return -1, n_codes
    return n, n_codes


@kernel(
    *(
        types.void(
            reads(types.uint64, 2),
            reads(offset),
            reads(types.uint8),
            reads(types.uint32),
            writes(types.uint64, 2),
        )
        for offset in _OFFSETS
    )
)
def _refill(
    slots: Words, offsets: Offsets, data: Bytes, first_rows: Rows, larger: Words
) -> None:
    """Bring every code of a table to a larger one."""
    mask = np.uint64(len(larger) - 1)
    for i in range(len(slots)):
        if slots[i, 0] == U0:
            continue
        row = np.int64(slots[i, 1] & LOW)
        at = np.int64(offsets[row])
        slot = _hash(data, at, np.int64(offsets[row + 1]) - at) & mask
        while larger[slot, 0] != U0:
            slot = (slot + U1) & mask
        for k in range(SLOT):
            larger[slot, k] = slots[i, k]
