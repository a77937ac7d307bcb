"""What the control plane of a sort takes as workers, inputs and partitions grow.

Run it with ``make bench-control-plane``. Small data, a real scheduler, and workers that share a
few processes (:mod:`benchmarks.scale.many_workers`). Each result is checked.
"""

from __future__ import annotations

import json
import logging
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from distributed import Client
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.page import machine, readme_around, versions, write_readme
from benchmarks.scale.many_workers import (
    EXCHANGE,
    Counts,
    many_workers,
    scheduler_tally,
    worker_tally,
)
from dlsort.bench.engines import Work
from dlsort.bench.verify import verdict

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
RESULT = BENCH / "control_plane.json"
README = ROOT / "benchmarks" / "README.md"
SECTION = "control_plane"
ROWS = 1_000  # of an input
WARM_UP = 8  # inputs and partitions of the sort that comes first
IDLE_S = 2.0
FIT_FROM = 32  # workers; below that what is fixed counts for more than what grows


class Shape(NamedTuple):
    """Inputs into partitions on so many workers."""

    inputs: int
    parts: int
    workers: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Return the shape that ``"2000x2000@128"`` says."""
        sizes, _, workers = text.partition("@")
        inputs, _, parts = sizes.partition("x")
        return cls(int(inputs), int(parts), int(workers))


@dataclass(frozen=True)
class Measured:
    """A sort's control plane.

    Attributes
    ----------
    inputs, parts, workers : int
        Its shape.
    seconds : float
        Of the sort, with all workers on this machine's cores.
    scheduler_s : float
        The processor's time of the scheduler's process, less what its workers' heartbeats take.
    tasks, dependencies, transitions : int
        As the scheduler saw them.
    told : int
        Messages to the scheduler, but for those of the idle.
    messages, message_bytes : int
        Between workers, for the exchange: requests, and the buffers in them.
    receipt_bytes : int
        What the barrier's task had to hold of its inputs' results.
    answer_bytes : int
        What workers answer the exchange's requests, all in all: what the barrier asks for.
    passed_bytes : int
        What the barrier gives, and each worker gets.
    verdict : str
        "ok", or what is wrong with the result.
    """

    inputs: int
    parts: int
    workers: int
    seconds: float
    scheduler_s: float
    tasks: int
    dependencies: int
    transitions: int
    told: int
    messages: int
    message_bytes: int
    receipt_bytes: int
    answer_bytes: int
    passed_bytes: int
    verdict: str

    @property
    def size(self) -> int:
        """Inputs and partitions."""
        return self.inputs + self.parts


HEARTBEAT = "heartbeat_worker"
NOT_TOLD = (
    "tasks",
    "dependencies",
    "transitions",
    "processor_s",
    HEARTBEAT,
    "heartbeat-client",
)
SIZES = (" bytes", " answered")


def make_inputs(folder: Path, n: int, rows: int = ROWS) -> Path:
    """Return a folder of ``n`` small Parquet files, written first if they are not there."""
    src = folder / f"small-{n}x{rows}"
    if not src.exists():
        staging = Path(tempfile.mkdtemp(dir=folder, prefix=".small-"))
        rng = np.random.default_rng(n)
        for i in range(n):
            table = pa.table(
                {"key": rng.integers(0, 1 << 40, rows), "row": np.arange(rows) + i}
            )
            pq.write_table(table, staging / f"{i:06}.parquet")
        staging.rename(src)
    return src


def run(client: Client, src: Path, shape: Shape, heartbeat_s: float = 0.0) -> Measured:
    """Sort once, count and check; a heartbeat takes the scheduler so many seconds."""
    import dlsort

    with tempfile.TemporaryDirectory(dir=src.parent, prefix="out-") as folder:
        dst = Path(folder) / "out"
        workers_before, before = worker_tally(client), scheduler_tally(client)
        began = time.perf_counter()
        # An input of a byte: each file is one of its own.
        dlsort.sort_dataset(
            src, dst, by="key", partitions=shape.parts, input_size=1, scheduler=client,
            strategy="exchange",
        )  # fmt: skip
        seconds = time.perf_counter() - began
        ours = _less(scheduler_tally(client), before)
        theirs = _less(worker_tally(client), workers_before)
        said = verdict(Work.of(src, ("key",)), dst)
    return Measured(
        *shape,
        seconds=seconds,
        scheduler_s=max(0.0, ours["processor_s"] - heartbeat_s * ours[HEARTBEAT]),
        tasks=round(ours["tasks"]),
        dependencies=round(ours["dependencies"]),
        transitions=round(ours["transitions"]),
        told=round(sum(n for name, n in ours.items() if _is_told(name))),
        messages=round(sum(n for name, n in theirs.items() if _is_exchanged(name))),
        message_bytes=_total(theirs, " bytes"),
        answer_bytes=_total(theirs, " answered"),
        receipt_bytes=round(ours["receipt bytes"]),
        passed_bytes=round(ours["passed bytes"]),
        verdict=said,
    )


def _heartbeat(client: Client, idle_s: float) -> float:
    """Return what a worker's heartbeat takes of a scheduler that has nothing else to do."""
    before = scheduler_tally(client)
    time.sleep(idle_s)
    idle = _less(scheduler_tally(client), before)
    return idle["processor_s"] / max(1.0, idle[HEARTBEAT])


