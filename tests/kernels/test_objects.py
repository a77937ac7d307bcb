import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path

import pytest

from dlsort_kernels import jit, objects
from patience import PATIENCE_S

pytestmark = pytest.mark.skipif(jit.PLAIN, reason="the JIT is disabled")

TOLD = "compiling the kernels for this machine, once; under a minute …\n"

ONE_KERNEL = """
from dlsort_kernels import kernel_types as types
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads

@kernel(types.int64(reads(types.uint64)))
def count(words):
    return len(words)
"""

# Calls the kernel, and says how many were compiled and whether the compiler is here.
CALL = """
import importlib, sys
import numpy as np
from dlsort_kernels import compiled, objects

sys.path.insert(0, sys.argv[1])
one_kernel = importlib.import_module(sys.argv[2])
assert one_kernel.count(np.arange(3, dtype=np.uint64)) == 3
print(compiled(), "numba" in sys.modules)
"""
HERE, APART, FOUND = "1 True\n", "1 False\n", "0 False\n"


class Package:
    """A package of one kernel that no cache knows, and a home for its users."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "package"
        self.folder.mkdir()
        self.name = f"one_kernel_{uuid.uuid4().hex}"
        (self.folder / f"{self.name}.py").write_text(ONE_KERNEL)
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.home.mkdir()
        self.temporary.mkdir(mode=0o777)

    def start(self, code: str = CALL, **env: str | None) -> subprocess.Popen:
        given = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "NUMBA_CACHE_DIR": ""}
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, str(self.folder), self.name],
            env={k: v for k, v in {**os.environ, **given, **env}.items() if v is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, code: str = CALL, **env: str | None) -> tuple[str, str]:
        return self.start(code, **env).communicate(timeout=PATIENCE_S)

    def without(self, *functions: str) -> str:
        """Return the code of a call in which some functions of the system fail."""
        fail = "def fail(*args, **kwargs):\n    raise OSError('not today')\n"
        begin, end = CALL.split("sys.path.insert")
        fails = "".join(f"{each} = fail\n" for each in functions)
        return f"{begin}import filelock, pathlib\n{fail}{fails}sys.path.insert{end}"

    def found_in(self) -> Path:
        """Return the one folder in which the compiled kernel lies."""
        (path,) = self.folder.parent.rglob(f"{self.name}.o")
        return path.parent


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path)


def test_processes_that_start_at_once_compile_once_and_tell_it_once(package):
    done = [
        each.communicate(timeout=PATIENCE_S) for each in [package.start() for _ in range(3)]
    ]
    assert sorted(done) == [(FOUND, ""), (FOUND, ""), (APART, TOLD)]
    assert package.call() == (FOUND, "")
    assert package.found_in().parent == package.folder / "__pycache__"
    assert sorted(path.name for path in package.found_in().iterdir()) == [
        "digests.json",
        f"{package.name}.o",
    ]


def test_a_folder_that_is_named_is_the_only_one(package, tmp_path):
    assert package.call(NUMBA_CACHE_DIR=str(tmp_path / "named")) == (APART, TOLD)
    assert package.call(NUMBA_CACHE_DIR=str(tmp_path / "named")) == (FOUND, "")
    assert package.found_in().parent == tmp_path / "named"


def test_they_are_kept_in_the_home_where_the_package_cannot_be_written(package):
    (package.folder / "__pycache__").touch()  # not even by root
    assert package.call() == (APART, TOLD)
    assert package.call() == (FOUND, "")
    assert package.found_in().parent == package.home / ".cache" / "dlsort"


def test_they_are_kept_in_a_folder_of_ones_own_where_there_is_no_home(package):
    (package.folder / "__pycache__").touch()
    (package.home / ".cache").touch()
    assert package.call() == (APART, TOLD)
    assert package.call() == (FOUND, "")
    ours = package.found_in().parent
    assert ours == package.temporary / f"dlsort-{os.getuid()}"
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700


@pytest.mark.parametrize("how", ["mode", "link", "file", "inner mode", "inner owner"])
def test_what_others_may_have_put_there_is_not_run(package, tmp_path, how):
    (package.folder / "__pycache__").touch()
    (package.home / ".cache").touch()
    assert package.call() == (APART, TOLD)
    ours = package.found_in().parent
    if how == "mode":
        ours.chmod(0o777)
    elif how == "inner mode":
        package.found_in().chmod(0o777)
    elif how == "inner owner":
        if os.getuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(package.found_in(), 4321, 4321)
    else:
        ours.rename(tmp_path / "theirs")
        ours.symlink_to(tmp_path / "theirs") if how == "link" else ours.touch()
    assert package.call() == (HERE, TOLD)


@pytest.mark.parametrize("folder", ["named", "home"])
def test_a_folder_that_may_not_be_looked_into_is_passed_over(package, folder):
    (package.folder / "__pycache__").touch()
    code = package.without().replace(
        "sys.path.insert",
        "is_dir = pathlib.Path.is_dir\n"
        "def refused(path):\n"
        "    if 'forbidden' in str(path):\n"
        "        raise PermissionError(13, 'not yours')\n"
        "    return is_dir(path)\n"
        "pathlib.Path.is_dir = refused\n"
        "def forbidden(path, *args, **options):\n"
        "    refused(path)\n"
        "    return mkdir(path, *args, **options)\n"
        "mkdir, pathlib.Path.mkdir = pathlib.Path.mkdir, forbidden\nsys.path.insert",
    )
    there = str(package.home / "forbidden")
    env = {"NUMBA_CACHE_DIR": there} if folder == "named" else {"HOME": there}
    assert package.call(code, **env) == (HERE if folder == "named" else APART, TOLD)
    assert package.call(code, **env) == (HERE, TOLD) if folder == "named" else (FOUND, "")


def test_sources_that_are_no_files_never_meet_old_machine_code(package):
    """They may be in an archive: one state of them can't be told from another."""
    archive = package.folder / "archive.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.write(package.folder / f"{package.name}.py", f"{package.name}.py")
    (package.folder / f"{package.name}.py").unlink()
    code = CALL.replace("sys.argv[1])", f"{str(archive)!r})")
    assert package.call(code) == package.call(code) == (HERE, TOLD)


