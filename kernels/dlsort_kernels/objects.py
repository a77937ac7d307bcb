"""Where the kernels' machine code lies, and how it is loaded without a compiler.

A wheel holds it, compiled for a processor of the last ten years, and once more for those
with AVX-512: its wider registers make a local sort a tenth faster. Elsewhere it is compiled
when it is first needed, by processes of their own (:mod:`dlsort_kernels.build`): LLVM and
numba's types keep 220 MiB for as long as a process lives. It is kept in a folder named after
the sources of all kernels, the system and the processor, so that a changed source never
meets old code, nor a processor instructions that it lacks.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from dlsort_kernels.declare import KERNELS, Declared

__all__ = ["WHEEL", "compile_into", "cpu", "cpus", "entry", "n_compiled", "name_of", "warm"]

# Where a wheel has the machine code, beside the sources.
WHEEL = "compiled"

# What x86-64-v3 has beyond the first of its kind; Intel's since 2013, AMD's since 2015.
_V3 = ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
# And what x86-64-v4 has beyond that; Intel's servers since 2017, AMD's since 2022.
_V4 = ("avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
# A hundred times what an idle machine needs: compilers that take longer hang.
_COMPILING_S = 1800.0
_DIGESTS = "digests.json"
# How often a module's code is looked for that turns out damaged; a disk may lie each time.
_TRIES = 4

# What machine code calls, from the C library and from Python.
_C_SYMBOLS = ("memcmp", "memcpy", "memmove", "memset")
_PYTHON_SYMBOLS = (
    "PyBool_FromLong",
    "PyErr_Occurred",
    "PyErr_SetString",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyExc_TypeError",
    "PyFloat_AsDouble",
    "PyFloat_FromDouble",
    "PyLong_AsLongLong",
    "PyLong_AsUnsignedLongLongMask",
    "PyLong_FromLongLong",
    "PyLong_FromUnsignedLongLong",
    "PyObject_IsTrue",
    "PyTuple_New",
    "PyTuple_SetItem",
    "PyType_IsSubtype",
    "Py_IncRef",
    "_Py_NoneStruct",
)
_FASTCALL = 0x0080

# Marks processes that compile, so that none starts others.
_IS_COMPILER = "DLSORT_KERNELS_COMPILER"
# Folders that can't be written, and those of damaged code that can't be removed.
_useless: set[Path] = set()

# Without any logging set up, Python writes a warning's text to standard error, and no more.
_log = logging.getLogger("dlsort")
_one_at_a_time = threading.RLock()
_entries: dict[str, dict[str, Callable[..., Any]]] = {}
# Engines and method definitions live as long as the functions that they are of.
_kept: list[Any] = []
# How many kernels were compiled for this process.
n_compiled = 0


def entry(kernel: Declared) -> Callable[..., Any]:
    """Return a kernel as a function that takes arrays and numbers."""
    with _one_at_a_time:
        if kernel.module not in _entries:
            there = [each for each in KERNELS if each.module == kernel.module]
            _entries[kernel.module] = _load(_code_of(kernel), there)
        return _entries[kernel.module][kernel.name]


def warm(package: str) -> Path | None:
    """Compile a package's kernels unless they are compiled.

    Returns
    -------
    Path or None
        The folder that they are in; None where no folder can be written.
    """
    kernels = [each for each in KERNELS if each.package == package]
    name = name_of(package, cpu())
    if not kernels or name is None:
        return None
    places = [*_places(package)]
    for place in places:
        if (found := _found(place, name, package)) is not None:
            return found
    import filelock  # with all of asyncio, for those who compile

    for place in places[1:]:
        if place in _useless or _IS_COMPILER in os.environ:
            continue
        with contextlib.suppress(OSError, NotImplementedError):
            place.mkdir(0o700 if _is_shared(place.parent) else 0o777, True, True)
            # One process compiles, and those that start with it wait.
            with filelock.FileLock(place / "dlsort-kernels.lock"):
                if not (place / name).exists():
                    _remove_left(place)
                    with tempfile.TemporaryDirectory(prefix="dlsort-", dir=place) as work:
                        (done := Path(work) / name).mkdir()
                        compile_into(done, kernels, cpu())
                        done.rename(place / name)
            if (found := _found(place, name, package)) is not None:
                return found
        _useless.add(place)
    return None


def _found(place: Path, name: str, package: str) -> Path | None:
    """Return a folder of machine code in a place, if it is there and can be trusted."""
    folder = place / name
    with contextlib.suppress(OSError):  # a folder that this user may not look into
        if folder in _useless or not folder.is_dir():
            return None
        if place.is_relative_to(_inside(package)):  # who could write there can write sources
            return folder
        if _is_ours(folder) and (not _is_shared(place.parent) or _is_ours(place)):
            return folder
    return None


def _is_ours(path: Path) -> bool:
    """Return whether nobody else can have put something there for us to run."""
    found = path.lstat()
    is_ours = found.st_uid in (os.getuid(), 0) and not found.st_mode & stat.S_IWOTH
    return stat.S_ISDIR(found.st_mode) and is_ours


def _remove_left(place: Path) -> None:
    """Remove what processes have left that were killed while they compiled."""
    for left in place.glob("dlsort-????????"):
        shutil.rmtree(left, ignore_errors=True)


def compile_into(folder: Path, kernels: Sequence[Declared], processor: str) -> None:
    """Compile kernels on all cores, by processes that end with it; or else in this one.

    Parameters
    ----------
    folder : Path
        Gets a file of each module, and one of their digests.
    kernels : sequence of Declared
        All of their modules.
    processor : str
        LLVM's name of the one to compile for.
    """
    global n_compiled
    _tell()
    n_compiled += len(kernels)
    work: dict[str, int] = {}
    for each in kernels:
        work[each.module] = work.get(each.module, 0) + len(each.signatures)
    # Those that take long first, so that no core is left with one at the end.
    modules = sorted(work, key=work.__getitem__, reverse=True)
    code = (
        "import sys; sys.path[:] = sys.argv[4:];"
        "from dlsort_kernels import build; build.main(*sys.argv[1:4])"
    )
    told = [str(folder), processor, ",".join(modules)]
    command = [sys.executable, "-c", code, *told, *sys.path]
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    compilers: list[subprocess.Popen[bytes]] = []
    try:
        compilers.extend(_start(command) for _ in modules[: n_cores if _is_python() else 0])
        for compiler in compilers:
            compiler.wait(_COMPILING_S)
    except (OSError, TypeError, subprocess.SubprocessError):
        pass  # Python is a part of another program, or lies where nothing may be started
    finally:
        for compiler in compilers:
            compiler.kill()
            compiler.wait()
    digests = {}
    for module in modules:
        (folder / f"{module}.taken").unlink(missing_ok=True)
        if not (path := folder / f"{module}.o").exists():
            from dlsort_kernels import build

            path.write_bytes(build.code_of(module, processor))
        digests[module] = _digest(path.read_bytes())
    (folder / _DIGESTS).write_text(json.dumps(digests))


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a compiler, to which no setting applies that somebody has made for numba."""
    environ = {name: v for name, v in os.environ.items() if not name.startswith("NUMBA_")}
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        command,
        env=environ | {_IS_COMPILER: "1"},
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
    )


