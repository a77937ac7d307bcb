"""Where a process' threads spend their time, as Linux' ``perf`` sees it from outside.

A sample is one look at one running thread: the chain of mapped files (DSOs) whose code it is
in, the innermost first. The files tell who works: libarrow is Arrow, memory without a file is
what numba compiled, and so on. The C library works for whoever called it, so its samples are
given to the first file above it in the chain; 512 bytes of each stack are enough to find it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

RATE_HZ = 499  # of each running thread; not a divisor of the timer ticks' rates
STACK_BYTES = 512

PYTHON = "Python and Dask"
KERNELS = "kernels (numba)"
ARROW = "Arrow and Parquet"
NUMPY = "NumPy"
SYSTEM = "system"
UNKNOWN = "unknown"

# Whom these work for, their callers say.
_RUNTIME = re.compile(r"(libc|libm|libstdc\+\+|libgcc_s|libpthread|ld-linux[^/]*)[.\-][^/]*$")
_FRAME = re.compile(r"^\s*[0-9a-f]+ \((.*)\)$", re.MULTILINE)


class PerfError(Exception):
    """There is no ``perf``, or it may not look at processes here."""


@contextlib.contextmanager
def recording(pid: int | None, out: Path) -> Iterator[None]:
    """Sample all threads of a process, those to come too, while the block runs.

    Parameters
    ----------
    pid : int or None
        A process of this user.
    out : Path
        File for the samples, to be read by :func:`samples`; perf's words go to a log beside it.

    Raises
    ------
    PerfError
        Before the block runs: ``perf`` is missing or refuses.
    """
    if shutil.which("perf") is None:
        msg = "perf is not installed (Debian and Ubuntu: linux-perf, linux-tools-generic)"
        raise PerfError(msg)
    control, ours = os.pipe()
    answers, theirs = os.pipe()
    options = (
        f"-e cpu-clock -F {RATE_HZ} --call-graph dwarf,{STACK_BYTES} --no-buildid "
        f"--delay=-1 --control fd:{control},{theirs} --pid {pid}"
    )
    log = out.with_suffix(".log")
    with log.open("w") as said:
        process = subprocess.Popen(
            ["perf", "record", *options.split(), "--output", str(out)],
            pass_fds=(control, theirs),
            stdout=said,
            stderr=said,
        )
    os.close(control)
    os.close(theirs)
    try:
        if not _tell(ours, answers, "enable"):
            msg = f"perf record: {' '.join(log.read_text().split())[:200]}"
            raise PerfError(msg)
        yield
    finally:
        _tell(ours, answers, "stop")
        process.wait()
        os.close(ours)
        os.close(answers)


def _tell(control: int, answers: int, command: str) -> bool:
    """Give perf a command, and return whether it has obeyed (False: it has ended)."""
    with contextlib.suppress(BrokenPipeError):
        os.write(control, f"{command}\n".encode())
    return os.read(answers, 16).startswith(b"ack")


def samples(recorded: Path) -> Counter[str]:
    """Return how many samples of a recording fell to each place.

    Raises
    ------
    PerfError
        If perf can't read what it wrote.
    """
    options = ["-F", "ip,dso", "--no-inline", "--input", str(recorded)]
    done = subprocess.run(["perf", "script", *options], capture_output=True, text=True)
    if done.returncode:
        msg = f"perf script: {' '.join(done.stderr.split())[:200]}"
        raise PerfError(msg)
    return count(done.stdout)


def count(script: str) -> Counter[str]:
    """Count the samples in perf's listing: a block of lines each, innermost frame first.

    Examples
    --------
    >>> count('''
    ...     7f01 (/usr/lib/libc.so.6)
    ...     7f02 (/venv/pyarrow/libarrow.so.2600)
    ...
    ...     7f03 ([JIT] tid 42)
    ... ''')
    Counter({'Arrow and Parquet': 1, 'kernels (numba)': 1})
    """
    chains = (_FRAME.findall(block) for block in re.split(r"\n\s*\n", script))
    return Counter(place(chain) for chain in chains if chain)


def place(chain: list[str]) -> str:
    """Return who works where a thread was seen, from its files, the innermost first.

    Examples
    --------
    >>> place(["/usr/lib/libm.so.6", "/usr/lib/libpython3.11.so.1.0"])
    'Python and Dask'
    >>> place(["[kernel.kallsyms]", "/venv/pyarrow/libarrow.so.2600"])
    'system'
    """
    for file in chain:
        found = _owner(file)
        if found is not None:
            return found
    return UNKNOWN


def _owner(file: str) -> str | None:
    """Return whose code a mapped file is, or None for what works for its caller."""
    name = file.rsplit("/", 1)[-1]
    if file.startswith("[JIT]") or name.startswith(("perf-", "anon")):
        return KERNELS
    if file == "[unknown]" or file == "[vdso]" or _RUNTIME.match(name):
        return None
    if file.startswith("["):
        return SYSTEM  # the kernel, or a module of it
    if name.startswith(("libarrow", "libparquet")) and not name.startswith("libarrow_python"):
        return ARROW
    if "/numpy/" in file or "/numpy.libs/" in file:
        return NUMPY
    # The interpreter and its extensions, the glue of pyarrow and numba too.
    return PYTHON
