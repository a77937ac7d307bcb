"""SVG: lines, boxes and words of the figures, the same text on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

# Seen on white and on black.
GREY, BLUE, ORANGE, GREEN, RED = "#808080", "#3f7fbf", "#d07a20", "#3f9f5f", "#c04a4a"
COLOURS = (BLUE, ORANGE, GREEN, RED)


class Drawing:
    """A figure of some width and height, in pixels, to which shapes are added."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" font-family="sans-serif" '
            f'font-size="13">\n<title>{escape(title)}</title>'
        )
        self._shapes: list[str] = []

    def line(
        self, points: Sequence[tuple[float, float]], colour: str = GREY, width: float = 1.5
    ) -> None:
        """Add a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        """Add a line that ends in a dot: where rows go."""
        self.line([start, end], colour)
        self._shapes.append(
            f'<circle cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="3" fill="{colour}"/>'
        )

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Add a box whose upper left corner is at x, y."""
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="{colour}" fill-opacity="0.35" stroke="{colour}"/>'
        )

    def text(self, x: float, y: float, words: str, anchor: str = "middle") -> None:
        """Add words whose middle (or "start", or "end") is at x, y."""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{GREY}">'
            f"{escape(words)}</text>"
        )

    def to_svg(self) -> str:
        """Return the figure as a file's text."""
        return "\n".join([self._head, *self._shapes, "</svg>\n"])