def _is_python() -> bool:
    """Return whether this process's program is Python, not another that holds it."""
    program = Path(sys.executable or "").name
    return program.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


@functools.cache
def name_of(package: str, processor: str) -> str | None:
    """Return the name of the folder that a package's machine code for a processor lies in.

    None where the sources are no files, so that one state can't be told from another.
    """
    digest = hashlib.blake2b(digest_size=8)
    for source in (__name__.partition(".")[0], package):
        files = sorted(_inside(source).glob("*.py"))
        if not files:
            return None
        for path in files:
            digest.update(path.read_bytes())
    # How far the fields of an object lie from its start is Python's own.
    system = f"{sys.platform}-{platform.machine()}-{processor}-{object.__basicsize__}"
    return f"dlsort-{digest.hexdigest()}-{system}"


@functools.cache
def cpu() -> str:
    """Return the processor to compile for: this one, or the best of the wheel's that it is."""
    features = llvm.get_host_cpu_features()
    fit = [each for each, wants in cpus().items() if all(features.get(one) for one in wants)]
    return fit[-1] if fit else llvm.get_host_cpu_name()


def cpus() -> dict[str, tuple[str, ...]]:
    """Return the processors that a wheel of this machine serves, each with what it must have.

    Each can do what those before it can.
    """
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return {"generic": ()}
    if machine in ("x86_64", "amd64"):
        return {"x86-64-v3": _V3, "x86-64-v4": (*_V3, *_V4)}
    return {}


