"""Bit tricks that Python has no operator for, as single instructions inside kernels."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

__all__ = ["bit_length", "float_of"]


def bit_length(word: np.uint64) -> np.uint64:
    """Return how many bits a word has, up to its highest that is set.

    Examples
    --------
    >>> import numpy as np
    >>> int(bit_length(np.uint64(0))), int(bit_length(np.uint64(5)))
    (0, 3)
    """
    return np.uint64(int(word).bit_length())


def float_of(bits: np.uint64) -> np.float64:
    """Return the float64 of these bits.

    Examples
    --------
    >>> import numpy as np
    >>> float(float_of(np.uint64(0x3FF8000000000000)))
    1.5
    """
    return np.float64(struct.unpack("<d", struct.pack("<Q", int(bits)))[0])


def _bit_length(typing_context: Any, word: Any) -> Any:
    """Type and emit 64 less the leading zeros."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        leading = builder.ctlz(args[0], ir.IntType(1)(0))
        return builder.sub(ir.IntType(64)(64), leading)

    return types.uint64(types.uint64), emit


def _float_of(typing_context: Any, bits: Any) -> Any:
    """Type and emit a cast that changes no bit."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), emit


_emit_bit_length: Any = intrinsic(_bit_length)
_emit_float_of: Any = intrinsic(_float_of)
overload(bit_length)(lambda word: lambda word: _emit_bit_length(word))
overload(float_of)(lambda bits: lambda bits: _emit_float_of(bits))
