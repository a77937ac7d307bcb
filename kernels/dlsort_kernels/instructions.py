"""The instructions that the compiler puts in the place of a few plain functions."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.cpython.unsafe.tuple import tuple_setitem
from numba.extending import intrinsic, overload

from dlsort_kernels.bits import bit_length, float_of, mul_high
from dlsort_kernels.thrift_bytes import put
from dlsort_kernels.unaligned import copy16, load8, prefetch, store8

__all__ = ["register"]

_I1 = ir.IntType(1)
_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_I128 = ir.IntType(128)
# A vector, so that one SSE or NEON register carries it.
_V16 = ir.VectorType(_I8, 16)


def register() -> None:
    """Let kernels that call the plain functions have the instructions instead."""
    emit_load8: Any = intrinsic(_load8)
    emit_copy16: Any = intrinsic(_copy16)
    emit_prefetch: Any = intrinsic(_prefetch)
    emit_bit_length: Any = intrinsic(_bit_length)
    emit_float_of: Any = intrinsic(_float_of)
    emit_store8: Any = intrinsic(_store8)
    emit_mul_high: Any = intrinsic(_mul_high)
    emit_put: Any = tuple_setitem
    # Lambdas, as numba wants both signatures alike to the letter, and without types.
    overload(load8)(lambda data, at: lambda data, at: emit_load8(data, at))
    overload(copy16)(
        lambda out, to, data, at: lambda out, to, data, at: emit_copy16(out, to, data, at)
    )
    overload(prefetch)(lambda data, at: lambda data, at: emit_prefetch(data, at))
    overload(bit_length)(lambda word: lambda word: emit_bit_length(word))
    overload(float_of)(lambda bits: lambda bits: emit_float_of(bits))
    overload(store8)(lambda out, to, word: lambda out, to, word: emit_store8(out, to, word))
    overload(mul_high)(lambda a, b: lambda a, b: emit_mul_high(a, b))
    overload(put)(
        lambda values, at, value: lambda values, at, value: emit_put(values, at, value)
    )


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


def _store8(typing_context: Any, out: Any, to: Any, word: Any) -> Any:
    """Type and emit an unaligned store of a word."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], *args[:2])
        builder.store(args[2], builder.bitcast(address, _I64.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(out, types.intp, types.uint64), emit


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


def _bit_length(typing_context: Any, word: Any) -> Any:
    """Type and emit 64 less the leading zeros."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sub(_I64(64), builder.ctlz(args[0], _I1(0)))

    return types.uint64(types.uint64), emit


def _float_of(typing_context: Any, bits: Any) -> Any:
    """Type and emit a cast that changes no bit."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), emit


def _mul_high(typing_context: Any, a: Any, b: Any) -> Any:
    """Type and emit a multiplication of which the upper half is kept."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.mul(*(builder.zext(each, _I128) for each in args))
        return builder.trunc(builder.lshr(product, _I128(64)), _I64)

    return types.uint64(types.uint64, types.uint64), emit
