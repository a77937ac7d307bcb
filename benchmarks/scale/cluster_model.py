"""What a sort would take on 10, 100 and 1,000 workers, and what runs out first.

Run it with ``make cluster-model``. The work a byte takes is measured here, on 1, 2 and 4
worker processes, and the control plane by ``make bench-control-plane`` before, on 8 to 400
workers (:mod:`benchmarks.scale.control_model`); how it grows is arithmetic, written below
beside its assumptions. Inputs and partitions are as many as dlsort itself would make.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import numpy as np
from distributed.core import Server, rpc
from distributed.protocol.serialize import to_serialize
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs
from benchmarks.page import machine, versions
from benchmarks.scale import control_model
from benchmarks.scale.control_model import Law
from benchmarks.scale.control_plane import RESULT, Shape, read
from dlsort.errors import BadOptionError
from dlsort.strategies.budget import count_parts, plan_budget
from dlsort.tuning import TUNING

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
MEASURED_WORKERS = (1, 2, 4)
WORKERS = (10, 100, 1_000)
SIZES_TB = (0.1, 1.0, 10.0, 100.0)
MOST_TASKS = 200_000
ROW_BYTES = 100  # of Arrow
WORKING = TUNING.budget.working_copies
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
- Inputs and partitions are as dlsort chooses them. The scheduler's seconds are
  {scheduler_law}; it keeps {task_kb:g} KB of a task.
- Messages between workers are {message_law}, and one more for each {message_kib:g} KiB, but at
  most one an input and worker. One takes {message_ms:.2f} ms (measured) of the event loop that
  sends it, and of the one that receives it.
- The barrier's worker holds {receipt_law} bytes of what inputs report, and of {told_at_once}
  workers at a time 8 bytes a partition.
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
    message_s : float
        Seconds of an event loop a message.
    stored_share : float
        Stored size over Arrow size.
    """

    partition_s: float
    sort_s: float
    busy: float
    fixed_s: float
    message_s: float
    stored_share: float
    laws: Mapping[str, Law]


TASK_BYTES = 6e3  # of a scheduler's memory
MESSAGE_BYTES = 256 * 2**10  # of dlsort_cluster.p2p.messages: smaller ones wait for others
TOLD_AT_ONCE = 16  # workers whose sums the barrier holds at the same time


class Sizes(NamedTuple):
    """What dlsort itself chooses for a source on a cluster."""

    inputs: int
    parts: int
    part_bytes: float
    store_share: float


