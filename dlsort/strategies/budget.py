"""Budget: how a job's memory is shared out, and the partition sizes that follow.

    memory of a process = base + shards that wait + threads × (copies × partition)

The shards' share is what the exchange keeps before it spills; the rest bounds
the size of a partition, since each thread works on one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlsort.errors import BadOptionError
from dlsort.io.source import Source
from dlsort.sizes import GIB, MIB, format_bytes, parse_bytes
from dlsort.tuning import BudgetTuning
from dlsort.wording import count

__all__ = [
    "Budget",
    "MemoryOf",
    "ask_memory",
    "check_partitions",
    "check_row_groups",
    "count_parts",
    "plan_budget",
]


MemoryOf = Literal["machine", "workers"]

_OWNERS: dict[MemoryOf, tuple[str, str]] = {
    "machine": ("this machine has", ""),
    "workers": ("the workers have", " in all"),
}


@dataclass(frozen=True)
class Budget:
    """Sizes in bytes that keep a job within its memory.

    Parameters
    ----------
    store_bytes : int
        Shards that a process keeps in memory.
    working_bytes : int
        What a thread may hold besides.
    part_bytes, piece_bytes : int
        Largest output and input partition.
    """

    store_bytes: int
    working_bytes: int
    part_bytes: int
    piece_bytes: int


def ask_memory(
    memory: int | str | None, most_bytes: int, tuning: BudgetTuning, most_of: MemoryOf | None
) -> int:
    """Return a job's memory in bytes.

    Parameters
    ----------
    memory : int, str or None
        As given: a size, or a share as in ``"50%"``.
    most_bytes : int
        What there is: the machine's, or all workers' together.
    tuning : BudgetTuning
        The share of it that a job may use when nobody says.
    most_of : str or None
        Of what there is no more than that; None: the job may have more, or it is known later.

    Raises
    ------
    BadOptionError
        If it can't be read, or is not there.
    """
    if memory is None:
        return int(most_bytes * tuning.job_memory_share)
    n_bytes = parse_bytes(memory, "memory", whole_bytes=most_bytes)
    if most_of is not None and n_bytes > most_bytes:
        whose, in_all = _OWNERS[most_of]
        msg = (
            f"memory (--memory) is {format_bytes(n_bytes)}, but {whose} only "
            f"{format_bytes(most_bytes)}{in_all}; pass less, or a share of it such as "
            "50%."
        )
        raise BadOptionError(msg)
    return n_bytes


def plan_budget(
    memory_bytes: int,
    n_processes: int,
    n_threads: int,
    tuning: BudgetTuning,
    group_bytes: int = 0,
    default_of: MemoryOf | None = None,
) -> Budget:
    """Share out a job's memory.

    Parameters
    ----------
    memory_bytes : int
        For the whole job.
    n_processes, n_threads : int
        Processes that do the work; threads in all.
    tuning : BudgetTuning
        The shares.
    group_bytes : int
        Arrow size of the source's largest row group, which is read whole: if it is large for
        this memory, fewer shards wait in it.
    default_of : str or None
        Nobody gave the memory: it is the default share of this.

    Raises
    ------
    BadOptionError
        If it is too small to work with.
    """
    threads_each = -(-n_threads // n_processes)
    fixed = tuning.base_bytes
    smallest = fixed + threads_each * tuning.working_copies * tuning.smallest_part_bytes
    free = memory_bytes // n_processes - fixed
    store = int(free * tuning.store_share)
    reading = threads_each * tuning.reading_copies * group_bytes
    store = max(min(store, free - reading), int(free * tuning.least_store_share))
    working = (free - store) // threads_each
    part = working // tuning.working_copies
    if memory_bytes // n_processes < smallest:
        what, do = _DEFAULTS.get(default_of, ("memory is", ""))
        msg = (
            f"{what.format(share=tuning.job_memory_share)} {format_bytes(memory_bytes)}, too "
            "small to work with: "
            f"{n_processes} process{'es' if n_processes > 1 else ''} and {n_threads} "
            f"thread{'s' if n_threads > 1 else ''} need at least "
            f"{_at_least(smallest * n_processes)}.{do}"
        )
        raise BadOptionError(msg)
    return Budget(store, working, part, min(part, tuning.input_bytes))


_DEFAULTS: dict[MemoryOf | None, tuple[str, str]] = {
    "machine": (
        "the memory of a job, by default {share:.0%} of this machine's, is",
        " Ask for fewer workers (--workers), fewer threads (--threads), or more memory "
        "(--memory).",
    ),
    "workers": (
        "the memory of a job, by default {share:.0%} of the workers', is",
        " Give the workers fewer threads, or more memory.",
    ),
}


def _at_least(n_bytes: int) -> str:
    """Return a size, rounded up, as :func:`format_bytes` shows it."""
    step = GIB // 10
    return (
        f"{-(-n_bytes // step) / 10:.1f} GiB" if n_bytes >= GIB else f"{-(-n_bytes // MIB)} MiB"
    )


def check_row_groups(
    source: Source, memory_bytes: int, n_processes: int, tuning: BudgetTuning
) -> int:
    """Return the memory of a process for row groups; larger ones are read in slices.

    Parameters
    ----------
    source : Source
        The dataset's footers, which may claim anything.
    memory_bytes : int
        For the whole job.
    n_processes : int
        Processes that do the work.
    tuning : BudgetTuning
        What a process takes besides.

    Raises
    ------
    BadOptionError
        If a row group is larger than that, and slices of its rows are too.
    """
    most = memory_bytes // n_processes - tuning.base_bytes
    for group in (group for group in source.row_groups if group.arrow_bytes > most):
        n_slices = -(-group.arrow_bytes // max(1, most // tuning.reading_copies))
        if n_slices > min(group.n_rows, tuning.most_slices):
            needed = (group.arrow_bytes + tuning.base_bytes) * n_processes
            msg = (
                f"row group {group.index} of {source.files[group.file]} takes "
                f"{format_bytes(group.arrow_bytes)} in memory, by its footer, for "
                f"{count(group.n_rows, 'row')}; a process has {format_bytes(most)} of the "
                f"job's {format_bytes(memory_bytes)}. Give the job more than "
                f"{format_bytes(needed)}, or write the file with smaller row groups."
            )
            raise BadOptionError(msg)
    return most


def check_partitions(partitions: int | None, n_rows: int, tuning: BudgetTuning) -> None:
    """Raise if far more partitions are wanted than there are rows.

    Raises
    ------
    BadOptionError
        If so: most parts would be empty files.
    """
    if partitions is not None and partitions > max(n_rows, tuning.fewest_parts_refused):
        msg = (
            f"partitions is {partitions:,}, but the source has only {count(n_rows, 'row')}; "
            "ask for at most one partition a row."
        )
        raise BadOptionError(msg)


def count_parts(source: Source, part_bytes: int, n_threads: int, tuning: BudgetTuning) -> int:
    """Return how many output partitions of about ``part_bytes`` the source makes.

    A multiple of the threads, so that they finish together.
    """
    if source.n_rows == 0:
        return 1
    n_parts = max(1, -(-source.kept_bytes // part_bytes))
    if n_parts > tuning.most_parts:
        msg = (
            f"a partition size of {format_bytes(part_bytes)} cuts the source, of "
            f"{format_bytes(source.kept_bytes)} in memory, into {n_parts:,} partitions; ask "
            f"for a larger one, that makes at most {tuning.most_parts:,}."
        )
        raise BadOptionError(msg)
    return min(-(-n_parts // n_threads) * n_threads, source.n_rows)
