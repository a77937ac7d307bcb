"""What a terminal shows of a comparison: what dlsort loses, and a table a race."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from dlsort.bench.page import verdict_lines
from dlsort.wording import count, scaled

__all__ = ["shown"]


def shown(document: Mapping[str, Any], width: int) -> str:
    """Return it as lines of no more than ``width`` columns."""
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    for line in verdict_lines(document):
        console.print(line)
    for race in document["races"]:
        console.print()
        console.print(_table(race))
    return str(console.file.getvalue().rstrip())  # type: ignore[attr-defined]


def _table(race: Mapping[str, Any]) -> Table:
    title = f"{race['suite']}: {race['title']}, {count(race['size']['rows'], 'row')}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="")
    for name in ("engine", "seconds", "least–most", "× dlsort", "rows/s", "MB/s a core"):
        table.add_column(name, justify="left" if name == "engine" else "right", no_wrap=True)
    table.add_column("result")
    for figures in race["engines"].values():
        if figures["verdict"] != "ok":
            table.add_row(figures["title"], *["–"] * 5, figures["verdict"])
            continue
        ratio = figures["over_dlsort"]
        table.add_row(
            figures["title"],
            f"{figures['seconds']:.2f}",
            f"{figures['least']:.2f}–{figures['most']:.2f}",
            "–" if ratio is None else f"{ratio:.2f}",
            scaled(figures["rows_s"]),
            f"{figures['mb_s_core']:.1f}",
            "checked",
        )
    return table
