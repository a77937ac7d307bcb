"""The lead: the first word of a key, with as many key columns in it as fit.

Each column's word is taken relative to the range of some *reference* rows and
packed to the exact bits that range needs, one column after the other, until
64 bits are full. The last one may get in with its top bits only. The local
sort's reference is the rows themselves; the model's is its splitters, and a
row outside their range then gets a code below or above all of them. So for
any row r and any reference row s, with complete columns only::

    lead(r) < lead(s)  ⇒  r sorts before s
    lead(r) > lead(s)  ⇒  r sorts after s
    lead(r) = lead(s)  ⇒  they tie on the complete columns

which is all that an exact binary search over the splitters needs, and, with
the rows themselves as reference, all that a sort needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from dlsort.keys import SortKey
from dlsort.order.words import BytesColumn, Column, FixedColumn, Words
from dlsort.tuning import OrderTuning
from dlsort_kernels import (
    SERIAL,
    Pool,
    add_code,
    chunks,
    code_text,
    common_prefix,
    fit_text_code,
    int_words,
    prefix_words,
    word_range,
)

__all__ = ["ColumnCode", "LeadCode", "fit_lead"]

WORD_BITS = 64
WORD_BYTES = 8
SHORT_BYTES = 7  # a value this short fits a word together with its length
WIDE_SPAN = 2**62  # from here on a word loses its lowest bits, to leave codes for the outside
_Range = tuple[int, int, bool, bool]


@dataclass(frozen=True)
class ColumnCode:
    """How one column's values become codes in the lead.

    Parameters
    ----------
    lo, hi : int
        Range of the reference rows' words, after ``coarse``.
    coarse : int
        Low bits of the word left out because the range is too wide.
    bits, drop : int
        Bits that the code takes in the lead; low bits of the code left out.
    has_nulls : bool
        A code is kept for null.
    prefix : bytes or None
        A bytes column: what all reference values begin with.
    short : bool
        A bytes column: the word is the next 7 bytes and the length.
    text : (1024, 258) uint32 or None
        A bytes column: the arithmetic code that makes the word of what follows.
    shared : bool
        Every value that will be seen begins with the prefix.
    """

    descending: bool
    nulls_first: bool
    lo: int
    hi: int
    coarse: int
    bits: int
    drop: int
    has_nulls: bool
    prefix: bytes | None
    short: bool
    text: npt.NDArray[np.uint32] | None
    shared: bool

    def add(self, lead: Words, column: Column) -> None:
        """Shift the lead left and put this column's codes at its low end, in place."""
        values: npt.NDArray[np.integer]
        if isinstance(column, FixedColumn) and column.is_integer:
            values, outside = column.values, None
        else:
            values, outside = _first_words(
                column, self.prefix, self.text, short=self.short, shared=self.shared
            )
        add_code(
            lead,
            values,
            column.null,
            outside,
            lo=self.lo,
            hi=self.hi,
            bits=self.bits,
            drop=self.drop,
            descending=self.descending,
            nulls_first=self.nulls_first,
            has_nulls=self.has_nulls,
            coarse=self.coarse,
        )


@dataclass(frozen=True)
class LeadCode:
    """How the key columns become the lead.

    Parameters
    ----------
    codes : tuple of ColumnCode
        One a column in the lead.
    complete : int
        How many columns, from the first, are in it with all that tells their
        values apart.
    """

    codes: tuple[ColumnCode, ...]
    complete: int

    def lead(self, columns: Sequence[Column], out: Words | None = None) -> Words:
        """Return the lead of each row, (n,) uint64, in ``out`` if given; O(n) a column."""
        lead = np.empty(len(columns[0]), np.uint64) if out is None else out
        lead[:] = 0
        for code, column in zip(self.codes, columns, strict=False):
            code.add(lead, column)
        return lead


