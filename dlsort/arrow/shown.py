"""Values as messages show them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_text, is_variable, is_wide

__all__ = ["shown_value"]

LONGEST_VALUE = 60  # characters of a key value that a message shows


def shown_value(column: pa.ChunkedArray) -> str:
    """Return a key value for people: short, and quoted where it is text."""
    if column[0].is_valid:
        text = _text(column)
        return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
    return "null"


def _text(column: pa.ChunkedArray) -> str:
    """Return a value as text, also one that Python's own types don't hold, or that is none.

    A file may have bytes where text should be, days past all years, time zones of no place.
    """
    kind = column.type
    plainer = [kind]
    if pt.is_timestamp(kind):
        plainer.append(pa.timestamp(kind.unit))
    elif is_variable(kind) and is_text(kind):
        plainer.append(pa.large_binary() if is_wide(kind) else pa.binary())
    for plain in plainer:
        shown = column.cast(plain)
        with suppress(ValueError, OverflowError, ImportError, LookupError):
            value: Any = shown[0].as_py()
            return repr(value) if isinstance(value, str | bytes) else str(value)
        with suppress(ValueError, LookupError, pa.ArrowException):
            return str(shown.cast(pa.string())[0].as_py())
    return "a value that can't be shown"
