"""The base of all errors that are raised on purpose, here and by who uses this package."""

from __future__ import annotations

__all__ = ["DlsortError", "printable"]


class DlsortError(Exception):
    """Base of all errors that dlsort raises on purpose."""

    def __str__(self) -> str:
        """Return the message alone (``KeyError`` would print its repr), fit for a terminal."""
        return printable(self.args[0]) if self.args else ""


def printable(text: object) -> str:
    r"""Return text as a terminal may get it: on one line, and without control characters.

    Names of files and columns are others' words: they can hold what moves a cursor, colours
    the screen or turns the reading direction.

    Examples
    --------
    >>> printable("año 2024/a.parquet"), printable("a\x1b[31m\n.parquet")
    ('año 2024/a.parquet', 'a\\x1b[31m\\n.parquet')
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
