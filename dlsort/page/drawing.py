"""Drawings of a page as SVG, which need no script and no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["PHASE_COLORS", "bars", "curves", "timeline"]

PHASE_COLORS = {
    "open": "#9e9e9e",
    "start": "#bdbdbd",
    "sample": "#e6a23c",
    "partition": "#4a7fb5",
    "sort": "#5a9e6f",
    "publish": "#8d6cab",
}
_WIDTH, _LEFT, _RIGHT = 900, 170, 90
_ROW, _BAR, _AXIS = 18, 13, 26
_MOST_LANES = 40
_OTHER = "#777777"

Span = tuple[str, str, float, float]


def timeline(spans: Sequence[Span], seconds: float) -> str:
    """Return who did what when: a row for each lane, in the order in which they come.

    Parameters
    ----------
    spans : sequence of (str, str, float, float)
        Lane, phase, and seconds when it began and ended. Lanes after the first 40 are left out.
    seconds : float
        How long all of it took.
    """
    lanes = list(dict.fromkeys(lane for lane, *_ in spans))[:_MOST_LANES]
    row_of = {lane: i for i, lane in enumerate(lanes)}
    parts = [_named(lane[:26], i * _ROW + 11) for lane, i in row_of.items()]
    for lane, phase, began, ended in spans:
        if lane in row_of:
            x, width = _x(began, seconds), max(_x(ended, seconds) - _x(began, seconds), 0.5)
            parts.append(
                f'<rect x="{x:.1f}" y="{row_of[lane] * _ROW}" width="{width:.1f}" '
                f'height="{_BAR}" fill="{PHASE_COLORS.get(phase, _OTHER)}">'
                f"<title>{escape(phase)}: {began:.2f} to {ended:.2f} s</title></rect>"
            )
    height = len(lanes) * _ROW
    phases = [name for name in PHASE_COLORS if any(span[1] == name for span in spans)]
    for i, name in enumerate(phases):
        x, y = _LEFT + i * 95, height + _AXIS + 6
        parts.append(
            f'<rect x="{x}" y="{y}" width="11" height="11" fill="{PHASE_COLORS[name]}"/>'
            f'<text x="{x + 16}" y="{y + 10}">{name}</text>'
        )
    return _svg(height + _AXIS + 24, [*parts, _axis(height, seconds)], "phases and threads")


def curves(
    lines: Mapping[str, tuple[Sequence[tuple[float, float]], float, str, str]], seconds: float
) -> str:
    """Return curves over time, a panel for each.

    Parameters
    ----------
    lines : mapping
        By name: points of seconds and value, the greatest value to show, what is written there,
        and a color.
    seconds : float
        How long all of it took; what was looked at later stands at the end.
    """
    panel = 46
    parts = []
    for i, (name, (points, most, told, color)) in enumerate(lines.items()):
        bottom = i * (panel + 8) + panel
        at = " ".join(
            f"{_x(min(x, seconds), seconds):.1f},"
            f"{bottom - panel * (min(y / most, 1.0) if most else 0):.1f}"
            for x, y in points
        )
        parts.append(
            f"{_named(name, bottom - panel / 2 + 4)}"
            f'<line x1="{_LEFT}" y1="{bottom}" x2="{_WIDTH - _RIGHT}" y2="{bottom}" '
            'stroke="#cccccc"/>'
            f'<polyline points="{at}" fill="none" stroke="{color}" stroke-width="1.5"/>'
            f'<text x="{_WIDTH - _RIGHT + 6}" y="{bottom - panel + 10}">{escape(told)}</text>'
        )
    height = len(lines) * (panel + 8)
    return _svg(height + _AXIS, [*parts, _axis(height, seconds)], "use of resources")


def bars(values: Mapping[str, tuple[float, float, float]], unit: str) -> str:
    """Return a bar for each name, with its least and most as a line.

    Parameters
    ----------
    values : mapping of str to (float, float, float)
        Median, least and most.
    unit : str
        What they count.
    """
    most = max((each[2] for each in values.values()), default=0.0) or 1.0
    parts = []
    for i, (name, (median, low, high)) in enumerate(values.items()):
        y, color = i * _ROW, "#5a9e6f" if name.startswith("dlsort") else "#9fb3c8"
        middle = y + _BAR / 2
        parts.append(
            f"{_named(name, y + 11)}"
            f'<rect x="{_LEFT}" y="{y}" width="{_x(median, most) - _LEFT:.1f}" height="{_BAR}" '
            f'fill="{color}"/>'
            f'<line x1="{_x(low, most):.1f}" y1="{middle}" x2="{_x(high, most):.1f}" '
            f'y2="{middle}" stroke="#333333"/>'
            f'<text x="{_x(high, most) + 6:.1f}" y="{y + 11}">{median:.2f} '
            f"{escape(unit)}</text>"
        )
    return _svg(len(values) * _ROW + 4, parts, f"bars, in {unit}")


def _named(name: str, y: float) -> str:
    return f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{escape(name)}</text>'


def _x(at: float, whole: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at / whole if whole else 0.0)


def _axis(y: float, seconds: float) -> str:
    ticks = []
    for i in range(6):
        at = seconds * i / 5
        ticks.append(
            f'<line x1="{_x(at, seconds):.1f}" y1="{y}" x2="{_x(at, seconds):.1f}" '
            f'y2="{y + 4}" stroke="#999999"/><text x="{_x(at, seconds):.1f}" y="{y + 17}" '
            f'text-anchor="middle">{at:.2f} s</text>'
        )
    return "".join(ticks)


def _svg(height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" width="{_WIDTH}" height="{height:g}" '
        f'role="img" aria-label="{escape(label)}" font-size="11" fill="#222222">'
        f"{''.join(parts)}</svg>"
    )
