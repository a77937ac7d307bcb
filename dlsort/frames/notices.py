"""What a caller is told once in a process: no error, but not what he may expect either.

Each kind is a class, for a filter of one's own::

    warnings.filterwarnings("ignore", category=dlsort.ComputedTwiceWarning)
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable

from dlsort.errors import DlsortWarning

__all__ = ["ComputedTwiceWarning", "OptionIgnoredWarning", "tell_once"]

_told: set[Hashable] = set()
# Not the caller's: Dask calls dlsort when it computes.
_BETWEEN = {"dlsort", "dlsort_cluster", "dask", "distributed", "functools", "contextlib"}


class OptionIgnoredWarning(DlsortWarning):
    """An option that is right for Dask's own sort means nothing to dlsort's."""


class ComputedTwiceWarning(DlsortWarning):
    """The input of a sort is made twice, as it can't be read in part."""


def tell_once(what: Hashable, message: str, category: type[DlsortWarning]) -> None:
    """Warn, at the line that called Dask or dlsort, unless that was done in this process.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     for _ in range(3):
    ...         tell_once("an example", "so it is.", DlsortWarning)
    >>> len(told)
    1
    """
    if what in _told:
        return
    _told.add(what)
    level, frame = 1, sys._getframe()
    while _is_between(frame.f_globals) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_between(names: dict[str, object]) -> bool:
    return str(names.get("__name__")).partition(".")[0] in _BETWEEN
