"""Arguments of the doors: each of the type that it should be, or refused in a sentence.

What a library for numbers or paths has of its own counts too: NumPy's whole numbers and
booleans, and whatever ``os.fspath`` knows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from dlsort.errors import BadOptionError, shown
from dlsort.publish.destination import check_path

__all__ = [
    "read_choice",
    "read_count",
    "read_flag",
    "read_folder",
    "read_path",
]

MOST_COUNT = 2**63 - 1  # of 64 bits


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
        If it is none of at least ``least``.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= int(value) <= MOST_COUNT:
        msg = f"{name} is {shown(value)}; expected a whole number of at least {least}."
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


def read_path(value: Any, what: str) -> str:
    """Return a path, or a URL, as text.

    Raises
    ------
    BadOptionError
        If it is empty, or no path at all.
    """
    check_path(value, what)
    return str(os.fspath(value))


def read_folder(value: Any, name: str) -> str:
    """Return the absolute path of a folder, which need not be there.

    Raises
    ------
    BadOptionError
        If it can't be the path of one.
    """
    try:
        check_path(value, name)
    except BadOptionError:
        msg = f"{name} is {shown(value)}; expected an existing folder."
        raise BadOptionError(msg) from None
    return str(Path(value).absolute())