def sizes(arrow_gb: float, workers: int, hardware: Hardware) -> Sizes:
    """Return what dlsort chooses, by the functions that it chooses with.

    Raises
    ------
    BadOptionError
        If it refuses the sort.
    """
    tuning, n_threads = TUNING.budget, workers * hardware.cores
    each_bytes = int(hardware.memory_gb * 1e9)
    budget = plan_budget(workers * each_bytes, workers, n_threads, tuning)
    n_bytes = int(arrow_gb * 1e9)
    source: Any = SimpleNamespace(kept_bytes=n_bytes, n_rows=n_bytes // ROW_BYTES)
    part_bytes = min(tuning.partition_bytes, budget.part_bytes)
    n_parts = count_parts(source, part_bytes, n_threads, tuning)
    n_inputs = max(1, -(-n_bytes // budget.piece_bytes))
    return Sizes(n_inputs, n_parts, n_bytes / n_parts, budget.store_bytes / each_bytes)


@dataclass(frozen=True)
class Forecast:
    """Seconds, dollars, tasks, what sets the time, and the share of what runs out first."""

    seconds: float
    dollars: float
    tasks: int
    bound: str
    first: str
    share: float


def forecast(
    arrow_gb: float,
    workers: int,
    fit: Fit,
    hardware: Hardware,
    chosen: Sizes,
    *,
    local: bool = False,
) -> Forecast:
    """Return what a sort of ``arrow_gb`` takes on a number of workers.

    ``local``: source and result are in memory and the network is not used, as here.
    """
    shape, n_bytes = Shape(chosen.inputs, chosen.parts, workers), arrow_gb * 1e9
    cores = workers * hardware.cores * fit.busy
    each_gb = arrow_gb / workers
    stored_gb = 0.0 if local else each_gb * fit.stored_share
    crossing_gb = 0.0 if local else each_gb * (workers - 1) / workers
    kept_gb = hardware.memory_gb * chosen.store_share
    spilled_gb = max(0.0, each_gb - kept_gb)
    scheduling_s = fit.laws["scheduler_s"](shape)
    messages = messages_of(n_bytes, shape, fit.laws["messages"])
    share_before = shape.inputs / (shape.inputs + shape.parts)
    before = {
        "cores": arrow_gb * fit.partition_s / cores,
        "network": (stored_gb + crossing_gb) / hardware.network_gbs,
        "disk": spilled_gb / hardware.disk_gbs,
        "scheduler": scheduling_s * share_before,
        "event loops": 2 * messages / workers * fit.message_s,
    }
    after = {
        "cores": arrow_gb * fit.sort_s / cores,
        "network": stored_gb / hardware.network_gbs,
        "disk": spilled_gb / hardware.disk_gbs,
        "scheduler": scheduling_s * (1 - share_before),
    }
    slowest = [max(phase, key=lambda name: phase[name]) for phase in (before, after)]
    seconds = fit.fixed_s + before[slowest[0]] + after[slowest[1]]
    n_tasks = round(fit.laws["tasks"](shape))
    held_gb = 1e-9 * (
        fit.laws["receipt_bytes"](shape) + 8 * shape.parts * min(workers, TOLD_AT_ONCE)
    )
    used = {
        "memory of the barrier's worker": held_gb / hardware.memory_gb,
        "memory of the scheduler": n_tasks * TASK_BYTES * 1e-9 / hardware.memory_gb,
        "memory of a worker (partitions at work)": (
            hardware.cores * WORKING * chosen.part_bytes * 1e-9 / (hardware.memory_gb - kept_gb)
        ),
        "the scheduler's time": scheduling_s / seconds,
        "event loops' time": before["event loops"] / seconds,
        f"tasks ({MOST_TASKS:,})": n_tasks / MOST_TASKS,
    }
    first = max(used, key=lambda name: used[name])
    bound = slowest[0] if slowest[0] == slowest[1] else f"{slowest[0]}, then {slowest[1]}"
    dollars = seconds / 3600 * (workers + 1) * hardware.dollars_an_hour
    return Forecast(seconds, dollars, n_tasks, bound, first, used[first])


def messages_of(n_bytes: float, shape: Shape, small: Law) -> float:
    """Return how many messages workers send each other.

    As many as for small data, and one more for each so many bytes; but an input sends each
    worker one at the most.
    """
    most = shape.inputs * (shape.workers - 1)
    return min(most, small(shape) + n_bytes / MESSAGE_BYTES)


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


def message_seconds(n: int = 1_000, n_bytes: int = 4_096) -> float:
    """Return what a request of some KB takes of the event loop at each of its ends."""
    return asyncio.run(_message_seconds(n, np.zeros(n_bytes, np.uint8)))


async def _message_seconds(n: int, data: np.ndarray) -> float:
    def take(data: Any) -> dict[str, Any]:
        return {"status": "OK"}

    async with Server({"take": take}) as server, rpc(await _listen(server)) as other:
        await other.take(data=to_serialize([data]))  # connected
        began = time.process_time()
        for _ in range(n):
            await other.take(data=to_serialize([data]))
        return (time.process_time() - began) / n / 2


async def _listen(server: Server) -> str:
    await server.listen("tcp://127.0.0.1:0")
    return str(server.address)


def fit_to(
    reports: dict[int, dict[str, Any]], cores: int, message_s: float, laws: Mapping[str, Law]
) -> Fit:
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
    return Fit(before, after, min(busy, 1.0), fixed, message_s, stored, laws)


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="20 million rows times this.")
@click.option("--repeat", default=3, show_default=True, help="Runs on each number of workers.")
def main(*, scale: float, repeat: int) -> None:
    """Measure, fit, check the fit, and print time and cost on larger clusters."""
    runs = read(RESULT)
    if not runs:
        msg = f"{RESULT} is not there: run make bench-control-plane first, which writes it."
        raise click.ClickException(msg)
    laws = control_model.fit(runs)
    cores = len(os.sched_getaffinity(0))
    src = inputs.make("table", scale, BENCH / "inputs")
    reports = {workers: measure(src, workers, repeat) for workers in MEASURED_WORKERS}
    fit = fit_to(reports, cores, message_seconds(), laws)
    text = "\n".join(
        [
            f"Measured on {machine()}; {versions()}.",
            "",
            *_small_runs(reports, fit, cores),
            "",
            *control_model.checks(runs, laws),
            "",
            *_forecasts(fit, Hardware()),
            "",
            ASSUMPTIONS.format(**_numbers(fit, Hardware())),
        ]
    )
    Console(width=150).print(Markdown(text))
    found = {"fit": asdict(fit), "reports": {str(n): r for n, r in reports.items()}}
    (BENCH / "cluster_model.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    (BENCH / "cluster_model.md").write_text(text + "\n", encoding="utf-8")


def _small_runs(reports: dict[int, dict[str, Any]], fit: Fit, cores: int) -> list[str]:
    """Compare the runs on a few processes with the model."""
    gb = reports[1]["arrow_bytes"] / 1e9
    lines = ["| workers here | measured, s | model, s | off by |", "|--:|--:|--:|--:|"]
    for workers, report in reports.items():
        # More processes than cores are no more cores.
        here = Hardware(cores=1)
        chosen = Sizes(report["predicted"]["inputs"], report["output_parts"], gb * 1e9, 0.5)
        said = forecast(gb, min(workers, cores), fit, here, chosen, local=True).seconds
        off = said / report["seconds"] - 1
        lines.append(f"| {workers} | {report['seconds']:.2f} | {said:.2f} | {off:+.0%} |")
    return lines


def _forecasts(fit: Fit, hardware: Hardware) -> list[str]:
    lines = [
        "| size, TB of Arrow | workers | tasks | time | cost, $ | bound by | runs out first |",
        "|--:|--:|--:|--:|--:|---|---|",
    ]
    for size in SIZES_TB:
        for workers in WORKERS:
            head = f"| {size:g} | {workers:,} |"
            try:
                chosen = sizes(size * 1e3, workers, hardware)
            except BadOptionError as error:
                lines.append(f"{head} | | | | refused: {error} |")
                continue
            f = forecast(size * 1e3, workers, fit, hardware, chosen)
            share = f"**{f.first}**" if f.share > 1 else f.first
            lines.append(
                f"{head} {f.tasks:,} | {_time(f.seconds)} | {f.dollars:,.2f} | {f.bound} |"
                f" {share}: {f.share:.2g} of it |"
            )
    return lines


def _numbers(fit: Fit, hardware: Hardware) -> dict[str, Any]:
    """Return what the assumptions say in numbers."""
    return {
        **asdict(hardware),
        "stored_share": fit.stored_share,
        "work": fit.partition_s + fit.sort_s,
        "busy": fit.busy,
        "store_share": sizes(1.0, 10, hardware).store_share,
        "scheduler_law": fit.laws["scheduler_s"],
        "message_law": fit.laws["messages"],
        "receipt_law": fit.laws["receipt_bytes"],
        "task_kb": TASK_BYTES / 1e3,
        "message_kib": MESSAGE_BYTES / 2**10,
        "message_ms": 1e3 * fit.message_s,
        "told_at_once": TOLD_AT_ONCE,
    }


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