def _less(new: Counts, old: Counts) -> Counts:
    return defaultdict(float, {name: n - old.get(name, 0) for name, n in new.items()})


def _is_told(name: str) -> bool:
    return name not in NOT_TOLD and not name.endswith(SIZES)


def _is_exchanged(name: str) -> bool:
    return name.startswith(EXCHANGE) and not name.endswith(SIZES)


def _total(counts: Counts, kind: str) -> int:
    return round(sum(n for name, n in counts.items() if name.endswith(kind)))


def shape_of(one: Measured) -> Shape:
    """Return the shape of a run."""
    return Shape(one.inputs, one.parts, one.workers)


def read(path: Path) -> list[Measured]:
    """Return the runs that a file has; none if it is not there."""
    if not path.exists():
        return []
    return [Measured(**one) for one in json.loads(path.read_text(encoding="utf-8"))]


def exponent(found: Sequence[Measured], what: str, of: str = "size") -> float:
    """Return the power of ``of`` with which a figure grows: least squares of the logarithms."""
    points = [(getattr(one, of), getattr(one, what)) for one in found]
    xs, ys = (
        np.log([max(value, 1e-9) for value in column]) for column in zip(*points, strict=True)
    )
    return float(np.polyfit(xs, ys, 1)[0]) if len(set(xs)) > 1 else math.nan


# ---------------------------------------------------------------- page

FIGURES = {
    "tasks": "tasks",
    "dependencies": "dependencies",
    "told": "messages to the scheduler",
    "messages": "messages between workers",
    "message_bytes": "their bytes",
    "receipt_bytes": "barrier holds of the inputs, bytes",
    "answer_bytes": "workers tell the barrier, bytes in all",
    "passed_bytes": "barrier gives, bytes",
    "scheduler_s": "scheduler, s",
}

CAVEATS = """\
- Each input has {rows:,} rows of 16 bytes. The scheduler is alone in its process, and its
  seconds are that process's processor time, less what heartbeats take. All workers are in one
  process: the seconds of the sort tell nothing of a cluster of so many machines.
- Messages between workers are requests of the exchange: rows, and what the barrier asks.
  Dask's fetching of a result from another worker is not among them.
- Exponents: from {fit_from} workers on, least squares of the logarithms. Each result was
  checked: {verdicts}.\
"""


