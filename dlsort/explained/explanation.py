"""Explanation: a plan as a tree in text, as JSON, and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from dlsort.page.tables import STYLE, heading, preformatted, table
from dlsort.page.write import write_whole
from dlsort.sizes import format_bytes
from dlsort.wording import count, printable, whole, wrapped

__all__ = ["Explanation", "Phase"]

_NARROWEST, _WIDEST = 60, 80
_MOST_SHOWN = 8  # plans that were not taken
_OWN = ("start", "sample", "publish")  # phases of one step
_CELLS = (9, 11, 10, 10)
_HEAD = ["", "rows", "bytes", "wall", "threads"]


@dataclass(frozen=True)
class Phase:
    """A phase of a plan.

    Parameters
    ----------
    name : str
        open, start, sample, partition, sort or publish.
    rows, bytes : int or None
        What goes through it.
    seconds : float or None
        By the clock.
    steps : dict of str to float
        Thread seconds by step.
    is_measured : bool
        It is done: the seconds are those that it took.
    """

    name: str
    rows: int | None
    bytes: int | None
    seconds: float | None
    steps: Mapping[str, float]
    is_measured: bool = False


@dataclass(frozen=True)
class Explanation:
    """What :func:`dlsort.explain` tells of a sort; printed, it is a tree.

    Parameters
    ----------
    src, dst, by : str
        As given; ``by`` in the form of ``--by``; ``dst`` may be empty.
    told_by : str
        What the figures are from: built-in ones, this machine's profile, its runs.
    predicted_seconds : float or None
        Of the clock, all phases together; None: not known.
    source : dict
        ``rows``, ``files`` (or ``partitions`` of a frame), ``stored_bytes``, ``arrow_bytes``.
    plan : dict
        ``strategy``, ``parts``, ``inputs``, ``processes`` (0: this one), ``threads``, and more.
    predicted : dict
        As in :attr:`dlsort.SortReport.predicted`.
    pinned : dict
        What the caller has fixed of the plan.
    phases : list of Phase
        In their order.
    alternatives : list of dict
        Plans that were not taken: their shape, ``predicted_seconds``, ``memory_bytes``,
        ``why_not``.
    notes : list of str
        What else there is to know, and what is not known and why.
    """

    src: str
    dst: str
    by: str
    told_by: str
    predicted_seconds: float | None
    source: Mapping[str, Any]
    plan: Mapping[str, Any]
    predicted: Mapping[str, Any] = field(default_factory=dict)
    pinned: Mapping[str, Any] = field(default_factory=dict)
    phases: Sequence[Phase] = ()
    alternatives: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain numbers and strings, ``predicted_seconds`` first."""
        return {"predicted_seconds": self.predicted_seconds, **asdict(self)}

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=2, default=str)

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self, columns: int | None = None) -> str:
        """Return it for people.

        Parameters
        ----------
        columns : int, optional
            How wide the terminal is: lines are of 60 to 80 columns, the latter by default.
        """
        width = max(_NARROWEST, min(columns or _WIDEST, _WIDEST))
        lines = [part for line in self._lines() for part in wrapped(line, width)]
        if self.phases:
            lines += ["", *self._tree()]
        if self.alternatives:
            lines += ["", "not taken, cheapest first:"]
            lines += [part for line in self._others() for part in wrapped(line, width)]
        return "\n".join(lines)

    def to_html(self) -> str:
        """Return it as a page that needs no other file, and no script."""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>dlsort: the plan of {escape(printable(self.src))}</title></head>"
            f"<body>{self._repr_html_()}</body></html>"
        )

    def write(self, path: str | Path, format: str = "text") -> None:
        """Write it to a file, as ``text``, ``json`` or ``html``; whole or not at all."""
        made = {"json": self.to_json, "html": self.to_html}.get(format, self.to_text)
        write_whole(Path(path), f"{made()}\n".encode())

    def _repr_html_(self) -> str:
        """Return it as a notebook shows it."""
        rows = [[f"{'  ' * deep}{name}", *cells] for deep, name, cells in self._rows()]
        body = preformatted("\n".join(part for ln in self._lines() for part in wrapped(ln, 80)))
        if rows:
            body += heading("The plan") + table(_HEAD, rows)
        if self.alternatives:
            others = [
                [_named(a), f"{a['predicted_seconds']:.3f} s", _bytes(a["memory_bytes"]), why]
                for a in self._by_cost()
                for why in [a["why_not"]]
            ]
            head = ["plan", "predicted", "memory", "why not"]
            body += heading("Plans that were not taken") + table(head, others)
        return f'<style>{STYLE}</style><div class="dlsort">{body}</div>'

    def _lines(self) -> list[str]:
        source, plan, told = self.source, self.plan, self.predicted
        rows = "rows unknown" if source["rows"] is None else count(source["rows"], "row")
        size = source["arrow_bytes"]
        parts = [rows]
        if "files" in source:
            parts += [
                count(source["files"], "file"),
                _bytes(source["stored_bytes"]) + " stored",
            ]
        else:
            parts += [count(source["partitions"], "partition")]
        parts += [] if size is None else [f"{_bytes(size)} in memory"]
        lines = [f"sort       by {whole(self.by)}", f"from       {whole(self.src)}"]
        lines.append(f"           {', '.join(parts)}")
        if self.dst:
            lines.append(f"to         {whole(self.dst)}")
        lines.append(f"plan       {_named(plan)}")
        if plan.get("input_bytes"):
            lines[-1] += f" of up to {_bytes(plan['input_bytes'])}"
        if self.pinned:
            pins = ", ".join(f"{name} {value}" for name, value in self.pinned.items())
            lines.append(f"pinned     {printable(pins)}")
        if self.predicted_seconds is not None:
            lines.append(f"predicted  {self.predicted_seconds:.2f} s (told by {self.told_by})")
        if told:
            limit = plan.get("memory_limit_bytes")
            lines.append(
                f"memory     peak {_bytes(told['memory_bytes'])}"
                + (f" of {_bytes(limit)}" if limit else "")
                + f"; spilled {_bytes(told['spilled_bytes'])}, sent "
                f"{_bytes(told['sent_bytes'])}; balance {told['balance']:.3f}"
            )
        lines += [f"note       {note}" for note in self.notes]
        return lines

    def _rows(self) -> list[tuple[int, str, list[str]]]:
        """Return depth, name and cells of each line of the tree."""
        rows = []
        for phase in self.phases:
            threads_s = sum(phase.steps.values())
            cells = [
                "" if phase.rows is None else f"{phase.rows:,}",
                "" if phase.bytes is None else _bytes(phase.bytes),
                "" if phase.seconds is None else f"{phase.seconds:.3f} s",
                f"{threads_s:.3f} s" if phase.steps else "",
            ]
            rows.append((0, phase.name + (" (done)" if phase.is_measured else ""), cells))
            if phase.name not in _OWN:
                for step, s in phase.steps.items():
                    rows.append((1, step, ["", "", "", f"{s:.3f} s"]))
        return rows

    def _tree(self) -> list[str]:
        rows = self._rows()
        widths = [max(w, *(len(row[2][i]) for row in rows)) for i, w in enumerate(_CELLS)]
        lines = [_line("", _HEAD[1:], widths)]
        for i, (deep, name, cells) in enumerate(rows):
            below = [d for d, *_ in rows[i + 1 :]]
            goes_on = 0 in below
            if deep == 0:
                head = "├─ " if goes_on else "└─ "
            else:
                head = ("│  " if goes_on else "   ") + ("├─ " if below[:1] == [1] else "└─ ")
            lines.append(_line(head + name, cells, widths))
        return lines

    def _others(self) -> list[str]:
        found = self._by_cost()
        lines = [
            f"{a['predicted_seconds']:7.2f} s  {_named(a)}; {_bytes(a['memory_bytes'])}: "
            f"{a['why_not']}"
            for a in found[:_MOST_SHOWN]
        ]
        more = len(found) - _MOST_SHOWN
        return lines + ([f"           and {count(more, 'more plan')}"] if more > 0 else [])

    def _by_cost(self) -> list[Mapping[str, Any]]:
        return sorted(self.alternatives, key=lambda a: a["predicted_seconds"])


def _line(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    shown = "  ".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
    return f"{name:<20}  {shown}".rstrip()


def _named(plan: Mapping[str, Any]) -> str:
    n = plan["processes"]
    where = f"{n:,} process{'' if n == 1 else 'es'}, " if n else ""
    threads = f"{count(plan['threads'], 'thread')}, " if plan["threads"] else ""
    sizes = f"{count(plan['parts'], 'part')}, {count(plan['inputs'], 'input')}"
    return f"{plan['strategy']}: {where}{threads}{sizes}"


def _bytes(n_bytes: float) -> str:
    return format_bytes(int(n_bytes))
