"""Parquet to sorted Parquet: dlsort beside Dask, Polars, DuckDB and a plain copy.

Run it with ``make bench``, or ``make bench ARGS="--engines dlsort,duckdb --repeat 5"``.
"""

from __future__ import annotations

import datetime
import json
import tempfile
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs
from benchmarks.inputs import JOBS, Job
from benchmarks.page import page, readme_around, write_readme
from dlsort.bench.engines import ENGINES, TITLES, Share, Work
from dlsort.bench.figures import Figures, summary
from dlsort.bench.hosts import machine, versions
from dlsort.bench.rounds import Take, Turn, children, in_turn, sort_and_check
from dlsort.bench.verify import verdict

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "end_to_end"


def measure(
    job: Job, src: Path, names: list[str], *, repeat: int, threads: int, console: Console
) -> dict[str, list[Turn]]:
    """Give every engine its turn at one job, a cold round and then ``repeat`` more."""
    work = Work.of(src, job.by)

    def tell(name: str, turn: Turn) -> None:
        label = "cold" if turn.round == 0 else f"round {turn.round} of {repeat}"
        console.print(
            f"{job.title} · {label} · {TITLES[name]}: {turn.outcome.seconds:.2f} s, "
            f"{turn.peak_bytes / 2**30:.1f} GiB, {turn.verdict}",
            highlight=False,
        )

    engines = {name: ENGINES[name] for name in names}
    with (
        tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder,
        children(engines, Share(threads)) as started,
    ):
        takers: dict[str, Take] = {
            name: partial(
                sort_and_check,
                child,
                work=work,
                out=Path(folder, "out"),
                check=partial(
                    verdict,
                    ordered=name != "copy",
                    same_types=name != "dask",  # pandas has no type for some
                ),
            )
            for name, child in started.items()
        }
        return in_turn(takers, repeat, tell)


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