def fit_lead(
    columns: Sequence[Column],
    keys: Sequence[SortKey],
    tuning: OrderTuning,
    *,
    for_others: bool = False,
    to_sort: bool = False,
    workers: Pool = SERIAL,
) -> LeadCode:
    """Return the packing that suits some reference rows.

    Parameters
    ----------
    columns : sequence of Column
        The reference rows' key columns.
    keys : sequence of SortKey
        Direction and null place of each.
    tuning : OrderTuning
        How many rows are looked at together, and when text gets a code.
    for_others : bool
        Rows that are not reference rows will get leads too: a code is kept for null in
        each column even if no reference row is null, and prefixes are compared.
    to_sort : bool
        Leads that tie cost a random access: text may get an arithmetic code.
    workers : Pool
        Threads to share the reading of the columns' ranges.

    Returns
    -------
    LeadCode
    """
    left = WORD_BITS
    codes: list[ColumnCode] = []
    complete = 0
    for column, key in zip(columns, keys, strict=True):
        code, exact = _fit_column(
            column, key, tuning, workers, for_others=for_others, to_sort=to_sort
        )
        if code.bits > left:
            if left >= tuning.fewest_lead_bits:
                drop = code.bits - left
                codes.append(_narrowed(code, left, drop))
            break
        codes.append(code)
        left -= code.bits
        if not exact:
            break
        complete += 1
    return LeadCode(tuple(codes), complete)


def _narrowed(code: ColumnCode, bits: int, drop: int) -> ColumnCode:
    return replace(code, bits=bits, drop=drop)


def _fit_column(
    column: Column,
    key: SortKey,
    tuning: OrderTuning,
    workers: Pool,
    *,
    for_others: bool,
    to_sort: bool,
) -> tuple[ColumnCode, bool]:
    prefix, short, text = None, False, None
    if isinstance(column, BytesColumn):
        prefix, short = _fit_bytes(column, tuning.block_rows)
        if to_sort and not short:
            text = _fit_text(column, len(prefix), tuning)
    if text is not None:
        lo, hi, has_outside, found_nulls = 0, 2**64 - 1, False, column.null is not None
    else:
        block_rows = tuning.block_rows
        lo, hi, has_outside, found_nulls = _range(
            column, prefix, block_rows, workers, short=short
        )
    exact = short if isinstance(column, BytesColumn) else not has_outside
    has_nulls = for_others or found_nulls
    coarse = 0
    while (hi >> coarse) - (lo >> coarse) >= WIDE_SPAN:
        coarse += 1
        exact = False
    lo, hi = lo >> coarse, hi >> coarse
    n_codes = hi - lo + 3 + has_nulls
    code = ColumnCode(
        key.descending,
        key.nulls_first,
        lo,
        hi,
        coarse,
        bits=(n_codes - 1).bit_length(),
        drop=0,
        has_nulls=has_nulls,
        prefix=prefix,
        short=short,
        text=text,
        shared=not for_others,
    )
    return code, exact


def _range(
    column: Column, prefix: bytes | None, block_rows: int, workers: Pool, *, short: bool
) -> tuple[int, int, bool, bool]:
    """Return the lowest and highest word, and whether any is outside or null."""
    if isinstance(column, FixedColumn) and column.is_plain_integer and len(column):
        find: Callable[[int, int], _Range] = partial(_range_of_integers, column, block_rows)
    else:
        find = partial(_range_of_words, column, prefix, block_rows, short=short)
    found = workers.run(find, *zip(*chunks(len(column), workers.threads), strict=True))
    lo, hi = min(each[0] for each in found), max(each[1] for each in found)
    has_outside, has_nulls = any(each[2] for each in found), any(each[3] for each in found)
    return (lo, hi, has_outside, has_nulls) if hi >= 0 else (0, 0, has_outside, has_nulls)


def _range_of_integers(column: FixedColumn, block_rows: int, first: int, last: int) -> _Range:
    # No words need be made: they sort as the integers do.
    blocks = [
        column.values[start : min(start + block_rows, last)]
        for start in range(first, last, block_rows)
    ]
    ends = np.array([[block.min(), block.max()] for block in blocks], column.values.dtype)
    words = int_words(ends)
    return int(words.min()), int(words.max()), False, False