def page(found: Sequence[Measured], head: str) -> str:
    """Return the tables as Markdown."""
    grown = [one for one in found if one.inputs == one.parts == one.workers]
    others = {(one.inputs, one.parts) for one in found if one not in grown}
    fixed = [one for one in found if (one.inputs, one.parts) in others]
    parts = [
        head,
        _table("as many inputs and partitions as workers", grown, "size"),
        _table("other shapes", fixed, "workers"),
        CAVEATS.format(
            rows=ROWS,
            fit_from=FIT_FROM,
            verdicts=", ".join(sorted({one.verdict for one in found})),
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(title: str, found: Sequence[Measured], of: str) -> str:
    if not found:
        return ""
    fitted = [one for one in found if one.workers >= FIT_FROM]
    n_shapes = len({(one.inputs, one.parts) for one in fitted})
    grows = len({one.workers for one in fitted}) > 1 and (of == "size" or n_shapes == 1)
    by = "inputs + partitions" if of == "size" else "workers"
    columns = [f"{one.inputs:,} × {one.parts:,} on {one.workers}" for one in found]
    lines = [
        f"| {title} | "
        + " | ".join(columns)
        + (f" | grows as {by} to the |" if grows else " |"),
        "|---" + "|--:" * (len(columns) + grows) + "|",
    ]
    for name, words in FIGURES.items():
        cells = [_number(getattr(one, name)) for one in found]
        if grows:
            cells.append(f"{exponent(fitted, name, of):.2f}")
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    ms = [f"{1e3 * one.scheduler_s / one.tasks:.2f}" for one in found] + [""] * grows
    lines.append("| scheduler, ms a task | " + " | ".join(ms) + " |")
    seconds = [f"{one.seconds:.1f}" for one in found] + [""] * grows
    lines.append("| the sort here, s | " + " | ".join(seconds) + " |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


# ---------------------------------------------------------------- command


def shapes_of(workers: Sequence[int], more: Sequence[str]) -> list[Shape]:
    """Return the shapes to run: inputs and partitions as workers, 400 × 400, and more."""
    grown = [Shape(n, n, n) for n in workers]
    fixed = [Shape(400, 400, n) for n in workers]
    return list(dict.fromkeys([*grown, *fixed, *map(Shape.parse, more)]))


def measure(
    shapes: Sequence[Shape],
    folder: Path,
    *,
    repeat: int = 1,
    memory_limit: int = 4 * 2**30,
    idle_s: float = IDLE_S,
) -> Iterator[Measured]:
    """Yield what each shape takes: of ``repeat`` runs the one with the least scheduler time."""
    for workers in sorted({shape.workers for shape in shapes}):
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix="spill-") as spill,
            many_workers(workers, Path(spill), memory_limit=memory_limit) as client,
        ):
            run(client, make_inputs(folder, WARM_UP), Shape(WARM_UP, WARM_UP, workers))
            heartbeat_s = _heartbeat(client, idle_s)
            for shape in shapes:
                if shape.workers == workers:
                    src = make_inputs(folder, shape.inputs)
                    runs = [run(client, src, shape, heartbeat_s) for _ in range(repeat)]
                    yield min(runs, key=lambda one: one.scheduler_s)


@click.command()
@click.option("--workers", default="8,32,128,400", show_default=True)
@click.option("--shape", "more", multiple=True, help="One more, as in 2000x2000@128.")
@click.option("--only-shapes", is_flag=True, help="Nothing but what --shape says.")
@click.option("--repeat", default=1, show_default=True, help="Runs of each shape.")
@click.option("--keep", is_flag=True, help="Keep what the run before has of other shapes.")
@click.option("--no-limit", is_flag=True, help="Workers without a memory limit.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put it into README.md here.")
def main(
    *,
    workers: str,
    more: tuple[str, ...],
    only_shapes: bool,
    repeat: int,
    keep: bool,
    no_limit: bool,
    to_readme: bool,
) -> None:
    """Sort small inputs on many workers, and print what the control plane takes."""
    logging.getLogger("distributed").setLevel(logging.ERROR)
    inputs = BENCH / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    console = Console(width=150)
    if to_readme:
        readme_around(README, SECTION)
    shapes = shapes_of([] if only_shapes else [int(n) for n in workers.split(",")], more)
    limit = 0 if no_limit else 4 * 2**30
    found = {shape_of(one): one for one in read(RESULT)} if keep else {}
    for one in measure(shapes, inputs, repeat=repeat, memory_limit=limit):
        found[shape_of(one)] = one
        console.print_json(json.dumps(asdict(one)), indent=None)
        told: list[dict[str, Any]] = [asdict(each) for each in found.values()]
        RESULT.write_text(json.dumps(told, indent=2), encoding="utf-8")
    in_order = sorted(found.values(), key=lambda one: (one.size, one.workers))
    text = page(in_order, f"{machine()}; {versions()}.")
    console.print(Markdown(text))
    (BENCH / "control_plane.md").write_text(text + "\n", encoding="utf-8")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
