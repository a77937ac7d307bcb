"""persist → sort → persist of Dask DataFrames: dlsort.sort_values beside Dask's own.

Run it with ``make bench-frames``, or ``make bench-frames ARGS="--repeat 1 --inputs table"``.
"""

from __future__ import annotations

import datetime
import gc
import json
import statistics
import time
from pathlib import Path
from typing import Any

import click
from distributed import Client, LocalCluster
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs
from benchmarks.inputs import Job
from benchmarks.page import machine, readme_around, versions, write_readme
from dlsort.bench.engines import TITLES
from dlsort.bench.rounds import Turn
from dlsort.bench.suites.frames import SORTS, persist_files, summaries, take_turn

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "frames"
WORKERS = 2
SETTLE_S = 1.0

JOBS = (
    Job("lineitem", ("l_extendedprice",)),
    Job("lineitem", ("l_shipdate", "l_orderkey")),
    Job("table", ("key",)),
)


def settle(client: Client) -> None:
    """Wait until the workers have given back what the turn before has left."""
    client.run(gc.collect)
    time.sleep(SETTLE_S)


def measure(
    client: Client, job: Job, src: Path, repeat: int, console: Console
) -> dict[str, list[Turn]]:
    """Give both engines their turn at one job, a first round and then ``repeat`` more."""
    turns: dict[str, list[Turn]] = {name: [] for name in SORTS}
    by = list(job.by)
    ddf = persist_files(sorted(src.glob("*.parquet")))
    before = summaries(ddf, by)
    for number in range(repeat + 1):
        for name, sort in SORTS.items():
            settle(client)
            turn = take_turn(sort, ddf, by, before)
            turns[name].append(turn)
            console.print(
                f"{job.title} · round {number} · {TITLES[name]}: {turn.outcome.seconds:.2f} s, "
                f"largest partition {turn.outcome.balance or 0:.3f} × the mean, {turn.verdict}",
                highlight=False,
            )
    return turns


def page(results: dict[Job, dict[str, list[Turn]]], settings: dict[str, Any]) -> str:
    """Return the table and its caveats, as Markdown."""
    lines = [
        "| persist → sort → persist | dlsort, s | Dask, s | Dask over dlsort | first round "
        "| largest partition, dlsort | Dask |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    wrong = []
    for job, turns in results.items():
        ours, theirs = turns["dlsort"], turns["dask"]
        ratios = [
            t.outcome.seconds / o.outcome.seconds for o, t in zip(ours, theirs, strict=True)
        ]
        seconds = [
            statistics.median(turn.outcome.seconds for turn in each[1:])
            for each in (ours, theirs)
        ]
        balances = [max(turn.outcome.balance or 0 for turn in each) for each in (ours, theirs)]
        lines.append(
            f"| {job.title} | **{seconds[0]:.2f}** | {seconds[1]:.2f} "
            f"| {statistics.median(ratios[1:]):.2f} × | {ratios[0]:.2f} × "
            f"| {balances[0]:.3f} × the mean | {balances[1]:.3f} × |"
        )
        wrong += [
            f"{TITLES[name]} on {job.title}: {turn.verdict}"
            for name, each in turns.items()
            for turn in each[-1:]
            if turn.verdict != "ok"
        ]
    head = "On {machine}; {versions}; {date}.".format(**settings)
    notes = [
        f"- {WORKERS} worker processes of one thread. The input is persisted once, and sorted "
        f"by each in turn, {settings['repeat']} rounds after a first one; medians. Before each "
        "turn the workers free what the one before has left.",
        "- Columns have Arrow's dtypes: Dask sorts decimals that are Python objects as text.",
        "- Row count, a checksum of all rows and the order of each result were checked, "
        "outside the time.",
    ]
    if wrong:
        notes.append(f"- Wrong or failed: {'; '.join(wrong)}.")
    return "\n".join([head, "", *lines, "", *notes])


@click.command()
@click.option("--inputs", "input_names", default="lineitem,table", show_default=True)
@click.option("--repeat", default=3, show_default=True, help="Rounds after the first one.")
@click.option("--scale", default=1.0, show_default=True, help="Size of the inputs.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(*, input_names: str, repeat: int, scale: float, to_readme: bool) -> None:
    """Time both sorts, in turn, on one cluster, and check each result."""
    console = Console()
    if to_readme:
        readme_around(README, SECTION)  # fails now, not after all the work
    results = {}
    for job in JOBS:
        if job.input not in input_names.split(","):
            continue
        src = inputs.make(job.input, scale, BENCH / "inputs")
        with (
            LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            ) as cluster,
            Client(cluster) as client,
        ):
            results[job] = measure(client, job, src, repeat, console)
    settings = {
        "machine": machine(),
        "versions": versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "repeat": repeat,
        "scale": scale,
    }
    text = page(results, settings)
    console.print(Markdown(text))
    out = BENCH / "frames.json"
    found = [{"job": job._asdict(), "turns": turns} for job, turns in results.items()]
    out.write_text(json.dumps({**settings, "results": found}, indent=2), encoding="utf-8")
    console.print(f"Written to {out.relative_to(ROOT)}")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