def test_what_numba_is_told_to_do_elsewhere_is_not_done_here(package, monkeypatch):
    seen = []
    monkeypatch.setattr(objects.subprocess, "Popen", lambda *_, env, **__: seen.append(env))
    monkeypatch.setenv("NUMBA_OPT", "0")
    objects._start(["python"])
    assert not [name for name in seen[0] if name.startswith("NUMBA_")]


def test_a_compiler_starts_no_other(package):
    """Its program may be another that holds Python, and runs that again."""
    assert package.call(DLSORT_KERNELS_COMPILER="1") == (HERE, TOLD)


@pytest.mark.parametrize("program", ["/opt/application", "/opt/pythonic/app"])
def test_a_program_that_holds_python_is_not_started_again(package, program):
    cannot = CALL.replace("sys.path.insert", f"sys.executable = {program!r}\nsys.path.insert")
    assert package.call(cannot) == (HERE, TOLD)


def test_without_the_jit_nothing_is_compiled(package):
    nothing = "from dlsort_kernels import warm\nprint(warm())\n"
    assert package.call(nothing, NUMBA_DISABLE_JIT="1") == ("None\n", "")


def test_what_a_killed_process_left_is_removed_by_the_next(package):
    left = package.folder / "__pycache__" / "dlsort-abcd1234"
    left.mkdir(parents=True)
    assert package.call() == (APART, TOLD)
    assert not left.exists()


def test_a_compiler_ends_when_who_started_it_is_gone(tmp_path, monkeypatch):
    from dlsort_kernels import build

    parents = iter([7, 7, 1])
    monkeypatch.setattr(build.os, "getppid", lambda: next(parents))
    build.main(str(tmp_path), objects.cpu(), "dlsort_kernels.ties,dlsort_kernels.hash")
    assert [path.name for path in tmp_path.glob("*.o")] == ["dlsort_kernels.ties.o"]


