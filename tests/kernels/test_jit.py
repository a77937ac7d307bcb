import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from numba import types

import dlsort_kernels
from dlsort_kernels import jit
from dlsort_kernels.jit import kernel, reads, writes
from patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    f"dlsort_kernels.{path.stem}"
    for path in (ROOT / "kernels" / "dlsort_kernels").glob("*.py")
    if path.stem != "__init__"
)

needs_jit = pytest.mark.skipif(bool(jit.config.DISABLE_JIT), reason="the JIT is disabled")

# One kernel, imported as the package imports its own.
ONE_KERNEL = """
import sys
from dlsort_kernels import jit

with jit.loading():
    sys.path.insert(0, sys.argv[1])
    if "apart" in sys.argv:
        jit.compile_apart(sys.argv[2])
    one_kernel = __import__(sys.argv[2])

if "call" in sys.argv:
    import numpy as np
    assert one_kernel.count(np.arange(3, dtype=np.uint64)) == 3

jit._kernels[:] = jit._kernels[-1:]
print(jit.compiled())
"""


def run_python(*args: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-W", "error", *args],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return out.strip()


@kernel(types.uint64(reads(types.uint64), writes(types.uint64)))
def add_up(words, sums):
    total = np.uint64(0)
    for i in range(len(words)):
        total += words[i]
        sums[i] = total
    return total


def test_reads_read_only_arrays():
    words = np.arange(5, dtype=np.uint64)
    words.flags.writeable = False
    sums = np.empty(5, np.uint64)
    assert add_up(words, sums) == 10
    assert sums.tolist() == [0, 1, 3, 6, 10]


def test_sums_wrap_round_in_silence():
    words = np.array([2**64 - 1, 2], dtype=np.uint64)
    assert add_up(words, np.empty(2, np.uint64)) == 1


@needs_jit
def test_undeclared_types_are_refused_rather_than_compiled():
    with pytest.raises(TypeError):
        add_up(np.arange(5, dtype=np.int32), np.empty(5, np.uint64))


@needs_jit
def test_kernels_do_not_write_into_read_only_arrays():
    sums = np.empty(5, np.uint64)
    sums.flags.writeable = False
    with pytest.raises(TypeError):
        add_up(np.arange(5, dtype=np.uint64), sums)


@needs_jit
def test_what_the_cache_has_is_loaded_by_the_first_call_of_any_thread():
    code = """
import threading
import numpy as np
from dlsort_kernels import fold, jit

assert jit.compiled() == 0
assert not any(kernel.signatures for kernel in jit._kernels)
words, found = np.arange(9, dtype=np.uint64), []
threads = [threading.Thread(target=lambda: found.append(fold(words))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(map(str, found))), sum(bool(k.signatures) for k in jit._kernels))
"""
    assert outcome(run_python("-c", code)) == "4 1 1"


def write_one_kernel(folder: Path) -> str:
    """Write a package that no cache knows, and return its name."""
    name = f"one_kernel_{uuid.uuid4().hex}"
    (folder / f"{name}.py").write_text(
        "from numba import types\n"
        "from dlsort_kernels.jit import kernel, reads\n\n\n"
        "@kernel(types.int64(reads(types.uint64)))\n"
        "def count(words):\n"
        "    return len(words)\n"
    )
    return name


@needs_jit
def test_processes_that_start_at_once_compile_once(tmp_path):
    name = write_one_kernel(tmp_path)
    processes = [run_python("-c", ONE_KERNEL, str(tmp_path), name) for _ in range(3)]
    assert sorted(outcome(each) for each in processes) == ["0", "0", "1"]


@needs_jit
def test_the_first_compiling_is_told_once_and_loading_is_not(tmp_path):
    name = write_one_kernel(tmp_path)
    first = run_python("-c", ONE_KERNEL, str(tmp_path), name)
    assert first.communicate(timeout=120) == (
        "1\n",
        "compiling the kernels for this machine, once; under a minute …\n",
    )
    second = run_python("-c", ONE_KERNEL, str(tmp_path), name)
    assert second.communicate(timeout=120) == ("0\n", "")


@needs_jit
def test_kernels_are_compiled_by_a_process_of_its_own(tmp_path):
    """A compiler never gives back what it took."""
    name = write_one_kernel(tmp_path)
    for told in ("compiling the kernels for this machine, once; under a minute …\n", ""):
        process = run_python("-c", ONE_KERNEL, str(tmp_path), name, "apart", "call")
        assert process.communicate(timeout=PATIENCE_S) == ("0\n", told)


@needs_jit
@pytest.mark.parametrize("program", ["None", "sys.argv[1]"])
def test_kernels_are_compiled_here_where_no_process_can_be_started(tmp_path, program):
    """Python is a part of another program, or lies where nothing may be started."""
    name = write_one_kernel(tmp_path)
    cannot = ONE_KERNEL.replace("import sys\n", f"import sys\nsys.executable = {program}\n")
    process = run_python("-c", cannot, str(tmp_path), name, "apart")
    assert process.communicate(timeout=PATIENCE_S) == (
        "1\n",
        "compiling the kernels for this machine, once; under a minute …\n",
    )


@needs_jit
def test_a_kernel_that_cannot_be_cached_is_compiled_all_the_same(monkeypatch):
    njit = jit.numba.njit

    def uncachable(signatures, *, cache=False, **policy):
        if cache:
            raise RuntimeError("cannot cache function 'add_up': no locator available")
        return njit(signatures, **policy)

    monkeypatch.setattr(jit.numba, "njit", uncachable)
    monkeypatch.setattr(jit, "_kernels", [])
    double = kernel(types.int64(types.int64))(lambda number: 2 * number)
    assert double(4) == 8
    assert len(jit._kernels) == 1


@needs_jit
def test_other_compiler_errors_are_not_hidden():
    with pytest.raises(Exception, match="nothing_of_this_name"):
        kernel(types.int64(types.int64))(lambda number: nothing_of_this_name(number))  # noqa: F821


def test_the_cache_lies_beside_the_sources_or_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(jit.config, "CACHE_DIR", "")
    inside, home = jit._cache_folders()
    assert inside == Path(jit.__file__).parent / "__pycache__"
    assert home.is_relative_to(Path.home())
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path))
    assert jit._cache_folders() == [tmp_path]


