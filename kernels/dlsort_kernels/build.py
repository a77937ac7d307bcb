"""The compiler: from kernels to the machine code of a module.

It is imported where something is compiled and nowhere else. Each kernel of a module is
compiled for each of its signatures; before them comes a function as Python calls it, which
finds the signature that the arguments are of, takes the addresses and lengths out of NumPy's
arrays, and lets other threads of Python run meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import register_jitable
from numba.np import arrayobj

from dlsort_kernels import instructions
from dlsort_kernels.declare import INLINED, KERNELS, Declared
from dlsort_kernels.kernel_types import Array, Number, Result, Signature

__all__ = ["code_of", "main"]

_I1, _I8, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
_DOUBLE = ir.DoubleType()
_POINTER = _I8.as_pointer()
_NULL = _POINTER(None)

# Where NumPy 2 keeps an array's fields, behind those that every object has: its address, its
# axes, their lengths, its dtype, its flags; and a dtype's kind, byte order and size.
_HEAD = object.__basicsize__
_DATA, _NDIM, _SHAPE, _DTYPE, _FLAGS = (_HEAD + at for at in (0, 8, 16, 40, 48))
_KIND, _ORDER, _SIZE = (_HEAD + at for at in (8, 10, 24))
_CONTIGUOUS, _WRITEABLE = 0x1, 0x400
_SWAPPED = ord(">" if sys.byteorder == "little" else "<")

# How numbers come from Python and go back, by NumPy's letter for their kind.
_FROM_PYTHON = {
    "b": ("PyObject_IsTrue", _I32),
    "i": ("PyLong_AsLongLong", _I64),
    "u": ("PyLong_AsUnsignedLongLongMask", _I64),
    "f": ("PyFloat_AsDouble", _DOUBLE),
}
_TO_PYTHON = {
    "b": ("PyBool_FromLong", _I64),
    "i": ("PyLong_FromLongLong", _I64),
    "u": ("PyLong_FromUnsignedLongLong", _I64),
    "f": ("PyFloat_FromDouble", _DOUBLE),
}


def main(folder: str, cpu: str, modules: str) -> None:
    """Compile as many modules as no other process takes; their names are parted by commas."""
    parent = os.getppid()
    for module in modules.split(","):
        if os.getppid() != parent:  # it was killed
            return
        with contextlib.suppress(FileExistsError):
            (Path(folder) / f"{module}.taken").touch(exist_ok=False)
            part = Path(folder) / f"{module}.part"
            part.write_bytes(code_of(module, cpu))
            part.rename(part.with_suffix(".o"))


@global_compiler_lock  # type: ignore[untyped-decorator]
def code_of(module: str, cpu: str) -> bytes:
    """Return the machine code of a module's kernels, as an object file of this system."""
    importlib.import_module(module)
    _register()
    context = cpu_target.target_context.with_aot_codegen(module, cpu_name=cpu)
    library = context.codegen().create_library(module)
    entries = ir.Module()
    for kernel in KERNELS:
        if kernel.module == module:
            compiled = [
                _compile(kernel.function, each, context, library) for each in kernel.signatures
            ]
            _add_entry(entries, context, kernel, compiled)
    library.add_ir_module(entries)
    library.finalize()
    code: bytes = library.emit_native_object()
    return code


@functools.cache
def _register() -> None:
    """Tell the compiler of the functions that kernels call."""
    for function in INLINED:
        register_jitable(function)
    instructions.register()


@dataclass(frozen=True)
class _Compiled:
    """A kernel compiled for one of its signatures."""

    signature: Signature
    symbol: str
    result: Any
    arguments: tuple[Any, ...]


def _compile(function: Any, signature: Signature, context: Any, library: Any) -> _Compiled:
    """Compile a function into the library."""
    result = _numba_type(signature.result)
    arguments = tuple(map(_numba_type, signature.arguments))
    flags: Any = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    # Division by zero is never reached; the checks for it would block SIMD.
    flags.error_model = "numpy"
    found = compiler.compile_extra(
        cpu_target.typing_context, context, function, arguments, result, flags, {}, library
    )
    return _Compiled(signature, found.fndesc.llvm_func_name, result, arguments)