def test_a_place_that_could_not_be_filled_is_not_tried_again(package):
    """Each module of a package would compile all of it, up to where the disk is full."""
    full = (
        "tried = []\n"
        "def fill(*_):\n"
        "    tried.append(1)\n"
        "    raise OSError(28, 'no space')\n"
        "objects.compile_into = fill\n"
    )
    twice = "print([objects.warm(sys.argv[2]) for _ in range(2)], len(tried))\n"
    begin, _ = CALL.split("assert one_kernel")
    out, _ = package.call(begin.replace("sys.path", f"{full}sys.path", 1) + twice)
    assert out == "[None, None] 3\n"


def test_code_that_is_damaged_whenever_it_is_read_is_compiled_here_in_the_end(package):
    lies = CALL.replace(
        "sys.path.insert", "objects._digest = lambda code: str(id(object()))\nsys.path.insert"
    ).replace("print(compiled(),", "print(compiled() <= objects._TRIES + 1,")
    lies = lies.replace("str(id(object()))", "next(numbers)").replace(
        "objects._digest", "numbers = iter(map(str, range(99)))\nobjects._digest"
    )
    out, told = package.call(lies)
    assert out == "True True\n"
    assert "are damaged" in told


def test_without_any_folder_each_process_compiles_what_it_calls(package):
    cannot = package.without("pathlib.Path.mkdir")
    assert package.call(cannot) == package.call(cannot) == (HERE, TOLD)


def test_no_lock_can_be_had(package):
    cannot = package.without("filelock.FileLock")
    assert package.call(cannot) == (HERE, TOLD)


@pytest.mark.parametrize("program", ["None", "''", "sys.argv[1]"])
def test_kernels_are_compiled_here_where_no_process_can_be_started(package, program):
    """Python is a part of another program, or lies where nothing may be started."""
    cannot = CALL.replace("sys.path.insert", f"sys.executable = {program}\nsys.path.insert")
    assert package.call(cannot) == (HERE, TOLD)
    assert package.call() == (FOUND, "")


@pytest.mark.parametrize("how", ["cut", "another", "gone", "no digests", "no json"])
def test_damaged_code_is_compiled_again_and_never_run(package, how):
    assert package.call() == (APART, TOLD)
    path = package.found_in() / f"{package.name}.o"
    digests = path.with_name("digests.json")
    if how == "cut":
        os.truncate(path, 100)
    elif how == "another":
        path.write_bytes(path.read_bytes()[::-1])
    elif how == "gone":
        path.unlink()
    elif how == "no digests":
        digests.unlink()
    else:
        digests.write_text("{")
    out, told = package.call()
    assert out == APART
    assert "are damaged; they are compiled again\n" in told
    assert package.call() == (FOUND, "")


def test_a_wheels_code_that_is_damaged_and_cannot_be_removed_is_not_run(package):
    assert package.call() == (APART, TOLD)
    shutil.copytree(
        package.found_in(), package.folder / objects.WHEEL / package.found_in().name
    )
    shutil.rmtree(package.folder / "__pycache__")
    os.truncate(package.found_in() / f"{package.name}.o", 100)
    code = CALL.replace(
        "sys.path.insert", "objects.shutil.rmtree = lambda *_, **__: None\nsys.path.insert"
    )
    out, told = package.call(code)
    assert out == APART
    assert told.count("are damaged") == 1
    out, told = package.call(code)
    assert out == FOUND
    assert told.count("are damaged") == 1


def test_what_is_wrong_with_a_kernel_is_told(package):
    path = package.folder / f"{package.name}.py"
    path.write_text(path.read_text().replace("len(words)", "nothing_of_this_name(words)"))
    out, told = package.call()
    assert not out
    assert "nothing_of_this_name" in told
    assert not list(package.folder.rglob("*.o"))


