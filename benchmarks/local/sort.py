"""Sorts in one process: dlsort.argsort and sort_table beside NumPy, pandas, Polars and others.

Run it with ``make bench-local``, or ``make bench-local ARGS="--rows 1000000 --only Zipf"``.
"""

from __future__ import annotations

import datetime
import gc
import json
import multiprocessing
import os
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.local import inputs, page
from benchmarks.page import machine, readme_around, versions, write_readme

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "local_sort"
# A sort slower than this is not measured again: a median of one.
SLOW_S = 1.2
# Sorts quicker than this are repeated inside a turn.
TURN_S = 0.02


def serve(threads: int, pipe: Connection) -> None:
    """Sort cases as they come through the pipe, in a process that has so many threads."""
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import pyarrow as pa

    pa.set_cpu_count(threads)
    from benchmarks.local.engines import prepare
    from benchmarks.local.verify import verdict

    while (task := pipe.recv()) is not None:
        group, name, n_rows, engines, repeat = task
        case = inputs.make(group, name, n_rows)
        sorts, verdicts, counts, seconds = {}, {}, {}, {}
        for engine in engines:
            if threads > 1 and engine in page.ONE_THREAD:
                continue
            try:
                sort = prepare(engine, case, threads)
            except Exception as error:  # a peer that has no such type is told, not fatal
                verdicts[engine] = type(error).__name__
                continue
            if sort is not None:
                sorts[engine] = sort
        for engine, sort in list(sorts.items()):
            try:
                verdicts[engine] = verdict(case, sort())
            except Exception as error:  # a peer that has no sort for a type is told, not fatal
                verdicts[engine] = type(error).__name__
                del sorts[engine]
                continue
            began = time.perf_counter()
            sort()
            took = time.perf_counter() - began
            counts[engine] = max(1, int(TURN_S / took))
            seconds[engine] = [] if took < SLOW_S else [took]
        for _ in range(repeat):
            for engine, sort in sorts.items():
                if seconds[engine] and seconds[engine][0] >= SLOW_S:
                    continue
                gc.collect()
                began = time.perf_counter()
                for _ in range(counts[engine]):
                    sort()
                seconds[engine].append((time.perf_counter() - began) / counts[engine])
        pipe.send((seconds, verdicts))


class Child:
    """A process with a number of threads."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(threads, theirs))
        self._process.start()
        theirs.close()

    def run(self, task: tuple[str, str, int, list[str], int]) -> tuple[Any, Any]:
        """Return seconds and verdicts of each engine."""
        self._pipe.send(task)
        return self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


def _merged(
    last: dict[str, Any], settings: dict[str, Any], found: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the last run's cases in their order, with those measured now in their place."""
    if any(last[name] != settings[name] for name in ("machine", "versions")):
        msg = "the last run was on another machine, or with other versions: measure all again."
        raise click.UsageError(msg)
    places = {_place(row): row for row in last["results"]}
    places.update({_place(row): row for row in found})
    return list(places.values())


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("threads", "group", "name", "rows"))


@click.command()
@click.option("--rows", default=10_000_000, show_default=True, help="Rows of the main cases.")
@click.option("--threads", default="1,2", show_default=True, help="Thread counts, by comma.")
@click.option("--engines", help="Subset of the engines, by comma.")
@click.option("--groups", help="Subset of pattern,type,keys,table,size.")
@click.option("--only", help="Cases whose name holds this.")
@click.option("--repeat", default=3, show_default=True, help="Rounds after a first one.")
@click.option("--keep", is_flag=True, help="Keep the last run's figures of all other cases.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(
    *,
    rows: int,
    threads: str,
    engines: str | None,
    groups: str | None,
    only: str | None,
    repeat: int,
    keep: bool,
    to_readme: bool,
) -> None:
    """Time sorts of one array, several, and of a table, and check each result."""
    console = Console()
    if to_readme:
        readme_around(README, SECTION)
    chosen = page.PEERS if engines is None else ["dlsort", *engines.split(",")]
    cases = [
        case
        for case in inputs.names(rows)
        if (groups is None or case[0] in groups.split(","))
        and (only is None or only in case[1])
    ]
    found: list[dict[str, Any]] = []
    for count in map(int, threads.split(",")):
        child = Child(count)
        for group, name, n_rows in cases:
            seconds, verdicts = child.run((group, name, n_rows, list(chosen), repeat))
            medians = {k: statistics.median(v) for k, v in seconds.items()}
            row = {
                "threads": count,
                "group": group,
                "name": name,
                "rows": n_rows,
                "seconds": medians,
                "over_dlsort": {
                    k: statistics.median(v) / medians["dlsort"]
                    for k, v in seconds.items()
                    if "dlsort" in medians
                },
                "verdicts": verdicts,
            }
            found.append(row)
            console.print(page.line(row), highlight=False, soft_wrap=True)
        child.close()
    settings = {
        "machine": machine(),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "repeat": repeat,
    }
    BENCH.mkdir(parents=True, exist_ok=True)
    out = BENCH / "local_sort.json"
    if keep and out.exists():
        found = _merged(json.loads(out.read_text(encoding="utf-8")), settings, found)
    out.write_text(json.dumps({**settings, "results": found}, indent=2), encoding="utf-8")
    text = page.page(found, settings)
    console.print(Markdown(text))
    console.print(f"Written to {out.relative_to(ROOT)}")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
