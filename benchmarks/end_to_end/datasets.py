"""Parquet to sorted Parquet: dlsort beside Dask, Polars, DuckDB and a plain copy.

Run it with ``make bench``, or ``make bench ARGS="--engines dlsort,duckdb --repeat 5"``.
"""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs, verify
from benchmarks.engines import ENGINES, Outcome, serve
from benchmarks.inputs import JOBS, Job
from benchmarks.page import (
    TITLES,
    Figures,
    Turn,
    machine,
    page,
    readme_around,
    summary,
    versions,
    write_readme,
)
from benchmarks.watch import watch

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "end_to_end"


class Child:
    """An engine in its own process."""

    def __init__(self, name: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(name, threads, theirs), name=name)
        self._process.start()
        theirs.close()
        self.error: str | None = self._pipe.recv()

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> tuple[Outcome, int]:
        """Return the outcome and the most bytes resident in the engine's processes."""
        if self.error is not None:
            return Outcome(0.0, None, self.error), 0
        with watch(self._process.pid) as peak:
            self._pipe.send((src, dst, by))
            outcome = self._pipe.recv()
        return outcome, peak.total

    def close(self) -> None:
        """End the process, and wait for it."""
        if self.error is None:
            self._pipe.send(None)
        self._process.join()


def measure(
    job: Job, src: Path, names: list[str], *, repeat: int, threads: int, console: Console
) -> dict[str, list[Turn]]:
    """Give every engine its turn at one job, a cold round and then ``repeat`` more."""
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    children = {name: Child(name, threads) for name in names}
    try:
        for number in range(repeat + 1):
            for name, child in children.items():
                with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
                    os.sync()  # what the engine before has written is not this one's load
                    outcome, peak = child.sort(src, Path(folder), job.by)
                    checked = outcome.error or verify.verdict(
                        src,
                        Path(folder),
                        job.by,
                        ordered=name != "copy",
                        same_types=name != "dask",  # pandas has no type for some
                    )
                turns[name].append(Turn(number, outcome, peak, checked))
                label = "cold" if number == 0 else f"round {number} of {repeat}"
                console.print(
                    f"{job.title} · {label} · {TITLES[name]}: {outcome.seconds:.2f} s, "
                    f"{peak / 2**30:.1f} GiB, {checked}",
                    highlight=False,
                )
    finally:
        for child in children.values():
            child.close()
    return turns


def _chosen(text: str | None, known: list[str], what: str) -> list[str]:
    chosen = known if text is None else text.split(",")
    if unknown := [name for name in chosen if name not in known]:
        msg = f"unknown {what} {', '.join(unknown)}: there are {', '.join(known)}."
        raise click.BadParameter(msg)
    return [name for name in known if name in chosen]


@click.command()
@click.option("--inputs", "input_names", help="Subset of: lineitem,table.")
@click.option("--engines", "engine_names", help=f"Subset of: {','.join(ENGINES)}.")
@click.option("--repeat", default=3, show_default=True, help="Rounds after the cold one.")
@click.option("--scale", default=1.0, show_default=True, help="Size of the inputs.")
@click.option("--threads", default=2, show_default=True, help="Threads of every engine.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(
    *,
    input_names: str | None,
    engine_names: str | None,
    repeat: int,
    scale: float,
    threads: int,
    to_readme: bool,
) -> None:
    """Time Parquet to sorted Parquet on every engine, in turn, and check each result."""
    wanted = _chosen(input_names, ["lineitem", "table"], "input")
    names = _chosen(engine_names, list(ENGINES), "engine")
    console = Console()
    if to_readme:
        readme_around(README, SECTION)  # fails now, not after all the work
    results: dict[Job, Figures] = {}
    for job in JOBS:
        if job.input in wanted:
            src = inputs.make(job.input, scale, BENCH / "inputs")
            results[job] = summary(
                measure(job, src, names, repeat=repeat, threads=threads, console=console)
            )
    settings = {
        "machine": machine(),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "repeat": repeat,
        "scale": scale,
        "table_rows": int(inputs.TABLE_ROWS * scale),
        "threads": threads,
    }
    text = page(results, settings)
    console.print(Markdown(text))
    found = [{"job": job._asdict(), "engines": figures} for job, figures in results.items()]
    out = BENCH / "end_to_end.json"
    out.write_text(json.dumps({**settings, "results": found}, indent=2), encoding="utf-8")
    console.print(f"Written to {out.relative_to(ROOT)}")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