def _numba_type(told: Number | Array | Result) -> Any:
    """Return a type of ours as the compiler's."""
    if isinstance(told, Array):
        return types.Array(_numba_type(told.number), told.ndim, "C", readonly=not told.written)
    if isinstance(told, Number):
        return getattr(types, told.name)
    if told.number is None:
        return types.void
    number = _numba_type(told.number)
    return number if told.count == 1 else types.UniTuple(number, told.count)


def _add_entry(
    module: ir.Module, context: Any, kernel: Declared, compiled: list[_Compiled]
) -> None:
    """Add the function of a kernel that Python calls, as ``METH_FASTCALL`` has them."""
    kind = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _I64])
    function = ir.Function(module, kind, kernel.symbol)
    ndarray, given, n_given = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    refused = function.append_basic_block("refused")
    n_arguments = len(compiled[0].arguments)
    arguments = function.append_basic_block("arguments")
    builder.cbranch(builder.icmp_signed("==", n_given, _I64(n_arguments)), arguments, refused)
    builder.position_at_end(arguments)
    objects_given = [builder.load(builder.gep(given, [_I64(at)])) for at in range(n_arguments)]
    for each in compiled:
        fit = _I1(1)
        for told, argument in zip(each.signature.arguments, objects_given, strict=True):
            if isinstance(told, Array):
                fit = builder.and_(fit, _fits(module, builder, told, argument, ndarray))
        right, other = (function.append_basic_block() for _ in range(2))
        builder.cbranch(fit, right, other)
        builder.position_at_end(right)
        _add_call(module, context, builder, each, objects_given)
        builder.position_at_end(other)
    builder.branch(refused)
    builder.position_at_end(refused)
    text = f"{kernel.name}() is not compiled for these arguments\0".encode()
    message = ir.GlobalVariable(
        module, ir.ArrayType(_I8, len(text)), f"{kernel.symbol}.refused"
    )
    message.initializer = ir.Constant(message.value_type, bytearray(text))
    message.global_constant, message.linkage = True, "internal"
    error = builder.load(_external(module, "PyExc_TypeError", _POINTER))
    text_at = builder.bitcast(message, _POINTER)
    _call(module, builder, "PyErr_SetString", ir.VoidType(), error, text_at)
    builder.ret(_NULL)


def _add_call(
    module: ir.Module, context: Any, builder: Any, compiled: _Compiled, given: list[Any]
) -> None:
    """Call a kernel with Python's objects, and return its result as one."""
    numbers = [not isinstance(told, Array) for told in compiled.signature.arguments]
    values = [
        _array(context, builder, of, told.number.size, argument)
        if isinstance(told, Array)
        else _number(module, builder, told, argument)
        for told, of, argument in zip(
            compiled.signature.arguments, compiled.arguments, given, strict=True
        )
    ]
    if any(numbers):
        error = _call(module, builder, "PyErr_Occurred", _POINTER)
        with builder.if_then(builder.icmp_unsigned("!=", error, _NULL), likely=False):
            builder.ret(_NULL)
    convention = context.call_conv
    kind = convention.get_function_type(compiled.result, compiled.arguments)
    callee = module.globals.get(compiled.symbol) or ir.Function(module, kind, compiled.symbol)
    thread = _call(module, builder, "PyEval_SaveThread", _POINTER)
    # A kernel raises nothing.
    _, result = convention.call_function(
        builder, callee, compiled.result, compiled.arguments, values
    )
    _call(module, builder, "PyEval_RestoreThread", ir.VoidType(), thread)
    told = compiled.signature.result
    if told.number is None:
        none = _external(module, "_Py_NoneStruct", _I8)
        _call(module, builder, "Py_IncRef", ir.VoidType(), none)
        builder.ret(none)
    elif told.count == 1:
        builder.ret(_boxed(module, builder, told.number, result))
    else:
        boxes = _call(module, builder, "PyTuple_New", _POINTER, _I64(told.count))
        for at in range(told.count):
            box = _boxed(module, builder, told.number, builder.extract_value(result, at))
            _call(module, builder, "PyTuple_SetItem", _I32, boxes, _I64(at), box)
        builder.ret(boxes)


