"""persist → sort → persist of Dask DataFrames: dlsort.sort_values beside Dask's own.

Run it with ``make bench-frames``, or ``make bench-frames ARGS="--repeat 1 --inputs table"``.
"""

from __future__ import annotations

import datetime
import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import dask
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.base import compute
from dask.delayed import delayed
from distributed import Client, LocalCluster, wait
from rich.console import Console
from rich.markdown import Markdown

import dlsort
from benchmarks import inputs
from benchmarks.inputs import Job
from benchmarks.page import machine, readme_around, versions, write_readme
from dlsort.proof.checksum import Proof, prove, total
from dlsort.tuning import TUNING

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
Sort = Callable[[Any, list[str]], Any]
ENGINES: dict[str, Sort] = {
    "dlsort": dlsort.sort_values,
    "Dask": lambda ddf, by: ddf.sort_values(by),
}


class Turn(NamedTuple):
    """One engine's turn: how long, largest partition over the mean, and whether it is right."""

    seconds: float
    balance: float
    verdict: str


class Summary(NamedTuple):
    """What a partition holds: rows and their checksum, first and last key, and its order."""

    proof: Proof
    first: Any
    last: Any
    in_order: bool


def _read(path: Path) -> pd.DataFrame:
    """Return a file as a frame of Arrow columns."""
    table = pq.read_table(path)
    for i, field in enumerate(table.schema):
        if field.type == pa.string_view():  # pandas can't work with these
            table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _summary(part: pd.DataFrame, by: list[str]) -> Summary:
    proof = prove(pa.Table.from_pandas(part, preserve_index=False), TUNING.proof)
    if not len(part):
        return Summary(proof, None, None, in_order=True)
    keys = part[by].reset_index(drop=True)
    order = keys.sort_values(by, kind="stable").index
    first, last = (tuple(keys.iloc[i]) for i in (0, -1))
    return Summary(proof, first, last, bool(order.is_monotonic_increasing))


def summaries(ddf: dd.DataFrame, by: list[str]) -> list[Summary]:
    """Return the summary of every partition."""
    parts = [delayed(_summary)(part, by) for part in ddf.to_delayed()]
    found: Any = compute
    return list(found(*parts))


def verdict(before: list[Summary], after: list[Summary]) -> str:
    """Return "ok", or what is wrong with sorted partitions, in a few words."""
    if total(s.proof for s in before) != total(s.proof for s in after):
        return "other rows"
    full = [s for s in after if s.proof.rows]
    if not all(s.in_order for s in full):
        return "out of order inside a partition"
    if any(one.last > two.first for one, two in itertools.pairwise(full)):
        return "out of order between partitions"
    return "ok"


def take_turn(sort: Sort, ddf: dd.DataFrame, by: list[str], before: list[Summary]) -> Turn:
    """Sort a persisted frame into a persisted frame, and check the partitions."""
    from dask.dataframe.dask_expr._shuffle import divisions_lru

    divisions_lru.data.clear()  # else Dask, asked again, would not look at the data
    start = time.perf_counter()
    try:
        result = sort(ddf, by).persist()
        wait(result)
        seconds = time.perf_counter() - start
        after = summaries(result, by)
    except Exception as error:  # a peer that fails is told, not fatal
        return Turn(time.perf_counter() - start, 0.0, f"{type(error).__name__}: {error}"[:80])
    lengths = [s.proof.rows for s in after]
    return Turn(seconds, max(lengths) / statistics.mean(lengths), verdict(before, after))


def settle(client: Client) -> None:
    """Wait until the workers have given back what the turn before has left."""
    client.run(gc.collect)
    time.sleep(SETTLE_S)


def measure(
    client: Client, job: Job, src: Path, repeat: int, console: Console
) -> dict[str, list[Turn]]:
    """Give both engines their turn at one job, a first round and then ``repeat`` more."""
    turns: dict[str, list[Turn]] = {name: [] for name in ENGINES}
    by = list(job.by)
    files = sorted(src.glob("*.parquet"))
    like = _read(files[0]).iloc[:0]
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = dd.from_map(_read, files, meta=like).persist()
    wait(ddf)
    before = summaries(ddf, by)
    for number in range(repeat + 1):
        for name, sort in ENGINES.items():
            settle(client)
            turn = take_turn(sort, ddf, by, before)
            turns[name].append(turn)
            console.print(
                f"{job.title} · round {number} · {name}: {turn.seconds:.2f} s, largest "
                f"partition {turn.balance:.3f} × the mean, {turn.verdict}",
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
        ours, theirs = turns["dlsort"], turns["Dask"]
        ratios = [t.seconds / o.seconds for o, t in zip(ours, theirs, strict=True)]
        seconds = [
            statistics.median(turn.seconds for turn in each[1:]) for each in (ours, theirs)
        ]
        balances = [max(turn.balance for turn in each) for each in (ours, theirs)]
        lines.append(
            f"| {job.title} | **{seconds[0]:.2f}** | {seconds[1]:.2f} "
            f"| {statistics.median(ratios[1:]):.2f} × | {ratios[0]:.2f} × "
            f"| {balances[0]:.3f} × the mean | {balances[1]:.3f} × |"
        )
        wrong += [
            f"{name} on {job.title}: {turn.verdict}"
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
