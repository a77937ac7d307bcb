"""TeraSort beside its floor: a plain copy of the files, and a sort of as many keys in memory.

Run it with ``make bench-terasort``, or with ``ARGS="--records 10M --memory 1GiB"``. In each
round the floor and both inputs have a turn: Indy's uniform keys, and Daytona's, of which many
begin alike. Cold means that the files are not in the page cache. Each sort is a process of
its own, watched from outside, and its result is validated outside the time.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markdown import Markdown

import dlsort
from benchmarks.page import machine, readme_around, versions, write_readme
from benchmarks.scale.cases import BENCH, INPUTS, ROOT
from dlsort.bench.watch import watch
from dlsort.sizes import parse_count

README = ROOT / "benchmarks" / "README.md"
SECTION = "terasort"
KINDS = {"Indy": False, "Daytona": True}
BLOCK_BYTES = 1 << 20
MB = 10**6


@dataclass
class Turn:
    """Seconds of one turn, and of writing to the disk what it left in memory."""

    seconds: float
    sync_s: float
    report: dict[str, Any] = field(default_factory=dict)
    peak_bytes: int = 0
    own_bytes: int = 0


def _input(kind: str, n: int) -> Path:
    """Make the records, unless they are there."""
    folder = INPUTS / f"terasort-{kind.lower()}-{n}"
    if not folder.exists():
        dlsort.generate_records(n, f"{folder}/", skew=KINDS[kind])
    return folder


def _forget(folder: Path) -> None:
    """Have the page cache drop a folder's files."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _remember(folder: Path) -> None:
    """Have the files in the page cache, as far as they fit."""
    memory = bytearray(BLOCK_BYTES)
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.readinto(memory):
                pass


def _copy(src: Path, dst: Path, n_threads: int) -> None:
    dst.mkdir()

    def copy(path: Path) -> None:
        memory = bytearray(BLOCK_BYTES)
        with path.open("rb", buffering=0) as old, (dst / path.name).open("wb") as new:
            while n := old.readinto(memory):
                os.write(new.fileno(), memoryview(memory)[:n])

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(copy, src.iterdir()))


def _sort_keys(n: int, n_threads: int) -> float:
    """Return the seconds to sort so many words, each thread its share, which none merges."""
    rng = np.random.default_rng(0)
    shares = [rng.integers(0, 2**64, n // n_threads, np.uint64) for _ in range(n_threads)]
    began = time.perf_counter()
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(np.ndarray.sort, shares))
    return time.perf_counter() - began


def _sync() -> float:
    began = time.perf_counter()
    os.sync()
    return time.perf_counter() - began


def _floor(src: Path, dst: Path, n: int, n_threads: int) -> Turn:
    began = time.perf_counter()
    _copy(src, dst, n_threads)
    copied_s = time.perf_counter() - began
    sync_s = _sync()
    shutil.rmtree(dst)
    sorted_s = _sort_keys(n, n_threads)
    return Turn(copied_s + sorted_s, sync_s, {"copy_s": copied_s, "sort_s": sorted_s})


def _sort(src: Path, dst: Path, n_threads: int, memory: str, carry: str) -> Turn:
    path = dst.with_suffix(".json")
    options = {"threads": n_threads, "memory": memory, "carry": carry, "report": path}
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "dlsort", "terasort", src, dst, "--no-progress", *flags]
    began = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as running:
        with watch(running.pid) as peak:
            code = running.wait()
        seconds = time.perf_counter() - began
    sync_s = _sync()
    if code:
        raise click.ClickException(f"terasort ended with exit code {code}.")
    report = json.loads(path.read_text())
    path.unlink()
    _check(src, dst)
    shutil.rmtree(dst)
    return Turn(seconds, sync_s, report, peak.total, peak.own)


def _check(src: Path, dst: Path) -> None:
    """Raise unless the result is the source in order, as valsort has it."""
    before, after = dlsort.validate_records(src), dlsort.validate_records(dst)
    same = (before.n_records, before.checksum) == (after.n_records, after.checksum)
    if not (after.ok and same):
        raise click.ClickException(f"{dst} is wrong: {after.to_text()}")


