"""Figures: medians with their spread, ratios, rates and dollars; and what dlsort loses."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dlsort.bench.engines import TITLES
from dlsort.bench.rounds import Turn

__all__ = ["OURS", "Figures", "Resources", "Size", "losses", "rates", "summary", "wrong"]

#: Whose turns the others are compared with: the first of them that takes part.
OURS = ("dlsort", "dlsort-cluster")

Figures = dict[str, dict[str, Any]]  # of one job: engine name to what was measured


class Size(NamedTuple):
    """How much is sorted: rows, bytes as stored, and bytes in memory, without compression."""

    rows: int
    stored_bytes: int
    memory_bytes: int


class Resources(NamedTuple):
    """What an engine had: cores, machines, and dollars an hour for one machine, if told."""

    cores: int
    machines: int
    price: float | None = None


def summary(turns: Mapping[str, Sequence[Turn]]) -> Figures:
    """Return each engine's figures for one job, and its time over dlsort's.

    Seconds are medians of the rounds after the cold one; without such a round, that one.
    Ratios are medians of those within a round. A job that was stopped may have fewer rounds of
    some engines.
    """
    ours = next((turns[name] for name in OURS if name in turns), [])
    is_whole = bool(ours) and all(turn.verdict == "ok" for turn in ours)
    figures: Figures = {}
    for name, all_turns in turns.items():
        if not all_turns:
            continue
        cold, *warm = all_turns
        warm = warm or [cold]
        seconds = [turn.outcome.seconds for turn in warm]
        failed = [turn.verdict for turn in all_turns if turn.verdict != "ok"]
        balances = [t.outcome.balance for t in all_turns if t.outcome.balance is not None]
        of_round = {turn.round: turn for turn in ours}
        ratios = [
            turn.outcome.seconds / of_round[turn.round].outcome.seconds
            for turn in warm
            if is_whole and turn.round in of_round
        ]
        figures[name] = {
            "seconds": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
            "rounds": [turn.outcome.seconds for turn in all_turns[1:]],
            "cold": cold.outcome.seconds,
            "over_dlsort": statistics.median(ratios) if ratios else None,
            "cold_over_dlsort": cold.outcome.seconds / ours[0].outcome.seconds
            if is_whole
            else None,
            "peak_bytes": max(turn.peak_bytes for turn in all_turns),
            "balance": max(balances, default=None),
            "verdict": failed[0] if failed else "ok",
        }
    return figures


def rates(seconds: float, size: Size, resources: Resources) -> dict[str, float | None]:
    """Return rows a second, MB/s a core (of bytes in memory, and stored), and $ a TB.

    A MB has 10**6 bytes, a TB 10**12. Dollars are those of all machines for these seconds, as
    if they were rented by the second, for bytes in memory.

    Examples
    --------
    >>> rates(10.0, Size(100, 2 * 10**9, 4 * 10**9), Resources(2, 1, 3.6))["mb_s_core"]
    200.0
    """
    if seconds <= 0:
        return dict.fromkeys(("rows_s", "mb_s_core", "stored_mb_s_core", "dollars_tb"))
    a_core = seconds * resources.cores * 1e6
    hours = seconds / 3600 * resources.machines
    terabytes = size.memory_bytes / 1e12
    priced = resources.price is not None and terabytes > 0
    return {
        "rows_s": size.rows / seconds,
        "mb_s_core": size.memory_bytes / a_core,
        "stored_mb_s_core": size.stored_bytes / a_core,
        "dollars_tb": hours * (resources.price or 0.0) / terabytes if priced else None,
    }


def losses(results: Mapping[str, Figures], when: str = "over_dlsort") -> list[str]:
    """Return to whom dlsort loses, on which job and by how much; copies sort nothing.

    Parameters
    ----------
    results : mapping of str to Figures
        By the title of the job.
    when : {"over_dlsort", "cold_over_dlsort"}
        The medians of the warm rounds, or the cold round.
    """
    return [
        f"to {TITLES[name]} on {title} ({1 / figures[when]:.2f} × its time)"
        for title, of_job in results.items()
        for name, figures in of_job.items()
        if not name.startswith(("dlsort", "copy")) and figures["verdict"] == "ok"
        if figures[when] and figures[when] < 1
    ]


def wrong(results: Mapping[str, Figures]) -> list[str]:
    """Return which results were wrong, or failed, and on which jobs."""
    found: dict[str, list[str]] = {}
    for title, of_job in results.items():
        for name, figures in of_job.items():
            if figures["verdict"] != "ok":
                found.setdefault(f"{TITLES[name]}: {figures['verdict']}", []).append(title)
    return [f"{what} ({'; '.join(titles)})" for what, titles in found.items()]
