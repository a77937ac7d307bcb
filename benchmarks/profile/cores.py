"""How two cores spend their time while dlsort sorts, embedded, 128 MiB a partition.

Run it with ``make bench-profile``. The sort runs in a process of its own, held to as many
cores as it has threads and watched from outside with ``perf``; without ``perf`` there is only
what the process used in all, and what it left idle.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import tempfile
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import inputs
from benchmarks.inputs import Job
from benchmarks.page import machine, readme_around, versions, write_readme
from benchmarks.profile.cpu_samples import PerfError, recording, samples
from benchmarks.profile.page import Results, Spent, line, page
from dlsort.bench.engines import Work
from dlsort.bench.verify import verdict

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "profile"

JOBS = (Job("lineitem", ("l_extendedprice",)), Job("table", ("key",)))
PARTITION_SIZE = "128 MiB"


def _serve(src: Path, by: tuple[str, ...], cores: int, pipe: Connection) -> None:
    """Sort into each folder that the pipe names, until it says None."""
    mine = sorted(os.sched_getaffinity(0))[:cores]
    os.sched_setaffinity(0, mine)  # before there are threads
    import dlsort

    while (dst := pipe.recv()) is not None:
        before, busy_s, began = _usage(), _busy_s(mine), time.perf_counter()
        dlsort.sort_dataset(
            src, dst, by=",".join(by), threads=cores, partition_size=PARTITION_SIZE
        )
        wall_s = time.perf_counter() - began
        after, busy_s = _usage(), _busy_s(mine) - busy_s
        user_s, system_s = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
        others_s = max(busy_s - user_s - system_s, 0.0)
        pipe.send(Spent(wall_s, user_s, system_s, others_s))


def _usage() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_SELF)


def _busy_s(cores: list[int]) -> float:
    """Return for how long some cores have worked, for whomever; the host's other guests too."""
    times = psutil.cpu_times(percpu=True)
    return sum(
        t.user + t.nice + t.system + t.irq + t.softirq + t.steal
        for t in (times[core] for core in cores)
    )


class Sorter:
    """A process that sorts one job as often as it is asked to."""

    def __init__(self, job: Job, src: Path, cores: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(src, job.by, cores, theirs))
        self._process.start()
        theirs.close()
        self._job, self._src = job, src

    def sort(self, *, profiled: bool) -> Spent:
        """Sort once, and check the result.

        Raises
        ------
        PerfError
            If it is to be profiled, and can't be.
        RuntimeError
            If the result is wrong.
        """
        with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
            dst, recorded = Path(folder) / "out", Path(folder) / "perf.data"
            os.sync()  # what the sort before has written is not this one's load
            if profiled:
                with recording(self._process.pid, recorded):
                    spent = self._timed(dst)
                spent.places = dict(samples(recorded))
            else:
                spent = self._timed(dst)
            found = verdict(Work.of(self._src, self._job.by), dst)
        if found != "ok":
            msg = f"{self._job.title}: {found}."
            raise RuntimeError(msg)
        return spent

    def _timed(self, dst: Path) -> Spent:
        self._pipe.send(dst)
        return self._pipe.recv()

    def close(self) -> None:
        """End the process, and wait for it."""
        self._pipe.send(None)
        self._process.join()


def measure(
    job: Job, scale: float, cores: int, *, repeat: int, profiled: bool, console: Console
) -> list[Spent]:
    """Return what each of ``repeat`` warm sorts spent; raise PerfError as ``sort`` does."""
    sorter = Sorter(job, inputs.make(job.input, scale, BENCH / "inputs"), cores)
    rounds = []
    try:
        sorter.sort(profiled=False)  # cold
        for _ in range(repeat):
            rounds.append(sorter.sort(profiled=profiled))
            console.print(line(job, rounds[-1], cores), highlight=False)
    finally:
        sorter.close()
    return rounds


@click.command()
@click.option("--scale", default=1.0, show_default=True, help="Size of the inputs.")
@click.option("--cores", default=2, show_default=True, help="Cores, and threads on them.")
@click.option("--repeat", default=3, show_default=True, help="Sorts after the cold one.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(*, scale: float, cores: int, repeat: int, to_readme: bool) -> None:
    """Sort with all threads watched, and print how the cores' time was spent."""
    n_cores = len(os.sched_getaffinity(0))
    if not 1 <= cores <= n_cores:
        msg = f"--cores is {cores}; expected 1 to {n_cores}, which this process may use."
        raise click.BadParameter(msg)
    console = Console(width=150)
    if to_readme:
        readme_around(README, SECTION)  # fails now, not after all the work
    results: Results = {}
    profiled = True
    for job in JOBS:
        try:
            results[job] = measure(
                job, scale, cores, repeat=repeat, profiled=profiled, console=console
            )
        except PerfError as error:
            profiled = False
            console.print(f"Only idle, user and system time: {error}.", highlight=False)
            results[job] = measure(
                job, scale, cores, repeat=repeat, profiled=False, console=console
            )
    text = page(results, cores, PARTITION_SIZE, f"{machine()}; {versions()}")
    console.print(Markdown(text))
    found = {job.title: [asdict(one) for one in rounds] for job, rounds in results.items()}
    (BENCH / "profile_cores.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
