"""The options of the interactive door: read, told to be needless, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from dlsort.errors import BadOptionError, shown
from dlsort.frames.notices import OptionIgnoredWarning, tell_once
from dlsort.wording import did_you_mean

__all__ = [
    "as_flags",
    "check_plain",
    "parse_flag",
    "parse_na_position",
    "parse_nan_position",
    "parse_sort_function",
    "take_hints",
]

NULL_PLACES = {"first": True, "last": False}
KINDS = (None, "quicksort", "mergesort", "heapsort", "stable")

# What Dask's own methods take beside their parameters, and what stands for it here.
HINTS = {
    "max_branch": "the exchange has one stage, however many partitions there are",
    "shuffle": "Dask takes it no more either; the name is shuffle_method",
    "compute": "the result is lazy; call .compute() or .persist() on it",
}


def take_hints(options: Mapping[str, Any], door: Callable[..., Any]) -> None:
    """Warn of options that are right for Dask and mean nothing here, once for each.

    Parameters
    ----------
    options : mapping
    door : callable
        What they were given to; its own parameters are told where one was misspelt.

    Raises
    ------
    BadOptionError
        If there are others: Dask takes whatever name it is given.
    """
    names = [*(set(signature(door).parameters) - {"ddf", "options"}), *HINTS]
    for name, value in options.items():
        if name not in HINTS:
            hint = did_you_mean(name, names)
            msg = f"unexpected {shown(name)}: dlsort's sort has no such option.{hint}"
            raise BadOptionError(msg)
        if name != "compute" or parse_flag("compute", value):
            msg = f"{name}={shown(value)} is ignored: {HINTS[name]}."
            tell_once((OptionIgnoredWarning, name), msg, OptionIgnoredWarning)


def check_plain(*, axis: Any, inplace: Any, kind: Any) -> None:
    """Raise for what no sort of a Dask frame does.

    Raises
    ------
    BadOptionError
    """
    is_name = isinstance(axis, str | int | np.integer)
    if not is_name or axis not in (0, "index", "rows", 1, "columns"):
        msg = f"No axis named {shown(axis)} for object type DataFrame: expected 0 or 'index'."
        raise BadOptionError(msg)
    if axis not in (0, "index", "rows"):
        msg = f"axis is {shown(axis)}; expected 0 or 'index': rows are sorted, not columns."
        raise BadOptionError(msg)
    if parse_flag("inplace", inplace):
        msg = (
            "inplace=True is not possible: a Dask frame does not change. Use what is returned."
        )
        raise BadOptionError(msg)
    if not (kind is None or isinstance(kind, str)) or kind not in KINDS:
        msg = f"kind is {shown(kind)}; expected one of {', '.join(map(repr, KINDS[1:]))}."
        raise BadOptionError(msg)


def parse_flag(name: str, value: Any) -> bool:
    """Return a truth value, of Python or NumPy; None is false, as Dask has it."""
    is_number = isinstance(value, int | np.integer) and value in (0, 1)
    if not (value is None or isinstance(value, bool | np.bool_) or is_number):
        msg = f"{name} is {shown(value)}; expected True or False."
        raise BadOptionError(msg)
    return bool(value)


def as_flags(ascending: Any) -> Any:
    """Return an array of truth values as a list; anything else as it is."""
    is_array = isinstance(ascending, np.ndarray) and ascending.ndim == 1
    return ascending.tolist() if is_array and ascending.dtype == bool else ascending


def parse_na_position(na_position: Any) -> bool:
    """Return whether nulls go first."""
    if not isinstance(na_position, str) or na_position not in NULL_PLACES:
        found = na_position if isinstance(na_position, str) else shown(na_position)
        msg = f"invalid na_position: {found}; na_position must be either 'first' or 'last'."
        raise BadOptionError(msg)
    return NULL_PLACES[na_position]


def parse_nan_position(nan_position: Any) -> bool | None:
    """Return whether NaN goes before all numbers; None: with the nulls."""
    if nan_position is None:
        return None
    if not isinstance(nan_position, str) or nan_position not in NULL_PLACES:
        msg = f"nan_position is {shown(nan_position)}; expected 'first', 'last' or None."
        raise BadOptionError(msg)
    return NULL_PLACES[nan_position]


def parse_sort_function(function: Any, kwargs: Any) -> Callable[..., Any] | None:
    """Return what sorts the partitions in another way, if anything does."""
    if function is not None and not callable(function):
        msg = f"sort_function is {shown(function)}; expected a function of a partition."
        raise BadOptionError(msg)
    if kwargs is None:
        return function
    if function is None:
        msg = "sort_function_kwargs needs a sort_function."
        raise BadOptionError(msg)
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        msg = f"sort_function_kwargs is {shown(kwargs)}; expected a dict of keywords."
        raise BadOptionError(msg)
    return function
