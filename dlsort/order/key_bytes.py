"""Keys as byte strings that compare as the keys do, for a few thousand keys in Python.

Each column's value is written as :mod:`dlsort.order.nested` writes what is inside of others,
and a zero byte behind it, so that no value's bytes begin another's. Those of a descending key
are complemented. So bytes of several columns, one behind the other, compare as their key does,
and the bytes of its first columns are the beginning of all keys that have these values.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

from dlsort.arrow.transport import combine
from dlsort.keys import SortKey
from dlsort.order.nested import encode_nested

__all__ = ["END_BYTES", "column_bytes"]

END_BYTES = 2  # behind text: its own end, and the column's


def column_bytes(column: pa.ChunkedArray, key: SortKey) -> list[bytes]:
    """Return the bytes of each value of one key column.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        (n) values of a type that can be a key, of no ordered dictionary.
    key : SortKey
        Direction, and places of nulls and NaN.

    Notes
    -----
    Time O(bytes of the values).

    Examples
    --------
    >>> low, high = column_bytes(pa.chunked_array([[7, 5]]), SortKey("x", descending=True))
    >>> low < high
    True
    """
    array = combine(column)
    offsets, data = encode_nested(array, key)
    turned = ~data if key.descending else data
    end = b"\xff" if key.descending else b"\0"
    whole = np.ascontiguousarray(turned).tobytes()
    ends = offsets.tolist()
    return [whole[i:j] + end for i, j in pairwise(ends)]