def _rounds(
    n: int, n_threads: int, memory: str, repeat: int, carry: str, work: Path
) -> Iterator[tuple[str, str, Turn]]:
    """Give (state of the page cache, who, turn), everyone's turn in each round."""
    sources = {kind: _input(kind, n) for kind in KINDS}
    for state in ["cold"] + ["warm"] * repeat:
        for who in ("floor", *KINDS):
            src = sources["Indy" if who == "floor" else who]
            for other in sources.values():
                _forget(other)
            if state == "warm":
                _remember(src)
            dst = work / "sorted"
            if who == "floor":
                yield state, who, _floor(src, dst, n, n_threads)
            else:
                yield state, who, _sort(src, dst, n_threads, memory, carry)


def _page(found: list[tuple[str, str, Turn]], n: int, n_threads: int, memory: str) -> str:
    n_bytes = n * 100
    lines = [
        f"On {machine()}; {versions()}.",
        "",
        f"| {n:,} records, {n_threads} threads, {memory} | page cache | seconds | × floor "
        "| MB/s a core | largest part | own memory | resident | way | then to disk, s |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|--:|",
    ]
    medians: dict[tuple[str, str], float] = {}
    for state in ("cold", "warm"):
        for who in ("floor", *KINDS):
            turns = [turn for s, w, turn in found if (s, w) == (state, who)]
            if not turns:
                continue
            seconds = statistics.median(turn.seconds for turn in turns)
            medians[state, who] = seconds
            turn = min(turns, key=lambda turn: abs(turn.seconds - seconds))
            speed = n_bytes / MB / seconds / n_threads
            told = turn.report
            cells = [who, state, f"{seconds:.2f}", f"{seconds / medians[state, 'floor']:.2f}"]
            cells += [f"{speed:,.0f}"]
            if who == "floor":
                parts = f"copy {told['copy_s']:.2f} s, sort {told['sort_s']:.2f} s"
                cells += ["", "", "", parts]
            else:
                cells += [f"{told['balance']:.3f}"]
                cells += [f"{max(t.own_bytes for t in turns) / 2**30:.2f} GiB"]
                cells += [f"{max(t.peak_bytes for t in turns) / 2**30:.2f} GiB"]
                cells += [told["strategy"]]
            cells += [f"{statistics.median(turn.sync_s for turn in turns):.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    ratios = [
        f"{medians[state, 'Daytona'] / medians[state, 'Indy']:.2f} {state}"
        for state in ("cold", "warm")
        if (state, "Daytona") in medians
    ]
    return "\n".join([*lines, "", f"Daytona over Indy: {', '.join(ratios)}.", "", NOTES])


NOTES = """\
- Floor: the files copied in blocks of 1 MiB by as many threads, and as many words sorted by
  NumPy, each thread its share, without their places and without a merge.
- Seconds are the whole command's, Python's start among them, but for what the system still
  writes to disk then, which has a column of its own. One cold turn; of warm ones the median.
- *own memory* is what the process holds but for shared pages; *resident* has the pages of the
  source too that it has mapped. Both are seen from outside, ten times a second.
- Each result was validated as valsort does, and has the source's count and checksum.\
"""


@click.command(help=__doc__)
@click.option("--records", default="100M", show_default=True)
@click.option("--memory", default="4GiB", show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeat", default=2, show_default=True, help="Warm rounds.")
@click.option("--carry", default="auto", show_default=True)
@click.option("--write-readme", "is_written", is_flag=True)
def main(
    *, records: str, memory: str, threads: int, repeat: int, carry: str, is_written: bool
) -> None:
    """Run the rounds, and print the table."""
    if is_written:
        readme_around(README, SECTION)
    n = parse_count(records, "records")
    INPUTS.mkdir(parents=True, exist_ok=True)
    work = BENCH / "terasort"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    found = []
    for state, who, turn in _rounds(n, threads, memory, repeat, carry, work):
        found.append((state, who, turn))
        click.echo(f"{who}, {state}: {turn.seconds:.2f} s, then {turn.sync_s:.1f} s to disk")
    shutil.rmtree(work)
    text = _page(found, n, threads, memory)
    Console().print(Markdown(text))
    if is_written:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
