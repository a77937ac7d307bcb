"""Blocks: short columns of one type, one after the other in an array.

A wide table has thousands of columns of a few thousand rows, and what a column costs in
Python is then more than what its values cost. A block of them costs what one column does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.types as pt

__all__ = ["Block", "in_blocks"]

# What a block takes at most: no more than a cache holds, and what is kept of a block is little.
BLOCK_VALUES = 1 << 15


class Block(NamedTuple):
    """Columns of as many rows each.

    ``numbers``: which of all columns they are. ``values``: theirs, one after the other.
    """

    numbers: list[int]
    values: pa.Array


def in_blocks(columns: Sequence[pa.Array], most_rows: int) -> tuple[Iterator[Block], list[int]]:
    """Return blocks of short columns of whole bytes, and which columns are left over.

    Parameters
    ----------
    columns : sequence of pyarrow.Array
        All of one length. A block is made of them as they are when it is asked for.
    most_rows : int
        Longer columns stay alone: to copy them takes more than a call.
    """
    n_rows = len(columns[0]) if columns else 0
    if len(columns) < 4 or not 0 < n_rows <= most_rows:
        return iter(()), list(range(len(columns)))
    by_kind: dict[pa.DataType, list[int]] = {}
    others: list[int] = []
    for number, column in enumerate(columns):
        kind = column.type
        # Types of others can't always be hashed.
        if pt.is_primitive(kind) and 8 <= kind.bit_width <= 64:
            by_kind.setdefault(kind, []).append(number)
        else:
            others.append(number)
    blocks: list[list[int]] = []
    step = max(1, BLOCK_VALUES // n_rows)
    for numbers in by_kind.values():
        if len(numbers) > 1:
            starts = range(0, len(numbers), step)
            blocks += [numbers[first : first + step] for first in starts]
        else:
            others += numbers
    made = (Block(some, pa.concat_arrays([columns[i] for i in some])) for some in blocks)
    return made, sorted(others)
