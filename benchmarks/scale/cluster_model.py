"""What a sort would take on 10, 100 and 1,000 workers, and what runs out first.

Run it with ``make cluster-model``. The work a byte takes is measured here, on 1, 2 and 4
worker processes; how it grows is arithmetic, written below beside its assumptions.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs
from benchmarks.page import machine, versions

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
MEASURED_WORKERS = (1, 2, 4)
WORKERS = (10, 100, 1_000)
SIZES_TB = (0.1, 1.0, 10.0, 100.0)
STEPS = ("read", "prove", "classify", "split", "sort", "write")

ASSUMPTIONS = """\
Assumptions:

- A worker is a machine of {cores} cores, {memory_gb:g} GB memory, {network_gbs:g} GB/s of
  network each way and {disk_gbs:g} GB/s of local disk, at ${dollars_an_hour:g} an hour; its
  cores are as fast as this one's. The scheduler's machine is one more of these.
- Bytes are Arrow bytes. The source and the result are on storage that is reached over the
  network, {stored_share:.2f} of that size (as measured), and never slower than that.
- Work grows with the bytes: what a byte takes in read, prove, classify, split, sort and write
  is that of the measured runs ({work:.1f} s a GB and core), at {busy:.0%} of the cores' time.
- Rows cross the network once, but for a worker's own. Cores, network and disk work side by
  side in a phase, so a phase takes as long as the slowest of them.
- What a worker receives beyond {store_share:.0%} of its memory is written to its disk and read
  again.
- Inputs and partitions have {part_mb:g} MB. The scheduler spends {task_ms:.2f} ms a task
  (measured), and keeps {task_kb:g} KB of it; a message between two workers takes
  {message_ms:g} ms of an event loop, and each input sends one to every worker.
- Each input reports its rows for every partition, 8 bytes each, to one task on one worker.
- Nothing fails, and no disk, switch or storage service is shared with others.\
"""


@dataclass(frozen=True)
class Hardware:
    """A worker; sizes in GB, speeds in GB/s."""

    cores: int = 8
    memory_gb: float = 32.0
    network_gbs: float = 1.25
    disk_gbs: float = 1.0
    dollars_an_hour: float = 0.40


@dataclass(frozen=True)
class Fit:
    """What was measured. Seconds of one core a GB (10^9 bytes) of Arrow, unless said.

    Attributes
    ----------
    partition_s, sort_s : float
        Before the barrier (read, prove, classify, split), and after (sort, prove, write).
    busy : float
        Share of the cores' time that this was, on the two-worker run.
    fixed_s : float
        Seconds of a job that don't grow: footers, sample, publishing.
    task_s : float
        Seconds of a scheduler a task.
    stored_share : float
        Stored size over Arrow size.
    """

    partition_s: float
    sort_s: float
    busy: float
    fixed_s: float
    task_s: float
    stored_share: float


@dataclass(frozen=True)
class Shape:
    """What the model takes of dlsort's own settings."""

    part_bytes: int = 128 * 2**20
    store_share: float = 0.45
    message_s: float = 0.3e-3
    task_bytes: float = 6e3


@dataclass(frozen=True)
class Forecast:
    """Seconds, dollars, and the share of each resource that is used up."""

    seconds: float
    dollars: float
    bound: str
    exhausted: str


def forecast(
    arrow_gb: float,
    workers: int,
    fit: Fit,
    hardware: Hardware,
    shape: Shape,
    *,
    local: bool = False,
) -> Forecast:
    """Return what a sort of ``arrow_gb`` takes on a number of workers.

    ``local``: source and result are in memory and the network is not used, as here.
    """
    n_bytes = arrow_gb * 1e9
    n_inputs = n_parts = max(1.0, n_bytes / shape.part_bytes)
    cores = workers * hardware.cores * fit.busy
    each_gb = arrow_gb / workers
    stored_gb = 0.0 if local else each_gb * fit.stored_share
    crossing_gb = 0.0 if local else each_gb * (workers - 1) / workers
    kept_gb = hardware.memory_gb * shape.store_share
    spilled_gb = max(0.0, each_gb - kept_gb)
    scheduling_s = (n_inputs + n_parts) / 2 * fit.task_s
    before = {
        "cores": arrow_gb * fit.partition_s / cores,
        "network": (stored_gb + crossing_gb) / hardware.network_gbs,
        "disk": spilled_gb / hardware.disk_gbs,
        "scheduler": scheduling_s,
        "event loops": n_inputs * shape.message_s,
    }
    after = {
        "cores": arrow_gb * fit.sort_s / cores,
        "network": stored_gb / hardware.network_gbs,
        "disk": spilled_gb / hardware.disk_gbs,
        "scheduler": scheduling_s,
    }
    slowest = [max(phase, key=lambda name: phase[name]) for phase in (before, after)]
    seconds = fit.fixed_s + before[slowest[0]] + after[slowest[1]]
    used = {
        "memory of the barrier's worker (rows of every input for every partition)": (
            8e-9 * n_inputs * n_parts / hardware.memory_gb
        ),
        "memory of the scheduler (tasks)": (
            (n_inputs + n_parts) * shape.task_bytes * 1e-9 / hardware.memory_gb
        ),
        "memory of a worker (partitions at work)": (
            hardware.cores * 8 * shape.part_bytes * 1e-9 / (hardware.memory_gb - kept_gb)
        ),
    }
    worst = max(used, key=lambda name: used[name])
    exhausted = f"**{worst}**, {used[worst]:.3g} of it" if used[worst] > 1 else "–"
    bound = slowest[0] if slowest[0] == slowest[1] else f"{slowest[0]}, then {slowest[1]}"
    dollars = seconds / 3600 * (workers + 1) * hardware.dollars_an_hour
    return Forecast(seconds, dollars, bound, exhausted)