def _digest(code: bytes) -> str:
    return hashlib.blake2b(code, digest_size=16).hexdigest()


@functools.cache
def _tell() -> None:
    _log.warning("compiling the kernels for this machine, once; under a minute …")


def _places(package: str) -> Iterator[Path]:
    """Give the folders that may have a package's machine code: the wheel's, then caches."""
    inside = _inside(package)
    yield inside / WHEEL
    if told := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(told)
        return
    yield inside / "__pycache__"
    # No home folder at all (some containers).
    with contextlib.suppress(RuntimeError):
        yield Path.home() / ".cache" / "dlsort"
    # No folder but the one that all users share: a part of it that is ours alone.
    with contextlib.suppress(OSError, AttributeError):
        yield Path(tempfile.gettempdir()) / f"dlsort-{os.getuid()}"


def _is_shared(folder: Path) -> bool:
    """Return whether a folder is the one in which any user makes files."""
    return folder == Path(tempfile.gettempdir())


def _inside(package: str) -> Path:
    """Return the folder that a package lies in."""
    return Path(sys.modules[package].__file__ or "").parent


def _code_of(kernel: Declared) -> bytes:
    """Return the machine code of a kernel's module, compiled if there is none that is sound."""
    for _ in range(_TRIES):
        if (folder := warm(kernel.package)) is None:
            break
        # A disk may have been full, or lie.
        with contextlib.suppress(OSError, ValueError, KeyError):
            code = (folder / f"{kernel.module}.o").read_bytes()
            if _digest(code) == json.loads((folder / _DIGESTS).read_bytes())[kernel.module]:
                return code
        _log.warning("the compiled kernels in %s are damaged; they are compiled again", folder)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            _useless.add(folder)
    from dlsort_kernels import build

    _tell()
    global n_compiled
    n_compiled += sum(each.module == kernel.module for each in KERNELS)
    return build.code_of(kernel.module, cpu())


def _load(code: bytes, kernels: Sequence[Declared]) -> dict[str, Callable[..., Any]]:
    """Return the functions in a module's machine code, by name."""
    _prepare()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    # All sections in one piece of memory: they refer to one another by 32 bits.
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), target.create_target_machine(), use_lmm=True
    )
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _kept.append(engine)
    return {
        each.name: _function(each.name, engine.get_function_address(each.symbol))
        for each in kernels
    }


@functools.cache
def _prepare() -> None:
    """Let machine code find what it calls."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for library, names in (
        (ctypes.CDLL(None), _C_SYMBOLS),
        (ctypes.pythonapi, _PYTHON_SYMBOLS),
    ):
        for name in names:
            llvm.add_symbol(name, ctypes.addressof(ctypes.c_char.in_dll(library, name)))


class _Method(ctypes.Structure):
    """Python's ``PyMethodDef``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def _function(name: str, address: int) -> Callable[..., Any]:
    """Return Python's function for an address; the class of arrays is its ``self``."""
    method = _Method(name.encode(), address, _FASTCALL, None)
    _kept.append(method)
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes = (ctypes.POINTER(_Method), ctypes.py_object, ctypes.c_void_p)
    make.restype = ctypes.py_object
    function: Callable[..., Any] = make(method, np.ndarray, None)
    return function
