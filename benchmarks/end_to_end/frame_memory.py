"""Frames that do not fit the workers: no worker hangs, dies or exceeds its limit.

Run it with ``make bench-frame-memory``. Two worker processes of a memory limit each are watched
from outside. Each result is checked.

========  =================================================================================
lineitem  TPC-H lineitem sorted by three keys into Parquet, several times in a row
paused    the same while other data keep one worker paused for a time
large     a frame of several times the workers' memory into Parquet, and persisted (spilled)
========  =================================================================================
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.utils import parse_bytes
from distributed import Client, LocalCluster, futures_of, wait
from rich.console import Console
from rich.markdown import Markdown

import dlsort
from benchmarks import inputs
from dlsort.bench.engines import Work
from dlsort.bench.hosts import machine, versions
from dlsort.bench.verify import verdict
from dlsort.bench.watch import watch
from dlsort.proof.checksum import Proof, prove, total
from dlsort.tuning import TUNING
from dlsort_cluster.clusters.ask import workers_of

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
BY = ("l_shipdate", "l_orderkey", "l_linenumber")
WORKERS = 2
PARTITION_ROWS = 1_200_000  # of 100 bytes
LOOK_ROWS = 100_000
PAUSED = 0.86  # of the limit: above the share where Dask pauses, below that where it kills


class Run(NamedTuple):
    """One sort: how long, the largest worker's memory, workers lost, and if it is right."""

    seconds: float
    peak_bytes: int
    lost: int
    verdict: str


@contextmanager
def _cluster(limit: str, threads: int) -> Iterator[Client]:
    with (
        tempfile.TemporaryDirectory(dir=BENCH, prefix="scratch-") as folder,
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=threads,
            memory_limit=limit,
            local_directory=folder,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _measure(limit: str, threads: int, sort: Callable[[Client], str]) -> Run:
    """Sort on a fresh cluster."""
    with _cluster(limit, threads) as client:
        before = set(client.run(os.getpid).values())
        with watch(os.getpid()) as peak:
            began = time.perf_counter()
            found = sort(client)
            seconds = time.perf_counter() - began
        after = set(client.run(os.getpid).values())
    peaks = [held for pid, held in peak.each.items() if pid in before | after]
    return Run(seconds, max(peaks), len(before - after), found)


# ---------------------------------------------------------------- lineitem


def _sort_lineitem(src: Path, client: Client) -> str:
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
        dst = Path(folder) / "out"
        ddf = dd.read_parquet(src)
        dlsort.sort_values(ddf, list(BY)).to_parquet(dst, write_index=False)
        if _proof(dst) != _proof(src):
            return "other rows"
        return verdict(Work.of(src, BY), dst, same_types=False)


def _proof(folder: Path) -> Proof:
    """Return the proof of a dataset's rows, whatever layout their text has."""
    tables = (pq.read_table(path) for path in sorted(folder.glob("*.parquet")))
    return total(prove(_plain(table), TUNING.proof) for table in tables)


def _plain(table: pa.Table) -> pa.Table:
    kinds = [
        pa.large_string() if "string" in str(field.type) else field.type
        for field in table.schema
    ]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))


def _sort_beside_other_data(src: Path, hold_s: float, client: Client) -> str:
    """Sort while other data of one worker keep it paused for a time."""
    worker = next(iter(workers_of(client)))
    client.run(_hold, workers=[worker])
    releaser = threading.Timer(hold_s, lambda: client.run(_release, workers=[worker]))
    releaser.start()
    found = _sort_lineitem(src, client)
    releaser.join()
    return found


def _hold(dask_worker: Any) -> None:
    limit = dask_worker.memory_manager.memory_limit
    held = dask_worker.monitor.get_process_memory()
    dask_worker.held = np.ones(int(limit * PAUSED) - held, np.uint8)


def _release(dask_worker: Any) -> None:
    del dask_worker.held


# ---------------------------------------------------------------- larger than memory


def _make(i: int, n_rows: int) -> pd.DataFrame:
    """Return a partition: what is in a row follows from its number, the key at random."""
    number = np.arange(i * n_rows, (i + 1) * n_rows, dtype=np.uint64)
    return pd.DataFrame({"key": _key_of(number), **_rest_of(number)})


def _key_of(number: np.ndarray) -> np.ndarray:
    mixed = (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(1)).astype(np.int64)


def _rest_of(number: np.ndarray) -> dict[str, Any]:
    text = pd.Series(number % np.uint64(10**9)).astype("int64").astype(str).str.zfill(30)
    return {
        "number": number.astype(np.int64),
        **{f"x{i}": number * np.float64(i + 1) for i in range(4)},
        "text": text.astype("string[pyarrow]"),
    }


class _Found(NamedTuple):
    rows: int
    numbers: int
    squares: int
    first: int
    last: int
    is_good: bool


