"""Figures of the end-to-end benchmark, as Markdown for terminal and README."""

from __future__ import annotations

import contextlib
import platform
import statistics
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.engines import Outcome
from benchmarks.inputs import Job

TITLES = {
    "dlsort": "dlsort",
    "dlsort-cluster": "dlsort, processes",
    "dlsort-processes": "dlsort, processes started",
    "dask": "Dask",
    "polars": "Polars",
    "duckdb": "DuckDB",
    "copy": "copy",
}

Figures = dict[str, dict[str, Any]]  # of one job: engine name to what was measured
Cell = Callable[[str, dict[str, Any]], str]

CAVEATS = """\
- *lineitem*: TPC-H's at scale factor {scale:g} (6 million rows of 16 columns at 1). *table*:
  {table_rows:,} rows of a uniform int64 key, a float64, an int32 and a 12-byte string. 8 files
  each.
- Seconds are the median of {repeat} rounds, after one cold round in a fresh process that is
  not in it. In each round every engine has one turn. In brackets: the engine's time over
  dlsort's in the same round (median; above 1.00 dlsort was faster).
- Every engine has {threads} threads, reads the same files from the page cache, writes snappy,
  and lives in a process of its own for all rounds. Imports are not timed.
- *dlsort* sorts in one process, by threads of it, and proves the result (count,
  checksum, order), which no other engine does. *dlsort, processes* and *Dask* each have a
  cluster of {threads} one-thread processes that is kept between rounds and not timed; *dlsort,
  processes started* starts and ends its processes within the time.
- *Dask* computes its divisions in every round, as dlsort samples in every round: its cache of
  them is emptied before.
- *Polars* sorts stably on its streaming engine; *DuckDB* and *Dask* do not promise stable
  order. Polars and DuckDB write one file, dlsort and Dask one for each partition.
- *copy* reads and writes the files with pyarrow and sorts nothing: the floor for what uses
  pyarrow's Parquet code.
- Memory is what all of an engine's processes hold together, looked at ten times a second.
- Row count, order and, but for Dask, whose types differ, the checksum of all rows of each
  result were checked outside the time.\
"""


class Turn(NamedTuple):
    """One engine's turn at one job."""

    round: int
    outcome: Outcome
    peak_bytes: int
    verdict: str


def summary(turns: dict[str, list[Turn]]) -> Figures:
    """Return each engine's figures for one job, and its time over dlsort's."""
    ours = turns.get("dlsort", [])
    is_whole = bool(ours) and not any(turn.outcome.error for turn in ours)
    figures: Figures = {}
    for name, all_turns in turns.items():
        cold, *warm = all_turns
        failed = [turn.verdict for turn in all_turns if turn.verdict != "ok"]
        balances = [t.outcome.balance for t in all_turns if t.outcome.balance is not None]
        figures[name] = {
            "seconds": statistics.median(turn.outcome.seconds for turn in warm),
            "rounds": [turn.outcome.seconds for turn in warm],
            "cold": cold.outcome.seconds,
            "over_dlsort": statistics.median(
                theirs.outcome.seconds / turn.outcome.seconds
                for theirs, turn in zip(warm, ours[1:], strict=True)
            )
            if is_whole
            else None,
            "cold_over_dlsort": cold.outcome.seconds / ours[0].outcome.seconds
            if is_whole
            else None,
            "peak_bytes": max(turn.peak_bytes for turn in all_turns),
            "balance": max(balances, default=None),
            "verdict": failed[0] if failed else "ok",
        }
    return figures


def page(results: dict[Job, Figures], settings: dict[str, Any]) -> str:
    """Return the tables, what dlsort loses, and the caveats, as Markdown."""
    names = list(next(iter(results.values())))
    parts = [
        "Parquet to sorted Parquet on {machine}; {versions}; {date}.".format(**settings),
        _table("Seconds (over dlsort's)", names, results, _seconds),
        _table("Cold round, seconds", names, results, _cold),
        _table("Peak memory, GiB", names, results, _peak),
        _verdicts(results),
        CAVEATS.format(**settings),
    ]
    return "\n\n".join(parts)


def _table(title: str, names: list[str], results: dict[Job, Figures], cell: Cell) -> str:
    """Return a table with a line for each engine and a column for each job."""
    lines = [
        f"| {title} | " + " | ".join(job.title for job in results) + " |",
        "|---" + "|--:" * len(results) + "|",
    ]
    for name in names:
        cells = [cell(name, figures[name]) for figures in results.values()]
        lines.append(f"| {TITLES[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _seconds(name: str, figures: dict[str, Any]) -> str:
    if figures["verdict"] != "ok":
        return "wrong or failed"
    if name == "dlsort":
        return f"**{figures['seconds']:.2f}**"
    ratio = figures["over_dlsort"]
    return f"{figures['seconds']:.2f}" + (f" ({ratio:.2f} ×)" if ratio else "")


def _cold(_name: str, figures: dict[str, Any]) -> str:
    return f"{figures['cold']:.2f}" if figures["verdict"] == "ok" else "–"


def _peak(_name: str, figures: dict[str, Any]) -> str:
    return f"{figures['peak_bytes'] / 2**30:.1f}"


def _verdicts(results: dict[Job, Figures]) -> str:
    """Say where dlsort loses, how even its parts are, and which results are wrong."""
    losses: dict[str, list[str]] = {"over_dlsort": [], "cold_over_dlsort": []}
    failures: dict[str, list[str]] = {}
    balances: list[float] = []
    for job, all_figures in results.items():
        for name, figures in all_figures.items():
            if figures["balance"] is not None:
                balances.append(figures["balance"])
            if figures["verdict"] != "ok":
                failures.setdefault(f"{TITLES[name]}: {figures['verdict']}", []).append(
                    job.title
                )
            elif not name.startswith(("dlsort", "copy")):
                for which, found in losses.items():
                    ratio = figures[which]
                    if ratio and ratio < 1:
                        what = f"to {TITLES[name]} on {job.title} ({1 / ratio:.2f} × its time)"
                        found.append(what)
    lines = []
    if all(figures.get("dlsort", {}).get("verdict") == "ok" for figures in results.values()):
        for when, found in zip(("", "In the cold round "), losses.values(), strict=True):
            lines.append(f"{when}**dlsort loses** {'; '.join(found) or 'to none of these'}.")
    if balances:
        lines.append(f"Its largest partition was at most {max(balances):.3f} × the mean.")
    lines += [
        f"Wrong or failed: {what} ({'; '.join(jobs)})." for what, jobs in failures.items()
    ]
    return " ".join(lines)


def machine() -> str:
    """Return what this machine is, in a line."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = psutil.virtual_memory().total / 2**30
    return f"{model}, {psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def versions() -> str:
    """Return the versions of all that takes part, in a line."""
    packages = ("dlsort", "dask", "pyarrow", "numpy", "numba", "pandas", "polars", "duckdb")
    found = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", *found])


def readme_around(readme: Path, section: str) -> tuple[str, str]:
    """Return the page up to where a benchmark's tables belong, and from there on."""
    begin, end = f"<!-- benchmark:{section} -->", "<!-- /benchmark -->"
    head, found, rest = readme.read_text(encoding="utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        msg = f"{readme} has no lines {begin} and {end}: add them where the tables belong."
        raise ValueError(msg)
    return f"{head}{begin}\n", f"\n{end}{tail}"


def write_readme(text: str, readme: Path, section: str) -> None:
    """Put the text between a benchmark's markers in the page."""
    head, tail = readme_around(readme, section)
    readme.write_text(f"{head}{text}{tail}", encoding="utf-8")