# ---------------------------------------------------------------- measured


def measure(src: Path, workers: int, repeat: int) -> dict[str, Any]:
    """Return the report of the median run on so many worker processes."""
    import dlsort
    from dlsort_cluster.clusters.connect import connect

    reports = []
    with connect(workers=workers, threads=workers) as client:
        address = client.scheduler_info()["address"]
        for _ in range(repeat + 1):
            with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
                os.sync()
                out = Path(folder) / "out"
                reports.append(
                    dlsort.sort_dataset(src, out, by="key", scheduler=address).to_dict()
                )
    return sorted(reports[1:], key=lambda report: report["seconds"])[repeat // 2]


def task_seconds(workers: int = 2, n: int = 1_000) -> float:
    """Return how long a cluster takes for a task that does nothing."""
    import time

    from dlsort_cluster.clusters.connect import connect

    with connect(workers=workers, threads=workers) as client:
        client.gather(client.map(abs, range(100), pure=False))
        began = time.perf_counter()
        client.gather(client.map(abs, range(n), pure=False))
        return (time.perf_counter() - began) / n


def fit_to(reports: dict[int, dict[str, Any]], cores: int, task_s: float) -> Fit:
    """Return the model's constants from the measured runs."""
    gb = reports[2]["arrow_bytes"] / 1e9
    work = {
        step: statistics.median(r["phases"]["work"].get(step, 0.0) for r in reports.values())
        / gb
        for step in STEPS
    }
    before = work["read"] + work["classify"] + work["split"] + work["prove"] / 2
    after = work["sort"] + work["write"] + work["prove"] / 2
    phases = reports[2]["phases"]
    spent = (phases["partition_s"] + phases["sort_s"]) * min(2, cores)
    busy = sum(reports[2]["phases"]["work"].values()) / spent
    fixed = phases["open_s"] + phases["start_s"] + phases["sample_s"] + phases["publish_s"]
    stored = reports[2]["input_bytes"] / reports[2]["arrow_bytes"]
    return Fit(before, after, min(busy, 1.0), fixed, task_s, stored)


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="20 million rows times this.")
@click.option("--repeat", default=3, show_default=True, help="Runs on each number of workers.")
def main(*, scale: float, repeat: int) -> None:
    """Measure, fit, check the fit, and print time and cost on larger clusters."""
    cores = len(os.sched_getaffinity(0))
    src = inputs.make("table", scale, BENCH / "inputs")
    reports = {workers: measure(src, workers, repeat) for workers in MEASURED_WORKERS}
    fit = fit_to(reports, cores, task_seconds())
    gb = reports[1]["arrow_bytes"] / 1e9
    hardware, shape = Hardware(), Shape()
    lines = [
        f"Measured on {machine()}; {versions()}; {gb:.2f} GB of Arrow.",
        "",
        "| workers here | measured, s | model, s | off by |",
        "|--:|--:|--:|--:|",
    ]
    for workers, report in reports.items():
        # More processes than cores are no more cores.
        here = Hardware(cores=1)
        said = forecast(gb, min(workers, cores), fit, here, shape, local=True).seconds
        off = said / report["seconds"] - 1
        lines.append(f"| {workers} | {report['seconds']:.2f} | {said:.2f} | {off:+.0%} |")
    lines += [
        "",
        "| size, TB of Arrow | workers | time | cost, $ | bound by | runs out first |",
        "|--:|--:|--:|--:|---|---|",
    ]
    for size in SIZES_TB:
        for workers in WORKERS:
            f = forecast(size * 1e3, workers, fit, hardware, shape)
            lines.append(
                f"| {size:g} | {workers:,} | {_time(f.seconds)} | {f.dollars:,.2f} |"
                f" {f.bound} | {f.exhausted} |"
            )
    numbers = {
        **asdict(hardware),
        "stored_share": fit.stored_share,
        "work": fit.partition_s + fit.sort_s,
        "busy": fit.busy,
        "store_share": shape.store_share,
        "part_mb": shape.part_bytes / 1e6,
        "task_ms": 1e3 * fit.task_s,
        "task_kb": shape.task_bytes / 1e3,
        "message_ms": 1e3 * shape.message_s,
    }
    text = "\n".join([*lines, "", ASSUMPTIONS.format(**numbers)])
    Console(width=150).print(Markdown(text))
    found = {"fit": asdict(fit), "reports": {str(n): r for n, r in reports.items()}}
    (BENCH / "cluster_model.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    (BENCH / "cluster_model.md").write_text(text + "\n", encoding="utf-8")


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