def _look_at(part: pd.DataFrame) -> _Found:
    """Return what tells whether each row is there once, whole and in order."""
    number = part["number"].to_numpy().astype(np.uint64)
    key = part["key"].to_numpy()
    good = bool((key[1:] >= key[:-1]).all()) and bool((key == _key_of(number)).all())
    for begin in range(0, len(part), LOOK_ROWS):  # what is compared is large too
        rows = slice(begin, begin + LOOK_ROWS)
        for name, values in _rest_of(number[rows]).items():
            good = good and bool((part[name].iloc[rows].to_numpy() == np.asarray(values)).all())
    sums = int(number.sum()), int((number * number).sum())  # wrap round
    return _Found(len(part), *sums, int(key[0]), int(key[-1]), good)


def _verdict(found: list[_Found], n_rows: int) -> str:
    number = np.arange(n_rows, dtype=np.uint64)
    expected = n_rows, int(number.sum()), int((number * number).sum())
    sums = [
        sum(each) for each in zip(*((f.rows, f.numbers, f.squares) for f in found), strict=True)
    ]
    if (sums[0], sums[1] % 2**64, sums[2] % 2**64) != expected:
        return "other rows"
    if not all(f.is_good for f in found):
        return "rows torn or out of order inside a partition"
    pairs = itertools.pairwise(found)
    return "ok" if all(a.last <= b.first for a, b in pairs) else "out of order"


def _large(n_parts: int) -> dd.DataFrame:
    meta = _make(0, 1).iloc[:0]
    numbers = range(n_parts)
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(_make, numbers, n_rows=PARTITION_ROWS, meta=meta)


def _sort_large(n_parts: int, client: Client) -> str:
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
        dlsort.sort_values(_large(n_parts), "key").to_parquet(folder, write_index=False)
        paths = sorted(Path(folder).glob("*.parquet"), key=lambda p: int(p.stem.split(".")[-1]))
        found = [
            _look_at(pq.read_table(path).to_pandas(types_mapper=_text_as_arrow))
            for path in paths
        ]
    return _verdict(found, n_parts * PARTITION_ROWS)


def _text_as_arrow(kind: Any) -> Any:
    return pd.StringDtype("pyarrow") if "string" in str(kind) else None


def _persist_large(n_parts: int, client: Client) -> str:
    result: Any = dlsort.sort_values(_large(n_parts), "key")
    result = result.persist()
    wait(result)
    # One by one: what Dask reads back of many at once, it holds beside the limit.
    found = [client.submit(_look_at, part).result() for part in futures_of(result)]
    return _verdict(found, n_parts * PARTITION_ROWS)


# ---------------------------------------------------------------- the command


@click.command()
@click.option("--cases", default="lineitem,paused,large", show_default=True)
@click.option("--runs", default=20, show_default=True, help="Of lineitem, in a row.")
@click.option("--limit", default="1.2GB", show_default=True, help="Memory of each worker.")
@click.option("--threads", default=1, show_default=True, help="Of each worker.")
@click.option("--large", default="12GB", show_default=True, help="Size of the large frame.")
@click.option("--hold", default=20.0, show_default=True, help="Seconds that one is paused.")
def main(*, cases: str, runs: int, limit: str, threads: int, large: str, hold: float) -> None:
    """Sort frames that do not fit, and print times, peaks and what was lost."""
    src = inputs.make("lineitem", 1.0, BENCH / "inputs")
    shutil.rmtree(BENCH / "out", ignore_errors=True)
    n_parts = -(-parse_bytes(large) // (PARTITION_ROWS * 100))
    todo: dict[str, list[tuple[str, Callable[[Client], str]]]] = {
        "lineitem": [("lineitem to Parquet", lambda c: _sort_lineitem(src, c))] * runs,
        "paused": [
            (
                f"the same, a worker paused for {hold:g} s",
                lambda c: _sort_beside_other_data(src, hold, c),
            )
        ],
        "large": [
            (f"{large} to Parquet", lambda c: _sort_large(n_parts, c)),
            (f"{large} persisted", lambda c: _persist_large(n_parts, c)),
        ],
    }
    results: dict[str, list[Run]] = {}
    for case in cases.split(","):
        for title, sort in todo[case]:
            run = _measure(limit, threads, sort)
            results.setdefault(title, []).append(run)
            click.echo(
                f"{title}: {run.seconds:.1f} s, largest worker {run.peak_bytes / 1e6:.0f} MB, "
                f"lost {run.lost}, {run.verdict}"
            )
    head = (
        f"{WORKERS} workers of {threads} thread and {limit} each, on {machine()}; {versions()}."
    )
    lines = [
        head,
        "",
        "| | runs | seconds | largest worker | lost | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for title, each in results.items():
        lines.append(
            f"| {title} | {len(each)} | {statistics.median(run.seconds for run in each):.1f} "
            f"| {max(run.peak_bytes for run in each) / 1e9:.2f} GB "
            f"| {sum(run.lost for run in each)} | {', '.join({run.verdict for run in each})} |"
        )
    Console().print(Markdown("\n".join(lines)))


if __name__ == "__main__":
    main()
