"""Eight and sixteen bytes at once, at any address: what NumPy indexing cannot say.

Variable-length values start anywhere, so a loop over them in numba goes byte by byte;
whole words at odd addresses make the same loop about three times as fast. Each function
has a plain Python body, which runs under ``NUMBA_DISABLE_JIT=1`` and states what the
compiled one does. None of them checks a bound: the caller does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

__all__ = ["copy16", "load8", "prefetch"]

Bytes = npt.NDArray[np.uint8]
Index = int | np.int64

_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
# A vector, so that one SSE or NEON register carries it.
_V16 = ir.VectorType(_I8, 16)


def load8(data: Bytes, at: Index) -> np.uint64:
    """Return bytes ``data[at:at + 8]`` as a word in the machine's byte order.

    Examples
    --------
    >>> import numpy as np
    >>> int(load8(np.full(9, 1, dtype=np.uint8), 1)) == 0x0101_0101_0101_0101
    True
    """
    return np.frombuffer(data[at : at + 8].tobytes(), np.uint64)[0]


def copy16(out: Bytes, to: Index, data: Bytes, at: Index) -> None:
    """Copy bytes ``data[at:at + 16]`` to ``out[to:to + 16]``.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.zeros(20, np.uint8)
    >>> copy16(out, 1, np.arange(100, 120, dtype=np.uint8), 3)
    >>> out[:4].tolist()
    [0, 103, 104, 105]
    """
    out[to : to + 16] = data[at : at + 16]


def prefetch(data: npt.NDArray[Any], at: Index) -> None:
    """Ask for the cache line of ``data[at]``; nothing is read, so any index will do."""


def _address(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    """Return the address of ``array[at]``."""
    base = context.make_array(array_type)(context, builder, array).data
    # Not "inbounds": a prefetch may point past the end.
    return builder.gep(base, [at])


def _load8(typing_context: Any, data: Any, at: Any) -> Any:
    """Type and emit an unaligned load of a word."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args)
        return builder.load(builder.bitcast(address, _I64.as_pointer()), align=1)

    return types.uint64(data, types.intp), emit


def _copy16(typing_context: Any, out: Any, to: Any, data: Any, at: Any) -> Any:
    """Type and emit an unaligned load and store of 16 bytes."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = _address(context, builder, signature.args[0], *args[:2])
        source = _address(context, builder, signature.args[2], *args[2:])
        value = builder.load(builder.bitcast(source, _V16.as_pointer()), align=1)
        builder.store(value, builder.bitcast(target, _V16.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, data, types.intp), emit


def _prefetch(typing_context: Any, data: Any, at: Any) -> Any:
    """Type and emit LLVM's prefetch of data for reading, to be kept in every cache."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args)
        pointer = _I8.as_pointer()
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [pointer],
            ir.FunctionType(ir.VoidType(), [pointer, _I32, _I32, _I32]),
        )
        read, keep, is_data = _I32(0), _I32(3), _I32(1)
        builder.call(hint, [builder.bitcast(address, pointer), read, keep, is_data])
        return context.get_dummy_value()

    return types.void(data, types.intp), emit


def _compile_as(plain: Callable[..., Any], emitter: Callable[..., Any]) -> None:
    """Let kernels that call ``plain`` use the intrinsic instead."""
    emit = intrinsic(emitter)
    # Lambdas, as numba wants both signatures alike to the letter, and without types.
    if plain is copy16:
        overload(plain)(
            lambda out, to, data, at: lambda out, to, data, at: emit(out, to, data, at)
        )
    else:
        overload(plain)(lambda data, at: lambda data, at: emit(data, at))


_compile_as(load8, _load8)
_compile_as(copy16, _copy16)
_compile_as(prefetch, _prefetch)
