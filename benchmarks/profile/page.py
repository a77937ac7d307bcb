"""Figures of the profile: shares of the cores' time, as Markdown for terminal and README."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from benchmarks.inputs import Job
from benchmarks.profile.cpu_samples import (
    ARROW,
    KERNELS,
    NUMPY,
    PYTHON,
    RATE_HZ,
    SYSTEM,
    UNKNOWN,
)

IDLE, UNDIVIDED = "idle", "not in the system"
PLACES = (IDLE, PYTHON, KERNELS, ARROW, NUMPY, UNKNOWN, UNDIVIDED, SYSTEM)
WANTED = {IDLE: 0.10, PYTHON: 0.10}  # less than, as shares of the cores' time
QUIET = 0.05  # where others take more, idle is too large and the rest too small to judge

CAVEATS = """\
- Shares of wall-clock × {cores}. Each is the median of {repeat} sorts, after a first one in the
  same process, which has {cores} threads and may run on {cores} cores only; so a column need
  not add up to 100 %, though each sort does. A sort starts and ends its threads within
  the time. Partitions of {size}.
- *idle* is what the process' CPU time, as the system counted it, leaves. Of that, other
  processes and the host took {others}. *system* is the time
  in the kernel: reading and writing files, fresh pages of memory, threads that wake one
  another.
- Row count, checksum and order of each result were checked, outside the time.\
"""
PROFILED = """
- The rest is divided as perf's samples say ({rate} a second and running thread): by whose code
  was running, the C and C++ libraries' being their callers'. *{python}* is the interpreter with
  all extensions that are not named, the glue of pyarrow and numba, and the event loops. The
  samples stand for {covered:.1%} of the CPU time; they put {in_kernel} of it into the kernel,
  the system's own count {counted:.1%}.\
"""


@dataclass
class Spent:
    """What one sort took, and where.

    Attributes
    ----------
    wall_s, user_s, system_s : float
        Wall-clock; CPU time of all its threads outside and inside the kernel.
    others_s : float
        What other processes and, of a virtual machine, its host took of the same cores.
    places : dict of str to int
        Samples by place; empty where there is no perf.
    """

    wall_s: float
    user_s: float
    system_s: float
    others_s: float
    places: dict[str, int] = field(default_factory=dict)

    def shares(self, cores: int) -> dict[str, float]:
        """Return each place's share of the cores' time; all together are 1."""
        total_s = cores * self.wall_s
        spent_s = {SYSTEM: self.system_s, IDLE: total_s - self.user_s - self.system_s}
        places = {name: n for name, n in self.places.items() if name != SYSTEM}
        for name, n in (places or {UNDIVIDED: 1}).items():
            spent_s[name] = self.user_s * n / max(sum(places.values()), 1)
        return {name: seconds / total_s for name, seconds in spent_s.items()}


Results = dict[Job, list[Spent]]  # of each job its sorts


def line(job: Job, spent: Spent, cores: int) -> str:
    """Return one sort's figures in a line."""
    shares = spent.shares(cores)
    figures = ", ".join(f"{name} {shares[name]:.1%}" for name in PLACES if name in shares)
    others = spent.others_s / spent.wall_s / cores
    return f"{job.title}: {spent.wall_s:.2f} s; {figures}; others took {others:.1%}"


def page(results: Results, cores: int, partition_size: str, where: str) -> str:
    """Return the table, whether what is wanted was reached, and the caveats, as Markdown."""
    lines = [
        f"On {where}.",
        "",
        f"| share of {cores} cores' time | " + " | ".join(job.title for job in results) + " |",
        "|---" + "|--:" * len(results) + "|",
    ]
    for name in PLACES:
        shares = [_median(name, rounds, cores) for rounds in results.values()]
        if max(shares) >= 0.0005:  # it would be 0.0 %
            lines.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    walls = [statistics.median(one.wall_s for one in rounds) for rounds in results.values()]
    lines += [f"| wall-clock, seconds | {' | '.join(f'{wall:.2f}' for wall in walls)} |", ""]
    every = [one for rounds in results.values() for one in rounds]
    is_profiled = all(one.places for one in every)
    others = [
        statistics.median(o.others_s / o.wall_s / cores for o in r) for r in results.values()
    ]
    for name, most in WANTED.items():
        if name == IDLE or is_profiled:
            shares = [_median(name, rounds, cores) for rounds in results.values()]
            reached = "reached" if max(shares) < most else "**not reached**"
            if max(others) > QUIET:
                reached = "**can't be told**, as the cores had other work"
            lines.append(f"- {name}: {_percents(shares)}; wanted below {most:.0%}: {reached}.")
    repeat = max(len(rounds) for rounds in results.values())
    caveats = CAVEATS.format(
        cores=cores, repeat=repeat, size=partition_size, others=_percents(others)
    )
    return "\n".join([*lines, "", caveats + (_agreement(every) if is_profiled else "")])


def _median(place: str, rounds: list[Spent], cores: int) -> float:
    return statistics.median(one.shares(cores).get(place, 0.0) for one in rounds)


def _percents(shares: list[float]) -> str:
    return " and ".join(f"{share:.1%}" for share in shares)


def _agreement(every: list[Spent]) -> str:
    """Say what was sampled, and how far it agrees with the system's own count."""
    n_samples = sum(sum(one.places.values()) for one in every)
    n_system = sum(one.places.get(SYSTEM, 0) for one in every)
    system_s = sum(one.system_s for one in every)
    cpu_s = sum(one.user_s for one in every) + system_s
    return PROFILED.format(
        rate=RATE_HZ,
        python=PYTHON,
        covered=n_samples / RATE_HZ / cpu_s,
        in_kernel=f"{n_system / n_samples:.1%}"
        if n_system
        else "none (it may not see it here)",
        counted=system_s / cpu_s,
    )
