import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dlsort_kernels
from dlsort_kernels import classify, fold, gather_fixed, jit
from dlsort_kernels.by_partition import _count
from dlsort_kernels.hash import _fold
from dlsort_kernels.lead import _add_code
from dlsort_kernels.spread import set_nulls, word_range
from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    f"dlsort_kernels.{path.stem}"
    for path in (ROOT / "kernels" / "dlsort_kernels").glob("*.py")
    if path.stem not in ("__init__", "__main__")
)

needs_jit = pytest.mark.skipif(jit.PLAIN, reason="the JIT is disabled")


def outcome(*args: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def test_reads_read_only_arrays():
    counts = np.zeros(3, np.int64)
    assert _count(read_only(np.array([0, 2, 2], np.uint32)), counts) is None
    assert counts.tolist() == [1, 0, 2]


def test_sums_wrap_round_in_silence():
    """Large numbers come back as they are, too."""
    words = np.array([2**64 - 1, 2**64 - 1, 7], np.uint64)
    assert word_range(words, np.uint64(0)) == (7, 2**64 - 1, 2**64 - 8)
    assert all(0 <= each < 2**64 for each in _fold(words))


def test_numbers_of_python_and_of_numpy_are_taken():
    group = np.array([3, 4], np.uint16)
    null = np.array([True, False])
    for of_null in (9, np.uint16(9), np.int64(9)):
        set_nulls(group, null, of_null)
        assert group.tolist() == [9, 4]


@needs_jit
def test_undeclared_types_are_refused_rather_than_compiled():
    part, counts = np.zeros(3, np.uint32), np.zeros(3, np.int64)
    for arguments in (
        (),
        (part,),
        (part, counts, counts),
        (part.astype(np.int32), counts),
        (part.astype(np.uint64), counts),
        (part.astype(">u4"), counts),
        (part.reshape(3, 1), counts),
        (np.zeros(6, np.uint32)[::2], counts),
        (part, read_only(counts.copy())),
        (part.tolist(), counts),
        (None, counts),
        (0, 0),
    ):
        with pytest.raises(TypeError, match=r"_count\(\) is not compiled for these"):
            _count(*arguments)
    assert counts.tolist() == [0, 0, 0]


@needs_jit
def test_numbers_that_are_none_are_refused():
    group, null = np.array([3], np.uint16), np.array([True])
    for wrong in ("9", None, 1.5, group):
        with pytest.raises(TypeError):
            set_nulls(group, null, wrong)
    assert group.tolist() == [3]


def test_a_class_of_arrays_made_from_numpys_is_taken(tmp_path):
    mapped = np.memmap(tmp_path / "part", np.uint32, "w+", shape=3)
    mapped[:] = [2, 2, 0]
    counts = np.zeros(3, np.int64)
    _count(mapped, counts)
    assert counts.tolist() == [1, 0, 2]


def test_an_array_may_lie_at_any_address():
    """One that comes over an encrypted connection does."""
    part = np.zeros(1 + 4 * 1000, np.uint8)[1:].view(np.uint32)
    counts = np.zeros(1 + 8 * 3, np.uint8)[1:].view(np.int64)
    part[:] = np.arange(1000) % 3
    assert not part.flags.aligned
    _count(part, counts)
    assert counts.tolist() == [334, 333, 333]


@needs_jit
def test_each_signature_is_found():
    order = np.array([2, 0], np.uint32)
    for dtype in (np.uint8, np.int16, np.float32, np.int64, "S16", "S32", "S7"):
        values = np.arange(3).astype(dtype)
        assert gather_fixed(values, order).tolist() == values[[2, 0]].tolist()


@needs_jit
def test_a_call_keeps_no_reference():
    part, counts, words = np.zeros(3, np.uint32), np.zeros(1, np.int64), np.zeros(3, np.uint64)
    before = [sys.getrefcount(each) for each in (part, counts, words)]
    for _ in range(100):
        _count(part, counts)
        fold(words)
        with pytest.raises(TypeError):
            _count(counts, part)
    assert [sys.getrefcount(each) for each in (part, counts, words)] == before


@needs_jit
def test_a_kernel_is_loaded_by_the_first_call_of_any_thread():
    code = """
import sys, threading
import numpy as np
from dlsort_kernels import compiled, fold

assert "llvmlite" not in sys.modules
words, found = np.arange(9, dtype=np.uint64), []
threads = [threading.Thread(target=lambda: found.append(fold(words))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(map(str, found))), compiled(), "numba" in sys.modules)
"""
    assert outcome("-c", code) == "4 1 0 False"


@needs_jit
def test_other_threads_run_meanwhile():
    """A kernel waits for nothing that only another thread of Python can do."""
    code = """
import threading
import numpy as np
from dlsort_kernels.by_partition import _count

part, counts = np.zeros(1 << 20, np.uint32), np.zeros(1, np.int64)
ran, done = 0, threading.Event()

def run():
    while not done.is_set():
        _count(part, counts)

thread = threading.Thread(target=run)
thread.start()
while counts[0] < 50 << 20:
    ran += 1
done.set()
thread.join()
print(ran > 0)
"""
    assert outcome("-c", code) == "True"


@needs_jit
@pytest.mark.parametrize("pages", [1, 3, 4, 8, 12])
def test_code_is_loaded_whatever_the_address_space_looks_like(pages):
    """A small hole far from others once took the sections of a module apart."""
    code = f"""
import ctypes, mmap
from dlsort_kernels import objects

objects._prepare()
c = ctypes.CDLL(None)
c.mmap.restype = ctypes.c_void_p
c.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
c.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

def reserve(size):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # addresses, no memory
    found = c.mmap(None, size, 0, flags, -1, 0)
    assert found != 2**64 - 1
    return found

for _ in range(3000):  # fill the holes that there are
    reserve(mmap.PAGESIZE)
hole = reserve({pages} * mmap.PAGESIZE)
reserve(mmap.PAGESIZE)
reserve(6 << 30)
c.munmap(hole, {pages} * mmap.PAGESIZE)
for kernel in objects.KERNELS:
    objects.entry(kernel)
print(len(objects._entries) > 20)
"""
    assert outcome("-c", code) == "True"


def test_every_public_name_is_exported_once():
    assert len(set(dlsort_kernels.__all__)) == len(dlsort_kernels.__all__)
    for name in dlsort_kernels.__all__:
        assert hasattr(dlsort_kernels, name)


def test_kernels_have_the_names_and_words_of_their_functions():
    assert _add_code.__name__ == "_add_code"
    assert _add_code.__module__ == "dlsort_kernels.lead"
    assert classify.__doc__


def test_doctests_pass_without_the_jit():
    check = (
        "import doctest, importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    module = importlib.import_module(name)\n"
        "    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS\n"
        "    found = doctest.testmod(module, optionflags=flags)\n"
        "    assert not found.failed, name\n"
        "    print(found.attempted)\n"
    )
    attempted = outcome("-c", check, *MODULES, NUMBA_DISABLE_JIT="1")
    assert sum(map(int, attempted.split())) > len(dlsort_kernels.__all__)


def test_plain_functions_sort_as_compiled_ones_do():
    check = (
        "import numpy as np\n"
        "from dlsort_kernels import *\n"
        "from dlsort_kernels import learned_groups as groups\n"
        "groups.GROUP_ROWS = 64\n"
        "rng = np.random.default_rng(0)\n"
        "words = rng.integers(0, 2**30, 600, dtype=np.uint64)\n"
        "words[:2] = 0, 2**64 - 1\n"
        "words[300:] = words[:300] // 1000\n"
        "order, runs, spread = sort_source(ArrayWords(words))\n"
        "assert (order == np.argsort(words, kind='stable')).all()\n"
        "assert len(spread.first[0]) > 5\n"
        "splitters = np.sort(words[::50])\n"
        "part, _ = classify(words, splitters, build_cells(splitters))\n"
        "assert (part == np.searchsorted(splitters, words)).all()\n"
        "values = [b'x' * int(k) + bytes([int(k) % 3]) * 9 for k in rng.integers(0, 12, 60)]\n"
        "offsets = np.cumsum([0, *map(len, values)])\n"
        "data = np.frombuffer(b''.join(values), np.uint8)\n"
        "order = np.arange(60, dtype=np.uint32)\n"
        "refine_bytes(order, np.array([0]), np.array([60]), offsets, data)\n"
        "assert order.tolist() == sorted(range(60), key=values.__getitem__)\n"
    )
    outcome("-c", check, NUMBA_DISABLE_JIT="1")
