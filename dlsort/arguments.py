"""Arguments of the doors: each of the type that it should be, or refused in a sentence.

What a library for numbers or paths has of its own counts too: NumPy's whole numbers and
booleans, and whatever ``os.fspath`` knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from dlsort.errors import BadOptionError, shown

__all__ = ["data_name", "is_dasks", "read_choice", "read_count", "read_flag"]

MOST_COUNT = 2**63 - 1  # of 64 bits

# Whose data are no paths, and all of which their text would show.
_MAKERS = {"pandas": "pandas", "polars": "Polars", "pyarrow": "pyarrow"}


def is_dasks(value: object) -> bool:
    """Return whether something is a collection of Dask's, whose values are not here."""
    return hasattr(type(value), "__dask_graph__")


def data_name(value: object) -> str | None:
    """Return what to call a frame, a table or a column; None for anything else.

    Examples
    --------
    >>> import pyarrow as pa
    >>> data_name(pa.table({"x": [1]})), data_name("x")
    ('a pyarrow Table', None)
    """
    maker = _MAKERS.get(type(value).__module__.partition(".")[0])
    maker = "Dask" if is_dasks(value) else maker
    return maker and f"a {maker} {type(value).__name__}"


def read_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return one of a few words.

    Raises
    ------
    BadOptionError
        If it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        msg = f"{name} is {shown(value)}; expected {', '.join(others)} or {last}."
        raise BadOptionError(msg)
    return value


def read_count(value: Any, name: str, *, least: int = 1) -> int:
    """Return a whole number.

    Raises
    ------
    BadOptionError
        If it is none of at least ``least``, or one that has no 64 bits' room.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= int(value) <= MOST_COUNT:
        is_large = is_whole and int(value) > MOST_COUNT
        limit = f"at most {MOST_COUNT:,}" if is_large else f"at least {least}"
        msg = f"{name} is {shown(value)}; expected a whole number of {limit}."
        raise BadOptionError(msg)
    return int(value)


def read_flag(value: Any, name: str) -> bool:
    """Return True or False.

    Raises
    ------
    BadOptionError
        If it is neither: what Python takes for true need not be meant so.
    """
    if not isinstance(value, bool | np.bool):
        msg = f"{name} is {shown(value)}; expected True or False."
        raise BadOptionError(msg)
    return bool(value)
