"""Figures of the end-to-end benchmark, as Markdown for terminal and README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.inputs import Job
from dlsort.bench.engines import TITLES
from dlsort.bench.figures import Figures, losses, wrong
from dlsort.bench.hosts import machine, versions

__all__ = ["machine", "page", "readme_around", "versions", "write_readme"]

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
- Row count, order and the checksum of all rows of each result were checked outside the time;
  of Dask's, whose types differ, after a cast to the source's types where there is one.\
"""


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
    by_title = {job.title: figures for job, figures in results.items()}
    balances = [
        figures["balance"]
        for of_job in results.values()
        for figures in of_job.values()
        if figures["balance"] is not None
    ]
    lines = []
    if all(figures.get("dlsort", {}).get("verdict") == "ok" for figures in results.values()):
        for when, where in (("", "over_dlsort"), ("In the cold round ", "cold_over_dlsort")):
            lost = "; ".join(losses(by_title, where)) or "to none of these"
            lines.append(f"{when}**dlsort loses** {lost}.")
    if balances:
        lines.append(f"Its largest partition was at most {max(balances):.3f} × the mean.")
    lines += [f"Wrong or failed: {each}." for each in wrong(by_title)]
    return " ".join(lines)


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
