"""The door: suites, one race after the other; what they gave, so far, as one document.

The document is what the JSON file holds, and all that the page is made of.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dlsort.bench.bounds import bounds, phase_spans
from dlsort.bench.engines import PACKAGES, TITLES, Share, is_installed
from dlsort.bench.figures import Resources, rates, summary
from dlsort.bench.hosts import measured_host, package_versions
from dlsort.bench.published import PUBLISHED
from dlsort.bench.rounds import Turn, in_turn
from dlsort.bench.suites.frames import frames_suite
from dlsort.bench.suites.race import Asked, Race, Suite
from dlsort.bench.suites.sort import sort_suite
from dlsort.bench.suites.terasort import terasort_suite
from dlsort.errors import BadOptionError, ClusterError
from dlsort.keys import By, format_by, parse_by
from dlsort.options.chosen import read_columns
from dlsort.sizes import parse_bytes
from dlsort.tuning import TUNING
from dlsort.wording import did_you_mean
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.machine import machine_cores, machine_memory_bytes
from dlsort_cluster.scratch import make_scratch

__all__ = ["FORMAT", "SUITES", "Bench", "Told"]

#: Of the document; another number where a field changes its meaning or goes.
FORMAT = 1
AGAINST = ("dask", "polars", "duckdb")
SUITES: dict[str, Suite] = {
    "sort": sort_suite,
    "terasort": terasort_suite,
    "frames": frames_suite,
}

_DATA_FOLDER = "dlsort-bench-data"
_MOST_SPANS = 2000

Told = Callable[[str], None]


@dataclass
class Bench:
    """A comparison, as it was asked for; ``document`` holds what was measured so far."""

    suite: str = "sort"
    data: str | None = None
    by: By | None = None
    against: str | Sequence[str] | None = None
    rows: int = 5_000_000
    rounds: int = 3
    scheduler: str | None = None
    threads: int | None = None
    memory: int | str | None = None
    temp_dir: str | None = None
    keep_data: bool = False
    price: float | None = None
    document: dict[str, Any] = field(default_factory=dict)

    def run(self, tell: Told) -> None:
        """Run the races; what is measured until an error, or a signal, stays.

        Raises
        ------
        DlsortError
            If an engine is not there, the data, the key or the cluster can't be used, or a disk
            is full.
        """
        by = self.by = None if self.by is None else format_by(parse_by(self.by))
        engines, left_out = _engines(read_columns(self.against, "against"))
        if self.data is not None and self.suite not in ("sort", "frames"):
            msg = f"--data is for the suites sort and frames; {self.suite} makes its own."
            raise BadOptionError(msg)
        with make_scratch(self.temp_dir) as folder:
            scratch = Path(folder)
            hosts, cluster = self._hosts(scratch)
            share = self._share(folder)
            here = Resources(share.threads, 1, self.price)
            self.document.update(self._head(hosts, share, left_out))
            asked = Asked(
                engines,
                share,
                cluster or here,
                here,
                self._inputs(scratch),
                scratch,
                self.rows,
                self.data,
                by,
            )
            names = SUITES if self.suite == "all" else [self.suite]
            for name in names:
                for race in SUITES[name](asked):
                    self._run(name, race, tell)
            self.document["stopped"] = None

    def _inputs(self, scratch: Path) -> Path:
        kept = Path(self.temp_dir or ".", _DATA_FOLDER)
        folder = kept if self.keep_data else scratch / "in"
        folder.mkdir(exist_ok=True)
        return folder

    def _share(self, temp_dir: str) -> Share:
        whole = machine_memory_bytes()
        wanted = self.memory or f"{TUNING.budget.job_memory_share:.0%}"
        memory = parse_bytes(wanted, "memory", whole_bytes=whole)
        if memory > whole:
            msg = f"memory is {self.memory}, more than this machine has ({whole:,} bytes)."
            raise BadOptionError(msg)
        return Share(self.threads or machine_cores(), memory, temp_dir, self.scheduler)

    def _hosts(self, scratch: Path) -> tuple[dict[str, Any], Resources | None]:
        """Return what each host is, and what the cluster has, if there is one."""
        hosts = {"this host": measured_host(str(scratch))}
        if self.scheduler is None:
            return hosts, None
        from dlsort_cluster.clusters.check_versions import check_versions
        from dlsort_cluster.clusters.connect import connect
        from dlsort_cluster.clusters.sizes import size_of
        from dlsort_cluster.peer import facts_of_hosts

        try:
            with connect(scheduler=self.scheduler) as client:
                size = size_of(client)
                check_versions(client)
                told = facts_of_hosts(client, partial(_host_that_sees, str(scratch)))
        except ExchangeError as error:
            raise ClusterError(str(error)) from error
        if blind := [host for host, facts in told.items() if facts.get("sees") is False]:
            msg = (
                f"temp_dir is {self.temp_dir or 'the default'}, which {', '.join(blind)} can't "
                "see; name a folder that this host and all workers share."
            )
            raise BadOptionError(msg)
        return {**hosts, **told}, Resources(size.n_threads, len(told), self.price)

    def _head(
        self, hosts: Mapping[str, Any], share: Share, left_out: Sequence[str]
    ) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "settings": {
                "suite": self.suite,
                "data": self.data,
                "by": self.by,
                "rows": self.rows,
                "rounds": self.rounds,
                "scheduler": self.scheduler,
                "threads": share.threads,
                "memory_bytes": share.memory_bytes,
                "price": self.price,
            },
            "hosts": dict(hosts),
            "versions": package_versions(),
            "left_out": [TITLES[name] for name in left_out],
            "stopped": "it was stopped",
            "notes": self._notes(),
            "races": [],
            "published": [
                {
                    **each._asdict(),
                    "mb_s_core": each.mb_s_core,
                    "dollars_tb": each.dollars_tb,
                    "arithmetic": each.arithmetic,
                }
                for each in PUBLISHED
            ],
        }

    def _notes(self) -> list[str]:
        notes = [
            "Seconds are the median of the rounds after a cold one in a fresh process, which "
            "is not in it; beside it the least and the most. In each round every engine has "
            "one turn. × dlsort's time: an engine's time over dlsort's in the same round, the "
            "median; below 1 dlsort was slower.",
            "MB/s a core: bytes in memory (as Arrow, without compression) a second and core; "
            "stored: bytes of the files. A MB has 1,000,000 bytes.",
        ]
        if self.scheduler is None:
            notes.append("All engines run on this host, with the same threads and memory.")
        else:
            notes.append(
                "dlsort and Dask run on the cluster, with all of its threads; the others "
                "run on the host of this command, with the threads and memory that are given."
            )
        if self.price is not None:
            notes.append(
                f"Dollars: ${self.price:g} an hour for a machine, for the seconds of the sort "
                "alone, for each TB (10^12 bytes) in memory."
            )
        return notes

    def _run(self, suite: str, race: Race, tell: Told) -> None:
        turns: dict[str, list[Turn]] = {name: [] for name in race.resources}
        entry: dict[str, Any] = {
            "suite": suite,
            "title": race.title,
            "about": race.about,
            "size": race.size._asdict(),
            "engines": {},
        }
        self.document["races"].append(entry)
        notes = self.document["notes"]
        notes += [note for note in race.notes if note not in notes]

        def on_turn(name: str, turn: Turn) -> None:
            turns[name].append(turn)
            label = "cold" if turn.round == 0 else f"round {turn.round} of {self.rounds}"
            checked = "checked" if turn.verdict == "ok" else turn.verdict
            tell(
                f"{race.title}, {label}: {TITLES[name]} {turn.outcome.seconds:.2f} s, {checked}"
            )

        tell(f"{race.title}: {race.size.rows:,} rows; engines start")
        try:
            with race.takers as takers:
                in_turn(takers, self.rounds, on_turn)
        finally:
            figures = summary(turns)
            entry["engines"] = {
                name: self._engine(name, figures[name], turns[name], race) for name in figures
            }

    def _engine(
        self, name: str, figures: Mapping[str, Any], turns: Sequence[Turn], race: Race
    ) -> dict[str, Any]:
        resources = race.resources[name]
        good = figures["verdict"] == "ok"
        is_here = self.scheduler is None or name not in race.distributed
        return {
            "title": TITLES[name],
            "where": "this host" if is_here else "cluster",
            **figures,
            **rates(figures["seconds"] if good else 0.0, race.size, resources),
            "cores": resources.cores,
            "machines": resources.machines,
            "turns": [
                {
                    "round": turn.round,
                    "seconds": turn.outcome.seconds,
                    "verdict": turn.verdict,
                    "peak_bytes": turn.peak_bytes,
                }
                for turn in turns
            ],
            "detail": self._detail(turns, figures["seconds"], resources, is_here=is_here)
            if good
            else None,
        }

    def _detail(
        self, turns: Sequence[Turn], median: float, resources: Resources, *, is_here: bool
    ) -> dict[str, Any]:
        """Return where the round went that took the median, or is nearest to it."""
        turn = min(turns[1:] or turns, key=lambda each: abs(each.outcome.seconds - median))
        report, seconds = turn.outcome.report, turn.outcome.seconds
        spans = phase_spans(report, seconds)
        offset = next((began for name, began, _ in spans if name == "sample"), 0.0)
        timeline = report.get("timeline", []) if report else []
        every = -(-len(timeline) // _MOST_SPANS) or 1
        return {
            "round": turn.round,
            "seconds": seconds,
            "phases": spans,
            "work": report["phases"]["work"] if report else {},
            "timeline": [
                [lane, phase, began + offset, ended + offset]
                for lane, phase, began, ended in timeline[::every]
            ],
            "samples": [sample._asdict() for sample in turn.samples],
            "bounds": bounds(
                [*spans, *phase_spans(None, seconds)] if report else spans,
                turn.samples,
                self._limits(resources, is_here=is_here),
            ),
        }

    def _limits(self, resources: Resources, *, is_here: bool) -> dict[str, float | None]:
        """Return what there is of each resource: of this host, or of all of the cluster's."""
        hosts = self.document["hosts"]
        mine = [host for name, host in hosts.items() if is_here == (name == "this host")]
        mine = [host for host in mine if "error" not in host]

        def whole(name: str) -> float | None:
            known = [host.get(name) for host in mine]
            return None if not known or None in known else math.fsum(known)

        memory = whole("memory_bytes" if is_here else "worker_memory_bytes")
        return {
            "cores": float(resources.cores),
            "memory_bytes": self.document["settings"]["memory_bytes"] if is_here else memory,
            "disk_read": whole("disk_read"),
            "disk_write": whole("disk_write"),
            "network": whole("network"),
        }


def _host_that_sees(scratch: str) -> dict[str, Any]:
    sees = Path(scratch).is_dir()
    return {**measured_host(scratch if sees else None), "sees": sees}


def _engines(against: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the engines beside dlsort, and those that are not installed and left out.

    Raises
    ------
    BadOptionError
        If one that was named is not there.
    """
    known = [*AGAINST, "copy"]
    if against is None:
        there = [name for name in known if is_installed(name)]
        return there, [name for name in known if name not in there]
    for name in against:
        if name not in known:
            hint = did_you_mean(name, known)
            msg = f"against is {name!r}; expected some of {', '.join(known)}.{hint}"
            raise BadOptionError(msg)
        if not is_installed(name):
            msg = (
                f"against names {name}, which is not installed; pip install "
                f"{PACKAGES[name]}, or all of them by pip install 'dlsort[bench]'."
            )
            raise BadOptionError(msg)
    return list(dict.fromkeys([*against, "copy"])), []