@needs_jit
def test_a_folder_that_takes_no_lock_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    folders = [tmp_path / "file" / "no folder", tmp_path / "folder"]
    monkeypatch.setattr(jit, "_cache_folders", lambda: folders)
    with jit.loading():
        assert (tmp_path / "folder").exists()
    monkeypatch.setattr(jit, "_cache_folders", lambda: folders[:1])
    with jit.loading():
        pass


def test_a_changed_source_never_meets_old_machine_code(monkeypatch, tmp_path):
    copy = tmp_path / "dlsort_kernels"
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(jit.__file__).parent, copy, ignore=no_cache)
    monkeypatch.setattr(jit, "__file__", str(copy / "jit.py"))
    before = jit._digest()
    mix = copy / "mix.py"
    stat = mix.stat()
    mix.write_bytes(mix.read_bytes()[::-1])  # the same size, and made the same age
    os.utime(mix, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert jit._digest() != before


@needs_jit
def test_loading_leaves_numbas_settings_as_they_were(monkeypatch, tmp_path):
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path))
    with jit.loading():
        assert str(tmp_path / f"dlsort-{jit._digest()}") == jit.config.CACHE_DIR
    assert str(tmp_path) == jit.config.CACHE_DIR


def test_every_public_name_is_exported_once():
    assert len(set(dlsort_kernels.__all__)) == len(dlsort_kernels.__all__)
    for name in dlsort_kernels.__all__:
        assert hasattr(dlsort_kernels, name)


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
    attempted = outcome(run_python("-c", check, *MODULES, NUMBA_DISABLE_JIT="1"))
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
    outcome(run_python("-c", check, NUMBA_DISABLE_JIT="1"))
