"""The lead: the first word of a key, as many key columns' exact bits as fit 64, packed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Mask, Words
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes

__all__ = ["add_code"]

U0 = np.uint64(0)
U1 = np.uint64(1)
U2 = np.uint64(2)
ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


def add_code(
    lead: Words,
    values: npt.NDArray[np.integer],
    nulls: Mask | None,
    outside: npt.NDArray[np.int8] | None,
    *,
    lo: int,
    hi: int,
    bits: int,
    drop: int,
    descending: bool,
    nulls_first: bool,
    has_nulls: bool,
    coarse: int = 0,
) -> None:
    """Append one key column's code to the lead, in place.

    With ``span = hi - lo``, a word inside ``[lo, hi]`` has code ``word - lo + 1``, one
    below has 0 and one above ``span + 2``. Descending order turns the codes round. Nulls,
    if the column can have them, take one more code at the end they sort to.

    Parameters
    ----------
    lead : (n,) uint64
        Becomes ``lead << bits | code >> drop``, per row.
    values : (n,) any integer dtype
        Integers as they lie, whose words are those of `int_words`; or words, as uint64.
    nulls : (n,) bool or None
        Read only if ``has_nulls``.
    outside : (n,) int8 or None
        −1 where the value is below every word, 1 where it is above (`decimal_words`).
    lo, hi : int
        Range of the column's words, with ``0 <= hi - lo <= 2**63``, after ``coarse``.
    bits : int
        Width of the code after ``drop``, from 0 to 64. 64 replaces the lead.
    drop : int
        Low bits of the code to leave out, from 0 to 63.
    descending, nulls_first, has_nulls : bool
    coarse : int
        Low bits of the words to leave out, from 0 to 63.

    Notes
    -----
    Time O(n), about 1 ns a row.

    Examples
    --------
    >>> import numpy as np
    >>> from dlsort_kernels import add_code
    >>> lead = np.array([1, 0], dtype=np.uint64)
    >>> words = np.array([12, 10], dtype=np.uint64)
    >>> add_code(lead, words, None, None, lo=10, hi=12, bits=4, drop=0,
    ...          descending=False, nulls_first=False, has_nulls=False)
    >>> lead.tolist()   # 1 << 4 | 3, 0 << 4 | 1
    [19, 1]
    """
    span = hi - lo
    shift = int(has_nulls and nulls_first)
    # Turned round, span + 2 - code is ~code + span + 3.
    base = span + 3 + shift if descending else shift
    # A signed integer of w bits is a word with its sign bit flipped, 2^63 - 2^(w - 1) higher.
    half = 1 << 8 * values.dtype.itemsize - 1 if values.dtype.kind == "i" else 0
    _add_code(
        lead,
        values.view(f"u{values.dtype.itemsize}"),
        np.empty(0, np.bool) if nulls is None or not has_nulls else nulls,
        np.empty(0, np.int8) if outside is None else outside,
        np.uint64(half),
        np.uint64((1 << 63) - half if half else 0),
        np.uint64(coarse),
        np.uint64(lo),
        np.uint64(hi),
        ONES if descending else U0,
        np.uint64(base),
        U0 if nulls_first else np.uint64(span + 3),
        np.uint64(bits),
        np.uint64(drop),
    )


@kernel(
    *(
        types.void(
            writes(types.uint64),
            reads(kind),
            reads(types.boolean),
            reads(types.int8),
            *(types.uint64,) * 10,
        )
        for kind in (types.uint8, types.uint16, types.uint32, types.uint64)
    )
)
def _add_code(
    lead: Words,
    values: npt.NDArray[np.unsignedinteger],
    nulls: Mask,
    outside: npt.NDArray[np.int8],
    flip: np.uint64,
    offset: np.uint64,
    coarse: np.uint64,
    lo: np.uint64,
    hi: np.uint64,
    turn: np.uint64,
    base: np.uint64,
    null_code: np.uint64,
    bits: np.uint64,
    drop: np.uint64,
) -> None:
    # Two shifts, because a shift by 64 is undefined.
    half = bits >> U1
    rest = bits - half
    # Below lo is 0; the additions wrap round, which modulo 2^64 is exact.
    if len(nulls) == 0 and len(outside) == 0:
        for i in range(len(values)):
            word = ((np.uint64(values[i]) ^ flip) + offset) >> coarse
            code = min(max(word, lo), hi) - lo + U1
            code += np.uint64(word > hi) - np.uint64(word < lo)
            code = (code ^ turn) + base
            lead[i] = ((lead[i] << half) << rest) | (code >> drop)
        return
    top = hi - lo + U2
    for i in range(len(values)):
        word = ((np.uint64(values[i]) ^ flip) + offset) >> coarse
        code = min(max(word, lo), hi) - lo + U1
        code += np.uint64(word > hi) - np.uint64(word < lo)
        if len(outside):
            code = U0 if outside[i] < 0 else (top if outside[i] > 0 else code)
        code = (code ^ turn) + base
        if len(nulls) and nulls[i]:
            code = null_code
        lead[i] = ((lead[i] << half) << rest) | (code >> drop)
