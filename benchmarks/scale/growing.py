"""How dlsort grows: with rows, partitions, less memory, and uneven keys.

Run it with ``make bench-scale``, or ``make bench-scale ARGS="--sections skew,wide"``. Each
case runs in a process of its own, watched from outside, and its result is checked. With less
memory DuckDB, held to the same limit, has its turn after dlsort; with small files DuckDB and
Polars have, each in a process that has sorted them once before.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.page import readme_around, write_readme
from benchmarks.scale.cases import BENCH, ROOT, Case, makers
from benchmarks.scale.page import Found, Rounds, line, page
from dlsort.bench.engines import DuckDB, Engine, Polars, Share, Work, said
from dlsort.bench.hosts import machine, versions
from dlsort.bench.verify import verdict
from dlsort.bench.watch import Peak, watch

README = ROOT / "benchmarks" / "README.md"
SECTION = "scale"

Report = dict[str, Any]  # the fields of a SortReport that an engine can tell


def _dlsort(case: Case, dst: Path) -> Callable[[], Report]:
    import dlsort

    def sort() -> Report:
        report = dlsort.sort_dataset(case.src, dst, by=",".join(case.by), **case.options)
        return report.to_dict()

    return sort


def _duckdb(case: Case, dst: Path) -> Callable[[], Report]:
    options = case.options
    memory_bytes = options.get("memory")
    return _peer(DuckDB(Share(options["threads"], memory_bytes, str(dst.parent))), case, dst)


def _polars(case: Case, dst: Path) -> Callable[[], Report]:
    return _peer(Polars(Share(case.options["threads"])), case, dst)


def _peer(engine: Engine, case: Case, dst: Path) -> Callable[[], Report]:
    def sort() -> Report:
        began = time.perf_counter()
        dst.mkdir()
        engine.sort(_work(case), dst)
        seconds = time.perf_counter() - began
        rows = sum(pq.read_metadata(path).num_rows for path in dst.iterdir())
        return {"rows": rows, "output_parts": 1, "seconds": seconds}

    return sort


def _work(case: Case) -> Work:
    return Work.of(case.src, case.by)


SORTS = {"dlsort": _dlsort, "duckdb": _duckdb, "polars": _polars}


def _serve(engine: str, case: Case, dst: Path, pipe: Connection) -> None:
    sort = SORTS[engine](case, dst)
    pipe.send(None)
    try:
        if case.warm:
            sort()
            shutil.rmtree(dst)
        pipe.send(sort())
    except Exception as error:  # a case that fails is shown, and the others run
        pipe.send(said(error))


def run(engine: str, case: Case) -> Found:
    """Sort, watch and check one case."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
        dst = Path(folder) / "out"
        _read(case.src)
        os.sync()  # what the engine before has written is not this one's load
        process = context.Process(target=_serve, args=(engine, case, dst, theirs))
        process.start()
        theirs.close()
        ours.recv()  # imported
        with watch(process.pid) as peak:
            try:
                answer: Report | str = ours.recv()
            except EOFError:
                answer = "the process died"
        process.join()
        if isinstance(answer, str):
            return _found(engine, case, {}, peak, process.pid, answer)
        checked = verdict(_work(case), dst)
    return _found(engine, case, answer, peak, process.pid, checked)


def _read(src: Path) -> None:
    """Bring a source's files to the page cache, as far as they fit there."""
    for path in src.glob("*.parquet"):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def _found(
    engine: str, case: Case, report: Report, peak: Peak, client: int | None, verdict: str
) -> Found:
    """Join what an engine said of itself, if it came so far, and what was seen of it."""
    inner = {pid: held for pid, held in peak.each.items() if pid != client}
    return Found(
        case.section,
        case.title,
        engine,
        verdict,
        rows=report.get("rows", 0),
        parts=report.get("output_parts", 0),
        seconds=report.get("seconds", 0.0),
        balance=report.get("balance", 0.0),
        peak_bytes=peak.total,
        largest_process_bytes=max(inner.values(), default=peak.total),
        limit_bytes=case.options.get("memory", 0),
        spilled_bytes=report.get("spilled_bytes"),
        arrow_bytes=report.get("arrow_bytes", 0),
    )


@click.command()
@click.option("--sections", default="rows,partitions,memory,skew,wide,small", show_default=True)
@click.option("--repeat", default=1, show_default=True, help="Rounds of each case.")
@click.option("--memory-scale", default=10.0, show_default=True, help="TPC-H scale factor.")
@click.option("--many-files", is_flag=True, help="Sort 30,000 small files too.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(
    *, sections: str, repeat: int, memory_scale: float, many_files: bool, to_readme: bool
) -> None:
    """Sort every case and print time, growth exponent, memory, spill and balance."""
    made_by = makers(memory_scale, many_files=many_files)
    wanted = sections.split(",")
    if unknown := [name for name in wanted if name not in made_by]:
        msg = f"unknown section {', '.join(unknown)}: there are {', '.join(made_by)}."
        raise click.BadParameter(msg)
    console = Console(width=150)
    if to_readme:
        readme_around(README, SECTION)
    results: dict[str, list[Rounds]] = {}
    for section in wanted:
        for case in made_by[section]():
            rounds: Rounds = {engine: [] for engine in case.engines}
            for _ in range(repeat):
                for engine in case.engines:
                    one = run(engine, case)
                    rounds[engine].append(one)
                    console.print(line(one), highlight=False)
            results.setdefault(section, []).append(rounds)
    text = page(results, f"{machine()}; {versions()}")
    console.print(Markdown(text))
    found = {
        section: [asdict(one) for case in cases for rounds in case.values() for one in rounds]
        for section, cases in results.items()
    }
    (BENCH / "scale.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
