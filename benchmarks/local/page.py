"""Figures of the local-sort benchmark, as Markdown for terminal and README."""

from __future__ import annotations

import math
from typing import Any

PEERS = [
    "dlsort",
    "np.argsort",
    "np.argsort stable",
    "np.sort",
    "np.sort stable",
    "pandas",
    "Polars",
    "Polars stable",
    "DuckDB",
    "pyarrow",
]
# These have no more to compare with: they sort on one thread.
ONE_THREAD = (
    "np.argsort",
    "np.argsort stable",
    "np.sort",
    "np.sort stable",
    "pandas",
    "pyarrow",
)
# Not row numbers: shown, but no match for an argsort.
VALUES_ONLY = ("np.sort", "np.sort stable")

Row = dict[str, Any]

CAVEATS = """\
- Milliseconds are the median of {repeat} rounds after a first one; in each round every engine
  has one turn in the same process. A peer that takes over 1.2 s is timed once. × is the peer's
  time over dlsort's: above 1.00 dlsort was faster.
- Each engine sorts values in its own form (NumPy arrays, Polars and DuckDB columns, Arrow);
  bringing them there is not timed, bringing row numbers back to NumPy is.
- *np.sort* gives sorted values without row numbers: less work, shown as a floor.
- NumPy, pandas and pyarrow sort on one thread, so they are compared on one thread.
- dlsort, *stable* and pandas keep the order of equal keys; np.argsort, Polars and DuckDB do
  not promise to. Every result was checked.\
"""


def line(row: Row) -> str:
    """Return one case's figures in a line."""
    if "dlsort" not in row["seconds"]:
        return f"{row['threads']} thr · {row['name']}: dlsort {row['verdicts'].get('dlsort')}"
    ratios = ", ".join(
        f"{name} {ratio:.2f}" for name, ratio in row["over_dlsort"].items() if name != "dlsort"
    )
    wrong = {
        k: v for k, v in row["verdicts"].items() if v not in ("stable", "sorted", "values")
    }
    return (
        f"{row['threads']} thr · {row['rows']:,} {row['name']}: "
        f"{row['seconds']['dlsort'] * 1e3:.2f} ms ({row['verdicts']['dlsort']}); {ratios}"
        f"{f'; {wrong}' if wrong else ''}"
    )


def page(rows: list[Row], settings: dict[str, Any]) -> str:
    """Return a table a thread count, best and worst, and what dlsort loses."""
    parts = ["Sorts in one process on {machine}; {versions}; {date}.".format(**settings)]
    for threads in sorted({row["threads"] for row in rows}):
        of_count = [row for row in rows if row["threads"] == threads]
        parts += [_table(threads, of_count), _summary(of_count)]
    parts += [_losses(rows), CAVEATS.format(**settings)]
    return "\n\n".join(parts)


def _table(threads: int, rows: list[Row]) -> str:
    peers = [p for p in PEERS if p != "dlsort" and any(p in r["seconds"] for r in rows)]
    plural = "thread" if threads == 1 else "threads"
    lines = [
        f"| {threads} {plural}: rows, keys | dlsort, ms | " + " | ".join(peers) + " |",
        "|---|--:" + "|--:" * len(peers) + "|",
    ]
    for row in rows:
        ratios = row["over_dlsort"]
        cells = [f"{ratios[p]:.2f} ×" if p in ratios else "–" for p in peers]
        ours = row["seconds"].get("dlsort", math.nan) * 1e3
        lines.append(
            f"| {row['rows']:,} {row['name']} | **{ours:.4g}** | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def _summary(rows: list[Row]) -> str:
    """Say the best, the worst and the geometric mean against each peer."""
    lines = []
    for peer in PEERS[1:]:
        ratios = {
            f"{row['rows']:,} {row['name']}": row["over_dlsort"][peer]
            for row in rows
            if peer in row["over_dlsort"]
        }
        if ratios:
            best, worst = (
                max(ratios, key=ratios.__getitem__),
                min(ratios, key=ratios.__getitem__),
            )
            mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
            lines.append(
                f"- against {peer}: {mean:.1f} × on (geometric) average, at best "
                f"{ratios[best]:.1f} × ({best}), at worst {ratios[worst]:.2f} × ({worst})"
            )
    return "\n".join(lines)


def _losses(rows: list[Row]) -> str:
    lost, wrong = [], []
    for row in rows:
        for peer, ratio in row["over_dlsort"].items():
            if ratio < 1 and peer not in ("dlsort", *VALUES_ONLY):
                threads = row["threads"]
                lost.append(
                    f"{row['rows']:,} {row['name']} on {threads} to {peer} ({ratio:.2f} ×)"
                )
        wrong += [
            f"{peer} on {row['name']}: {verdict}"
            for peer, verdict in row["verdicts"].items()
            if verdict == "wrong" or (peer == "dlsort" and verdict != "stable")
        ]
    text = f"**dlsort loses** {'; '.join(lost)}." if lost else "dlsort loses to none of these."
    return text + (f" Wrong: {'; '.join(wrong)}." if wrong else "")
