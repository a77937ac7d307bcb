"""What a lost worker costs: lineitem on three workers, one of them killed on the way.

Run it with ``make bench-lost-worker``. The cluster is there before the time is taken, and
every result is checked.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

import click
from distributed import Client, LocalCluster
from rich.console import Console
from rich.markdown import Markdown

import dlsort
from benchmarks import inputs
from benchmarks.page import machine, readme_around, versions, write_readme
from dlsort.bench.engines import Work
from dlsort.bench.verify import verdict

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "lost_worker"

WORKERS = 3
BY = ("l_shipdate", "l_orderkey", "l_linenumber")


def _run(src: Path, kill_after_s: float | None) -> tuple[float, str]:
    """Sort on a fresh cluster; return seconds, and what the check says."""
    with (
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
        tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder,
    ):
        client.run(_warm)
        dst = Path(folder) / "out"
        killer = None
        if kill_after_s is not None:
            pid = next(iter(client.run(os.getpid).values()))
            killer = threading.Timer(kill_after_s, os.kill, (pid, signal.SIGKILL))
            killer.start()
        began = time.perf_counter()
        dlsort.sort_dataset(src, dst, by=",".join(BY), scheduler=cluster.scheduler_address)
        seconds = time.perf_counter() - began
        if killer is not None:
            if killer.is_alive():
                killer.cancel()
                return seconds, "ended before the kill"
            killer.join()
        found = verdict(Work.of(src, BY), dst)
        left = [path.name for path in Path(folder).iterdir() if path != dst]
        shutil.rmtree(dst)
    return seconds, f"left behind: {', '.join(left)}" if left else found


def _warm() -> None:
    """Import what a job imports, so that no run pays for it."""
    import dlsort.strategies.exchange  # noqa: F401


@click.command()
@click.option("--repeat", default=3, show_default=True, help="Rounds.")
@click.option("--scale", default=1.0, show_default=True, help="TPC-H scale factor.")
@click.option("--moments", default="0.25,0.5,0.75", show_default=True, help="Of the time.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(*, repeat: int, scale: float, moments: str, to_readme: bool) -> None:
    """Sort with and without a worker killed, in turn, and print the times and their ratio."""
    if to_readme:
        readme_around(README, SECTION)
    src = inputs.make("lineitem", scale, BENCH / "inputs")
    shares = [float(moment) for moment in moments.split(",")]
    undisturbed: list[float] = []
    disturbed: dict[float, list[float]] = {share: [] for share in shares}
    verdicts: set[str] = set()
    _run(src, None)  # compiles, fills caches
    for _ in range(repeat):
        seconds, found = _run(src, None)
        undisturbed.append(seconds)
        verdicts.add(found)
        click.echo(f"undisturbed: {seconds:.2f} s, {found}")
        for share in shares:
            seconds, found = _run(src, share * statistics.median(undisturbed))
            disturbed[share].append(seconds)
            verdicts.add(found)
            click.echo(f"a worker killed at {share:.0%}: {seconds:.2f} s, {found}")
    text = _page(undisturbed, disturbed, verdicts)
    Console().print(Markdown(text))
    if to_readme:
        write_readme(text, README, SECTION)


def _page(
    undisturbed: list[float], disturbed: dict[float, list[float]], verdicts: set[str]
) -> str:
    whole = statistics.median(undisturbed)
    lines = [
        f"On {machine()}; {versions()}.",
        "",
        "| lineitem on 3 workers | seconds | × undisturbed | |",
        "|---|--:|--:|---|",
        f"| undisturbed | {whole:.2f} | 1.00 | {' '.join(sorted(verdicts))} |",
    ]
    for share, times in disturbed.items():
        seconds = statistics.median(times)
        lines.append(
            f"| a worker killed after {share:.0%} of that "
            f"| {seconds:.2f} | {seconds / whole:.2f} | |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
