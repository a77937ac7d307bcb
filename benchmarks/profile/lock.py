"""Python's lock: the share of time that each step holds it, and what follows for many cores.

Run it with ``make bench-lock``. py-spy looks at a sorting process from outside, several hundred
times a second: at which threads are at work, and which of them holds the lock. A step's share
is that of its threads' time in which they hold it. With the shares the planner's cost model
tells what 2 to 192 cores make of the same job, by processes × threads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median
from unittest.mock import patch

import click
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs
from benchmarks.inputs import JOBS, Job
from benchmarks.page import machine, readme_around, versions, write_readme
from dlsort.planner.cost import Resources, predict
from dlsort.planner.known import learn
from dlsort.planner.speeds import LOCK_SHARES
from dlsort.planner.work import Shape, facts_of
from dlsort.sizes import GIB
from dlsort.tuning import TUNING

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "lock"
RATE_HZ = 400
SORTS = 3
CORES = (2, 4, 8, 16, 32, 64, 128, 192)
PROCESSES = (0, 2, 4, 8, 16, 32)

# The outermost function that a step is, as stacks name it.
STEPS = {
    "Ordered.add": "prove",
    "prove": "prove",
    "Reader.read": "read",
    "find_bands": "classify",
    "group": "split",
    "sort_in_pieces": "sort",
    "PartFile.write": "write",
    "PartFile.close": "write",
}

_SORT = """
import sys, dlsort
for _ in range({sorts}):
    dlsort.sort_dataset({src!r}, {dst!r}, by={by!r}, threads={threads}, overwrite=True)
"""


def sampled(job: Job, src: Path, threads: int, *, holding: bool) -> Counter[str]:
    """Return samples of threads at work, by step; only of those that hold the lock, or all."""
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
        stacks = Path(folder) / "stacks.txt"
        code = _SORT.format(
            sorts=SORTS, src=str(src), dst=f"{folder}/out", by=list(job.by), threads=threads
        )
        spy = Path(sys.executable).with_name("py-spy")
        how = ["record", "--nonblocking", "-d", "600", "-r", str(RATE_HZ), "-f", "raw"]
        how += ["--gil"] if holding else []
        command: list[str | Path] = [spy, *how, "-o", stacks, "--", sys.executable, "-c", code]
        subprocess.run(command, check=True, capture_output=True)
        return by_step(stacks.read_text(encoding="utf-8"))


def by_step(stacks: str) -> Counter[str]:
    """Return how many samples each step has, of py-spy's raw lines: frames; …; count."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, n = line.rpartition(" ")
        names = [frame.partition(" (")[0] for frame in frames.split(";")]
        step = next((STEPS[name] for name in names if name in STEPS), "other")
        found[step] += int(n)
    return found


def shares_of(held: Counter[str], at_work: Counter[str]) -> dict[str, float]:
    """Return the share of its threads' time in which each step holds the lock."""
    return {step: held[step] / n for step, n in at_work.items() if n >= RATE_HZ / 20}


def speed_ups(job: Job, src: Path, shares: dict[str, float]) -> list[str]:
    """Return the lines of a table: how many times as fast as one core, by processes."""
    from dlsort.io.parquet.source import open_source
    from dlsort.keys import parse_by

    facts = facts_of(open_source(src, TUNING.io), parse_by(list(job.by)))
    # A hundred times the job: what many cores are for.
    grown = facts._replace(
        **{
            name: getattr(facts, name) * 100
            for name in ("rows", "files", "chunks", "fixed_bytes", "text_bytes", "coded_values")
        },
        stored_bytes=facts.stored_bytes * 100,
        arrow_bytes=facts.arrow_bytes * 100,
    )
    known = learn("", "", TUNING.planner)
    resources = Resources(1, TUNING.budget.base_bytes, 1000 * GIB, 8, 4)
    parts = -(-grown.arrow_bytes // TUNING.budget.partition_bytes)

    def seconds(cores: int, processes: int) -> float:
        n = -(-parts // cores) * cores
        shape = Shape("exchange", n, n, processes, cores)
        return predict(grown, shape, replace(resources, cores=cores), known.speeds).seconds

    with patch("dlsort.planner.cost.LOCK_SHARES", {**LOCK_SHARES, **shares}):
        alone = seconds(1, 0)
        lines = [
            "| cores | "
            + " | ".join(f"{n} processes" if n else "threads alone" for n in PROCESSES)
            + " |",
            "|--:" * (1 + len(PROCESSES)) + "|",
        ]
        for cores in CORES:
            cells = [
                f"{alone / seconds(cores, n):.1f}" if n <= cores else "" for n in PROCESSES
            ]
            lines.append(f"| {cores} | {' | '.join(cells)} |")
    return lines


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="Size of the inputs.")
@click.option("--threads", default=2, show_default=True, help="Threads that sort.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(*, scale: float, threads: int, to_readme: bool) -> None:
    """Print which share of its time each step holds Python's lock, and what follows."""
    if to_readme:
        readme_around(README, SECTION)
    BENCH.mkdir(parents=True, exist_ok=True)
    lines = [f"On {machine()}; {versions()}. {threads} threads, {SORTS} sorts.", ""]
    found: dict[str, dict[str, float]] = {}
    for job in (JOBS[1], JOBS[3]):
        src = inputs.make(job.input, scale, BENCH / "inputs")
        at_work = sampled(job, src, threads, holding=False)
        found[job.title] = shares_of(sampled(job, src, threads, holding=True), at_work)
    steps = [step for step in LOCK_SHARES if any(step in of for of in found.values())]
    lines += ["| step | " + " | ".join(found) + " |", "|---" + "|--:" * len(found) + "|"]
    for step in steps:
        lines.append(
            f"| {step} | "
            + " | ".join(f"{of.get(step, 0):.1%}" for of in found.values())
            + " |"
        )
    shares = {step: median(of[step] for of in found.values() if step in of) for step in steps}
    job = JOBS[3]
    src = inputs.make(job.input, scale, BENCH / "inputs")
    lines += ["", f"Speed-up over one core, of {job.title}, a hundred times as large:", ""]
    lines += speed_ups(job, src, shares)
    text = "\n".join(lines)
    Console(width=150).print(Markdown(text))
    (BENCH / "lock.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