def _range_of_words(
    column: Column, prefix: bytes | None, block_rows: int, first: int, last: int, *, short: bool
) -> _Range:
    lo, hi, has_outside, has_nulls = 2**64, -1, False, False
    for start in range(first, last, block_rows):
        block = column.slice(start, min(start + block_rows, last))
        words, outside = _first_words(block, prefix, None, short=short, shared=True)
        valid = None if block.null is None else ~block.null
        if outside is not None and outside.any():
            has_outside = True
            inside = outside == 0
            valid = inside if valid is None else inside & valid
        has_nulls |= block.null is not None
        if valid is not None:
            words = words[valid]
        if len(words):
            low, high, _ = word_range(words, np.uint64(0))
            lo, hi = min(lo, int(low)), max(hi, int(high))
    return lo, hi, has_outside, has_nulls


def _fit_bytes(column: BytesColumn, block_rows: int) -> tuple[bytes, bool]:
    """Return the common prefix, and whether all that follows is short."""
    valid = None if column.null is None else ~column.null
    n_bytes = common_prefix(column.offsets, column.data, valid)
    longest = 0
    for row in range(0, len(column), block_rows):
        lengths = np.diff(column.offsets[row : row + block_rows + 1])
        if valid is not None:
            lengths = lengths[valid[row : row + block_rows]]
        longest = max(longest, int(lengths.max(initial=0)))
    first = 0 if valid is None or not len(column) else int(np.argmax(valid))
    start = int(column.offsets[first]) if len(column) else 0
    prefix = column.data[start : start + n_bytes].tobytes()
    return prefix, longest - n_bytes <= SHORT_BYTES


def _fit_text(
    column: BytesColumn, depth: int, tuning: OrderTuning
) -> npt.NDArray[np.uint32] | None:
    """Return an arithmetic code for a column, if words of 8 bytes would often tie."""
    if len(column) < tuning.coded_rows:
        return None
    rows = np.arange(0, len(column), -(-len(column) // tuning.coded_sample), dtype=np.uint32)
    if column.null is not None:
        rows = rows[~column.null[rows]]
    words = prefix_words(column.offsets, column.data, depth, rows)
    if len(np.unique(words)) > (1 - tuning.coded_ties) * len(words):
        return None
    return fit_text_code(column.offsets, column.data, rows, depth)


def _first_words(
    column: Column,
    prefix: bytes | None,
    text: npt.NDArray[np.uint32] | None,
    *,
    short: bool,
    shared: bool,
) -> tuple[Words, npt.NDArray[np.int8] | None]:
    if isinstance(column, FixedColumn):
        return column.first, column.outside
    prefix = prefix or b""
    if text is not None:
        return code_text(column.offsets, column.data, len(prefix), text), None
    outside = None if shared else _beside_prefix(column, prefix)
    words = prefix_words(column.offsets, column.data, len(prefix), None)
    if short:
        lengths = np.diff(column.offsets).astype(np.int64) - len(prefix)
        np.clip(lengths, 0, WORD_BYTES, out=lengths)
        words &= ~np.uint64(0xFF)
        words |= lengths.view(np.uint64)
    return words, outside


def _beside_prefix(column: BytesColumn, prefix: bytes) -> npt.NDArray[np.int8] | None:
    """Return −1 or +1 for values that sort before or after all that begin with the prefix."""
    outside: npt.NDArray[np.int8] | None = None
    lengths = None
    for depth in range(0, len(prefix), WORD_BYTES):
        piece = prefix[depth : depth + WORD_BYTES]
        unused = np.uint64(8 * (WORD_BYTES - len(piece)))
        words = prefix_words(column.offsets, column.data, depth, None) >> unused
        wanted = np.uint64(int.from_bytes(piece, "big"))
        if lengths is None:
            lengths = np.diff(column.offsets)
        # a value that ends inside the prefix sorts before it even where the
        # zero padding looks the same
        short = (words == wanted) & (lengths < depth + len(piece))
        if (words == wanted).all() and not short.any():
            continue
        if outside is None:
            outside = np.zeros(len(words), np.int8)
        undecided = outside == 0
        outside[undecided & ((words < wanted) | short)] = -1
        outside[undecided & (words > wanted)] = 1
    if outside is not None and column.null is not None:
        outside[column.null] = 0
    return outside
