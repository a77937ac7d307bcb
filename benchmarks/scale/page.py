"""Figures of the scale benchmark, as lines for the terminal and Markdown for the README."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np

from benchmarks.scale.cases import GIB, SKEW_PARTS, SKEW_ROWS, WIDE
from dlsort.bench.engines import TITLES

FIT_FROM = 10  # the growth exponent is that from so many millions of rows on

CAVEATS = """\
- *rows*, *partitions*: a uniform int64 key, a float64, an int32 and a 12-byte string;
  *partitions* with 20 million rows. *memory*: TPC-H lineitem by l_shipdate, l_orderkey,
  l_linenumber on 2 worker processes; the limit is the whole job's. *skew*: {rows:,} rows in
  {parts} partitions. *wide*: {wide:,} files of 500 rows. *small*: files of 100 rows, in
  processes that have sorted them once before, on 2 threads; Polars too.
- *DuckDB* sorts the same files by the same key in the same round, on 2 threads, with that limit
  as its `memory_limit`, to one snappy file; it may spill to the same disk. In brackets: its
  time over dlsort's in the same round (median; above 1.00 dlsort was faster). It proves
  nothing, and does not promise stable order.
- Each case runs in a fresh process, whose start and imports are not timed; a cluster's start
  and the proof are. The source is read once before, so that each finds as much of it in the
  page cache as fits there. *peak* is the resident memory of all its processes together,
  dlsort's client and scheduler among them, and memory that two share counted for both; bold
  where it was above the limit. *one process* is that of its largest worker. Both are seen from
  outside ten times a second. Row count, checksum and order of every result were checked again,
  outside the time.\
"""


@dataclass
class Found:
    """What a case gave; bytes of resident memory as seen from outside."""

    section: str
    title: str
    engine: str
    verdict: str
    rows: int = 0
    parts: int = 0
    seconds: float = 0.0
    balance: float = 0.0
    peak_bytes: int = 0
    largest_process_bytes: int = 0
    limit_bytes: int = 0
    spilled_bytes: int | None = None
    arrow_bytes: int = 0


Rounds = dict[str, list[Found]]  # of one case: each engine's, in turn


def line(found: Found) -> str:
    """Return one sort's figures in a line."""
    words = [
        f"{found.section} · {found.title} · {TITLES[found.engine]}: {found.seconds:.2f} s",
        f"balance {found.balance:.3f}",
        f"peak {found.peak_bytes / GIB:.2f} GiB",
        f"one process {found.largest_process_bytes / GIB:.2f}",
        f"spilled {_spilled([found])}",
        found.verdict,
    ]
    return ", ".join(words)


def exponent(found: list[Found]) -> float:
    """Return the slope of log seconds over log rows, from ten million rows on."""
    by_rows: dict[int, list[float]] = {}
    for case in found:
        if case.rows >= FIT_FROM * 1_000_000:
            by_rows.setdefault(case.rows, []).append(case.seconds)
    rows = np.log(list(by_rows))
    seconds = np.log([statistics.median(times) for times in by_rows.values()])
    return float(np.polyfit(rows, seconds, 1)[0]) if len(by_rows) > 1 else float("nan")


def page(results: dict[str, list[Rounds]], where: str) -> str:
    """Return all figures as Markdown; of several rounds their medians and worst."""
    lines = [f"On {where}.", ""]
    head = "| {} | seconds | M rows/s | peak, GiB | one process | limit | spilled | balance | |"
    for section, cases in results.items():
        lines += [head.format(section), "|---|--:|--:|--:|--:|--:|--:|--:|---|"]
        for case in cases:
            lines += [_row(engine, case) for engine in case]
        if section == "rows":
            every = [one for case in cases for one in case["dlsort"]]
            lines += ["", f"Growth exponent from {FIT_FROM} M rows on: {exponent(every):.3f}."]
        if losses := [loss for case in cases for loss in _losses(case)]:
            lines += ["", f"**dlsort loses** {'; '.join(losses)}."]
        lines.append("")
    return "\n".join([*lines, CAVEATS.format(rows=SKEW_ROWS, parts=SKEW_PARTS, wide=WIDE)])


def _row(engine: str, case: Rounds) -> str:
    """Return a line of a table. One that failed shows what it held, and no times."""
    rounds = case[engine]
    first = rounds[0]
    seconds = statistics.median(one.seconds for one in rounds)
    peak_bytes = max(one.peak_bytes for one in rounds)
    peak = f"{peak_bytes / GIB:.2f}"
    balance = max(one.balance for one in rounds)
    good = _worst(rounds) == "ok"
    ratio = _over_dlsort(engine, case)
    cells = [
        first.title if len(case) == 1 else f"{first.title}: {TITLES[engine]}",
        (f"{seconds:.2f}" + (f" ({ratio:.2f} ×)" if ratio else "")) if good else "–",
        f"{first.rows / seconds / 1e6:.1f}" if good else "–",
        f"**{peak}**" if 0 < first.limit_bytes < peak_bytes else peak,
        f"{max(one.largest_process_bytes for one in rounds) / GIB:.2f}",
        f"{first.limit_bytes / GIB:.1f}" if first.limit_bytes else "–",
        _spilled(rounds),
        f"{balance:.3f}" if balance else "–",
        _worst(rounds),
    ]
    return f"| {' | '.join(cells)} |"


def _spilled(rounds: list[Found]) -> str:
    """Return the most that was spilled, in GiB, or a dash for engines that don't tell."""
    told = [one.spilled_bytes for one in rounds if one.spilled_bytes is not None]
    if not told:
        return "–"
    arrow_bytes = max(one.arrow_bytes for one in rounds)
    share = f" ({max(told) / arrow_bytes:.2f} × Arrow)" if max(told) else ""
    return f"{max(told) / GIB:.2f}{share}"


def _over_dlsort(engine: str, case: Rounds) -> float | None:
    """Return a peer's time over dlsort's, or None where there are not both."""
    ours, theirs = case["dlsort"], case[engine]
    if engine == "dlsort" or _worst(ours) != "ok" or _worst(theirs) != "ok":
        return None
    pairs = zip(theirs, ours, strict=True)
    return statistics.median(peer.seconds / mine.seconds for peer, mine in pairs)


def _losses(case: Rounds) -> list[str]:
    """Say which peers are faster, or have a good result where dlsort has none."""
    losses = []
    for engine in case:
        ratio = _over_dlsort(engine, case)
        what = f"to {TITLES[engine]} with {case['dlsort'][0].title}"
        if ratio and ratio < 1:
            losses.append(f"{what} ({1 / ratio:.2f} × its time)")
        elif _worst(case["dlsort"]) != "ok" and _worst(case[engine]) == "ok":
            losses.append(f"{what} (dlsort fails)")
    return losses


def _worst(rounds: list[Found]) -> str:
    return next((one.verdict for one in rounds if one.verdict != "ok"), "ok")
