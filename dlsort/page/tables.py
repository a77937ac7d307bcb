"""Tables of a page, which are there without any script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["STYLE", "heading", "preformatted", "table"]

STYLE = """
body, .dlsort { font: 14px/1.45 system-ui, sans-serif; color: #222; }
body { max-width: 70em; margin: 1.5em auto; padding: 0 1em; }
.dlsort h2 { font-size: 1.15em; margin: 1.4em 0 .4em; }
.dlsort table { border-collapse: collapse; }
.dlsort th, .dlsort td { padding: .15em .8em; border-bottom: 1px solid #ddd; text-align: left; }
.dlsort td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.dlsort tr.taken { font-weight: 600; }
.dlsort pre { background: #f6f6f6; padding: .8em; overflow-x: auto; }
"""


def heading(text: str) -> str:
    """Return a heading."""
    return f"<h2>{escape(text)}</h2>"


def preformatted(text: str) -> str:
    """Return a text as it is."""
    return f"<pre>{escape(text)}</pre>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], taken: int | None = None) -> str:
    """Return a table, in which what is short and begins with a digit is a number.

    Examples
    --------
    >>> table(["step", "s"], [["read", "0.5"]])[-60:]
    '<tr><td>read</td><td class="n">0.5</td></tr></tbody></table>'
    """
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = []
    for i, row in enumerate(rows):
        cells = "".join(map(_cell, row))
        lines.append(f"<tr{_TAKEN if i == taken else ''}>{cells}</tr>")
    return f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


_TAKEN = ' class="taken"'
_NUMBER = ' class="n"'
_LONGEST_NUMBER = 24  # characters; "40 machines of 16 cores, data in a store" is text


def _cell(text: str) -> str:
    is_number = text[:1].isdigit() and len(text) <= _LONGEST_NUMBER
    return f"<td{_NUMBER if is_number else ''}>{escape(text)}</td>"
