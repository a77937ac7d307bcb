"""Speeds: seconds a unit of work takes, step by step, before anything was measured here.

Each step of a job (read, prove, …) does an amount of work in a few units (bytes of numbers,
bytes of text, …; :mod:`dlsort.planner.work`). Its thread seconds are amounts times speeds.
The profile of a machine, and the history of its jobs, have better ones.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BUILT_IN", "LOCK_SHARES", "Speeds", "Work", "seconds_of"]

#: Seconds a unit, by step and unit.
Speeds = Mapping[str, Mapping[str, float]]
#: How many units there are to do, by step and unit.
Work = Mapping[str, Mapping[str, float]]

_NS = 1e-9

# Half of what 56 sorts of fourteen inputs took on 2 cores (x86-64, pyarrow 26) of a machine
# that is half as fast as others; they are inputs of benchmarks/self_tuning.
BUILT_IN: Speeds = {
    "read": {
        "bytes": 1.1 * _NS,
        "text": 1.5 * _NS,
        "coded": 1 * _NS,
        "chunks": 1e-5,
        "tasks": 1e-3,
    },
    "prove": {
        "bytes": 0.25 * _NS,
        "text": 0.35 * _NS,
        "coded": 1.1 * _NS,
        "chunks": 5e-7,
        "tasks": 5e-4,
    },
    "classify": {"rows": 5 * _NS, "texts": 11 * _NS, "tasks": 3e-4},
    "split": {"bytes": 0.5 * _NS, "text": 0.6 * _NS, "coded": 3 * _NS, "tasks": 3e-4},
    "sort": {
        "bytes": 1 * _NS,
        "text": 0.7 * _NS,
        "rows": 11 * _NS,
        "texts": 65 * _NS,
        "tasks": 5e-4,
    },
    "write": {
        "bytes": 2 * _NS,
        "text": 2.7 * _NS,
        "coded": 2 * _NS,
        "chunks": 5e-4,
        "tasks": 5e-4,
    },
    "sample": {
        "jobs": 1e-2,
        "rows": 500 * _NS,
        "read": 25 * _NS,
        "texts": 100 * _NS,
        "files": 1.5e-4,
    },
    # Keys are read here, too. Rows are held that may be wanted, and put in order once a piece.
    "find": {"rows": 20 * _NS, "texts": 105 * _NS, "held": 100 * _NS, "tasks": 5e-4},
    "spill": {"bytes": 1.2 * _NS},
    "send": {"bytes": 0.6 * _NS},
    "start": {"jobs": 1e-3, "threads": 1e-4, "processes": 0.4},
    "publish": {"jobs": 4e-3, "parts": 6e-4, "stored": 0.3 * _NS},
    # Wall seconds of reading, sorting and writing, over thread seconds spread evenly.
    "wall": {"even_s": 1.05},
}

# Share of a step's thread time in which it holds Python's lock, with columns of usual length.
LOCK_SHARES: Mapping[str, float] = {
    "read": 0.04,
    "prove": 0.19,
    "classify": 0.1,
    "split": 0.07,
    "sort": 0.15,
    "write": 0.07,
}


def seconds_of(step: str, amounts: Mapping[str, float], speeds: Speeds) -> float:
    """Return the thread seconds that a step takes for some amounts of work."""
    speed = speeds.get(step, {})
    return sum(amount * speed.get(unit, 0.0) for unit, amount in amounts.items())
