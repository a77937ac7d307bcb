"""Cost: what a plan is predicted to take, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dlsort.planner.speeds import LOCK_SHARES, Speeds, Work, seconds_of
from dlsort.planner.work import Facts, Shape, rows_of, work_of
from dlsort.sizes import MIB

__all__ = ["Prediction", "Resources", "predict", "speed_up"]

PARTITION = ("read", "prove", "classify", "split")
SORT = ("sort", "prove", "write")
ALONE = ("start", "sample", "publish")
# Memory that allocators and Arrow keep beside the rows that wait, as a share of these.
KEPT = 0.35


@dataclass(frozen=True)
class Resources:
    """What a plan can use.

    Parameters
    ----------
    cores : int
        Of the machine, or threads of the cluster.
    base_bytes : int
        What a process takes before it holds a row.
    store_bytes : int
        Shards that a process keeps in memory.
    part_copies, piece_copies : int
        How many times its size a thread takes for an output, and an input partition.
    """

    cores: int
    base_bytes: int
    store_bytes: int
    part_copies: int
    piece_copies: int


@dataclass(frozen=True)
class Prediction:
    """What a plan takes.

    Parameters
    ----------
    seconds : float
        Wall-clock, of all phases.
    processor_s : float
        Thread seconds, of all steps.
    phases : dict of str to float
        Wall-clock seconds of start, sample, partition, sort and publish.
    steps : dict of str to float
        Thread seconds by step.
    work : dict
        Amounts of work, by step and unit.
    steps_of : dict
        Thread seconds, by phase and step.
    rows : dict of str to int
        Rows that are ``read``, ``kept`` by a condition, ``sent`` to parts, and ``written``.
    memory_bytes, spilled_bytes, sent_bytes : int
        Peak memory of all processes; rows written to disk, and sent to another process.
    balance : float
        Largest part over the mean.
    """

    seconds: float
    processor_s: float
    phases: Mapping[str, float]
    steps: Mapping[str, float]
    memory_bytes: int
    spilled_bytes: int
    sent_bytes: int
    balance: float
    work: Work = field(default_factory=dict, repr=False)
    steps_of: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    rows: Mapping[str, int] = field(default_factory=dict)


def predict(
    facts: Facts,
    shape: Shape,
    place: Resources,
    speeds: Speeds,
    factors: Mapping[str, float] | None = None,
) -> Prediction:
    """Return what a plan takes on a place.

    Parameters
    ----------
    facts : Facts
        Of the source.
    shape : Shape
        The plan.
    place : Resources
        Where it runs.
    speeds : Speeds
        Seconds a unit of work.
    factors : mapping, optional
        What the same job took before, over what was predicted, by step.
    """
    n_processes = max(1, shape.n_processes)
    rows = rows_of(facts, shape)
    on_the_way = facts.row_bytes * rows["sent"] if shape.is_exchange else 0.0
    kept = min(on_the_way, n_processes * place.store_bytes)
    spilled, sent = int(on_the_way - kept), int(on_the_way * (1 - 1 / n_processes))
    work = work_of(facts, shape, spilled, sent)
    steps = {
        step: seconds_of(step, amounts, speeds) * (factors or {}).get(step, 1.0)
        for step, amounts in work.items()
    }
    share = _proof_of_reading(work)
    partition = {name: steps.get(name, 0.0) for name in PARTITION}
    sort = {name: steps.get(name, 0.0) for name in SORT}
    partition["prove"] *= share
    sort["prove"] *= 1 - share
    if not shape.is_exchange:  # each part is read, sorted and written by one task
        sort = {name: partition.get(name, 0.0) + sort.get(name, 0.0) for name in steps}
        partition = {}
    wall = speeds.get("wall", {}).get("even_s", 1.0) * (factors or {}).get("wall", 1.0)
    even = [
        _even(partition, shape.n_pieces, shape, place),
        _even(sort, shape.n_parts, shape, place),
    ]
    # Each process has its own share of these, before the barrier and after it.
    moved = (steps.get("spill", 0.0) + steps.get("send", 0.0)) / 2 / n_processes
    used = _used(shape, place, shape.n_threads, 0.0)
    phases = {
        "start": steps["start"],
        "sample": (steps.get("sample", 0.0) + steps.get("find", 0.0)) / used,
        "partition": wall * even[0] + moved,
        "sort": wall * even[1] + moved,
        "publish": steps["publish"],
    }
    both = {name: steps[name] / 2 for name in ("spill", "send") if name in steps}
    steps_of = {
        **{name: {name: steps[name]} for name in ALONE if name in steps},
        **({"sample": {"find": steps["find"]}} if "find" in steps else {}),
        "partition": _some(partition | both if partition else {}),
        "sort": _some(sort | both),
    }
    part_bytes = facts.row_bytes_in_memory * rows["sent"] * shape.balance / shape.n_parts
    piece_bytes = facts.arrow_bytes / max(1, shape.n_pieces)
    at_work = shape.n_threads * max(
        place.part_copies * part_bytes, place.piece_copies * piece_bytes
    )
    memory = n_processes * place.base_bytes + kept * (1 + KEPT) + at_work
    return Prediction(
        sum(phases.values()),
        sum(steps.values()),
        phases,
        steps,
        int(memory) + 16 * MIB,
        spilled,
        sent,
        shape.balance,
        {**work, "wall": {"even_s": sum(even)}},
        steps_of,
        rows,
    )


def _some(steps: Mapping[str, float]) -> dict[str, float]:
    return {step: seconds for step, seconds in steps.items() if seconds}


def _proof_of_reading(work: Work) -> float:
    """Return which share of the proving is done for what is read, not for what is written."""
    read, written = work["read"].get("chunks", 0.0), work["write"].get("chunks", 0.0)
    return 0.5 if read + written == 0 else 0.5 * (0.5 + read / (read + written))


def _even(steps: Mapping[str, float], n_tasks: int, shape: Shape, place: Resources) -> float:
    """Return the wall-clock seconds of tasks of one size, with their thread seconds by step."""
    seconds = sum(steps.values())
    if not seconds:
        return 0.0
    threads = max(1, min(shape.n_threads, place.cores, n_tasks))
    idle = -(-n_tasks // threads) * threads / n_tasks
    locked = sum(s * LOCK_SHARES.get(name, 0.0) for name, s in steps.items()) / seconds
    return seconds / _used(shape, place, threads, locked) * idle


def _used(shape: Shape, place: Resources, n_threads: int, locked: float) -> float:
    """Return how many threads' work is done at once."""
    threads = max(1, min(n_threads, place.cores))
    n_processes = max(1, min(shape.n_processes, threads))
    return min(threads, n_processes * speed_up(-(-threads // n_processes), locked))


def speed_up(n_threads: int, locked: float) -> float:
    """Return how many threads' work the threads of one process do at once.

    Parameters
    ----------
    n_threads : int
        How many there are.
    locked : float
        Share of its time in which a thread that is alone holds Python's lock.

    Notes
    -----
    Mean value analysis of a closed queue: threads wait for one lock, first come, first served
    (Reiser and Lavenberg, 1980).
    """
    waiting = 0.0
    done = 0.0
    for n in range(1, n_threads + 1):
        at_lock = locked * (1 + waiting)
        done = n / (1 - locked + at_lock)
        waiting = done * at_lock
    return done