def _array(context: Any, builder: Any, kind: Any, size: int, given: Any) -> Any:
    """Return NumPy's array, of items of so many bytes, as the compiler's."""
    shape_at = builder.bitcast(_field(builder, given, _SHAPE, _POINTER), _I64.as_pointer())
    shape = [builder.load(builder.gep(shape_at, [_I64(axis)])) for axis in range(kind.ndim)]
    strides = [_I64(size)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = context.make_array(kind)(context, builder)
    data = builder.bitcast(_field(builder, given, _DATA, _POINTER), array.data.type)
    arrayobj.populate_array(array, data, shape, strides, size, None)
    n_items = functools.reduce(builder.mul, shape)
    array.nitems = n_items
    return array._getvalue()


def _number(module: ir.Module, builder: Any, told: Number, given: Any) -> Any:
    """Return Python's number as the machine's; Python notes an error, if it is none."""
    name, kind = _FROM_PYTHON[told.kind]
    found = _call(module, builder, name, kind, given)
    if told.kind == "f":
        return found if told.size == 8 else builder.fptrunc(found, ir.FloatType())
    bits = 1 if told.kind == "b" else 8 * told.size
    return found if bits == kind.width else builder.trunc(found, ir.IntType(bits))


def _boxed(module: ir.Module, builder: Any, told: Number, value: Any) -> Any:
    """Return the machine's number as Python's."""
    name, kind = _TO_PYTHON[told.kind]
    if told.kind == "f":
        value = value if told.size == 8 else builder.fpext(value, kind)
    elif value.type.width < kind.width:
        value = (builder.sext if told.kind == "i" else builder.zext)(value, kind)
    return _call(module, builder, name, _POINTER, value)


def _fits(module: ir.Module, builder: Any, told: Array, given: Any, ndarray: Any) -> Any:
    """Return whether an object is an array of this kind, as one bit."""
    flags = _CONTIGUOUS | (_WRITEABLE if told.written else 0)
    wanted = (_I8(ord(told.number.kind)), _I64(told.number.size), _I32(told.ndim), _I32(flags))
    return builder.call(_fitting(module), [given, ndarray, *wanted])


def _fitting(module: ir.Module) -> Any:
    """Return the module's function that looks into an object."""
    if found := module.globals.get("fits"):
        return found
    kind = ir.FunctionType(_I1, [_POINTER, _POINTER, _I8, _I64, _I32, _I32])
    function = ir.Function(module, kind, "fits")
    function.linkage = "internal"
    given, ndarray, letter, size, ndim, flags = function.args
    builder = ir.IRBuilder(function.append_basic_block())
    its_class = _field(builder, given, _HEAD - 8, _POINTER)
    derived = _call(module, builder, "PyType_IsSubtype", _I32, its_class, ndarray)
    with builder.if_then(builder.icmp_signed("==", derived, _I32(0))):
        builder.ret(_I1(0))
    dtype = _field(builder, given, _DTYPE, _POINTER)
    its_flags = builder.and_(_field(builder, given, _FLAGS, _I32), flags)
    alike = (
        builder.icmp_signed("==", _field(builder, given, _NDIM, _I32), ndim),
        builder.icmp_signed("==", its_flags, flags),
        builder.icmp_signed("==", _field(builder, dtype, _KIND, _I8), letter),
        builder.icmp_signed("!=", _field(builder, dtype, _ORDER, _I8), _I8(_SWAPPED)),
        builder.icmp_signed("==", _field(builder, dtype, _SIZE, _I64), size),
    )
    builder.ret(functools.reduce(builder.and_, alike))
    return function


def _field(builder: Any, of: Any, at: int, kind: Any) -> Any:
    """Return a field of an object of C."""
    return builder.load(builder.bitcast(builder.gep(of, [_I64(at)]), kind.as_pointer()))


def _call(module: ir.Module, builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    """Call a function of Python's."""
    kind = ir.FunctionType(result, [each.type for each in arguments])
    return builder.call(
        module.globals.get(name) or ir.Function(module, kind, name), list(arguments)
    )


def _external(module: ir.Module, name: str, kind: Any) -> Any:
    """Return the address of a variable of Python's."""
    return module.globals.get(name) or ir.GlobalVariable(module, kind, name)
