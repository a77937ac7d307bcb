"""Speeds: seconds a unit of work takes, step by step, before anything was measured here.

Each step of a job (read, prove, …) does an amount of work in a few units (bytes of numbers,
bytes of text, …; :mod:`dlsort.planner.work`). Its thread seconds are amounts times speeds.
The profile of a machine, and the history of its jobs, have better ones.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BUILT_IN", "LOCK_SHARES", "Speeds", "Work", "seconds_of"]

Speeds = Mapping[str, Mapping[str, float]]
Work = Mapping[str, Mapping[str, float]]

_NS = 1e-9

# Fitted to 40 sorts of lineitem and of eight other inputs on 2 cores (x86-64, pyarrow 26).
BUILT_IN: Speeds = {
    "read": {"bytes": 0.55 * _NS, "text": 0.9 * _NS, "coded": 2.0 * _NS, "chunks": 4e-5},
    "prove": {"bytes": 0.2 * _NS, "text": 0.35 * _NS, "coded": 1.0 * _NS, "chunks": 5e-6},
    "classify": {"rows": 8 * _NS, "texts": 30 * _NS, "tasks": 5e-4},
    "split": {"bytes": 0.4 * _NS, "text": 0.6 * _NS, "coded": 1.2 * _NS, "tasks": 1e-3},
    "sort": {"bytes": 0.4 * _NS, "text": 0.6 * _NS, "rows": 15 * _NS, "texts": 60 * _NS},
    "write": {"bytes": 1.5 * _NS, "text": 1.2 * _NS, "coded": 5 * _NS, "chunks": 5e-5},
    "sample": {"jobs": 5e-3, "rows": 60 * _NS, "chunks": 1e-3},
    "spill": {"bytes": 1.2 * _NS},
    "send": {"bytes": 0.6 * _NS},
    "start": {"jobs": 2e-3, "threads": 1e-3, "processes": 0.9},
    "publish": {"jobs": 2e-3, "parts": 3e-4},
    # Wall seconds of reading, sorting and writing, over thread seconds spread evenly.
    "wall": {"even_s": 1.08},
}

# Share of a step's thread time in which it holds Python's lock, with columns of usual length.
LOCK_SHARES: Mapping[str, float] = {
    "read": 0.05,
    "prove": 0.06,
    "classify": 0.05,
    "split": 0.05,
    "sort": 0.06,
    "write": 0.03,
}


def seconds_of(step: str, amounts: Mapping[str, float], speeds: Speeds) -> float:
    """Return the thread seconds that a step takes for some amounts of work."""
    speed = speeds.get(step, {})
    return sum(amount * speed.get(unit, 0.0) for unit, amount in amounts.items())