def test_a_full_disk_leaves_no_half_of_a_module(package, tmp_path):
    """What a compiler has not written to its end is compiled by the one who waits."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "dlsort_kernels.ties.taken").touch()  # as of a compiler that was killed
    ties = [each for each in objects.KERNELS if each.module == "dlsort_kernels.ties"]
    objects.compile_into(work, ties, objects.cpu())
    (digest,) = json.loads((work / "digests.json").read_text()).values()
    assert digest == objects._digest((work / "dlsort_kernels.ties.o").read_bytes())
    assert len(list(work.iterdir())) == 2


def test_a_changed_source_never_meets_old_machine_code(monkeypatch, tmp_path):
    copy = tmp_path / "dlsort_kernels"
    package = sys.modules["dlsort_kernels"]
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(package.__file__).parent, copy, ignore=no_cache)
    name_of = objects.name_of.__wrapped__
    before = name_of("dlsort_kernels", "x86-64-v3")
    assert name_of("dlsort_kernels", "x86-64-v4") != before
    monkeypatch.setattr(package, "__file__", str(copy / "__init__.py"))
    assert name_of("dlsort_kernels", "x86-64-v3") == before
    mix = copy / "mix.py"
    mix_stat = mix.stat()
    mix.write_bytes(mix.read_bytes()[::-1])  # the same size, and made the same age
    os.utime(mix, ns=(mix_stat.st_atime_ns, mix_stat.st_mtime_ns))
    assert name_of("dlsort_kernels", "x86-64-v3") != before


@pytest.mark.skipif(objects.platform.machine() != "x86_64", reason="of x86-64")
@pytest.mark.parametrize(
    ("features", "processor"), [(objects._V3[:1], "x86-64"), (objects._V3, "x86-64-v3")]
)
def test_a_processor_with_fewer_instructions_gets_code_of_its_own(package, features, processor):
    """It finds the code of one with more beside, and does not run it."""
    if objects.cpu() == processor:
        pytest.skip("this one has no more")
    assert package.call() == (APART, TOLD)
    other = package.found_in()
    fewer = CALL.replace(
        "sys.path.insert",
        f"objects.llvm.get_host_cpu_features = lambda: dict.fromkeys({features}, True)\n"
        "objects.llvm.get_host_cpu_name = lambda: 'x86-64'\nsys.path.insert",
    )
    assert package.call(fewer) == (APART, TOLD)
    assert package.call(fewer) == (FOUND, "")
    names = {path.parent.name for path in package.folder.rglob("*.o")}
    assert names == {other.name, other.name.replace(objects.cpu(), processor)}


@pytest.mark.parametrize(
    ("machine", "features", "says"),
    [
        ("aarch64", {}, "generic"),
        ("arm64", {}, "generic"),
        ("x86_64", dict.fromkeys(objects._V3, True), "x86-64-v3"),
        ("AMD64", dict.fromkeys(objects._V3, True), "x86-64-v3"),
        ("x86_64", dict.fromkeys((*objects._V3, *objects._V4), True), "x86-64-v4"),
        (
            "x86_64",
            {**dict.fromkeys((*objects._V3, *objects._V4), True), "fma": False},
            "this-very-one",
        ),
        ("x86_64", {**dict.fromkeys(objects._V3, True), "avx512f": True}, "x86-64-v3"),
        ("x86_64", {**dict.fromkeys(objects._V3, True), "bmi2": False}, "this-very-one"),
        ("ppc64le", dict.fromkeys(objects._V3, True), "this-very-one"),
    ],
)
def test_code_is_for_what_most_processors_can_do(monkeypatch, machine, features, says):
    monkeypatch.setattr(objects.platform, "machine", lambda: machine)
    monkeypatch.setattr(objects.llvm, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(objects.llvm, "get_host_cpu_name", lambda: "this-very-one")
    assert objects.cpu.__wrapped__() == says
