"""dlsort in the place of Dask's own methods: a switch, and an accessor.

``dlsort.enable()`` makes the doors to frames the methods of Dask's
classes, so that a script which sorts Dask frames needs one line to be changed.
``ddf.dlsort.sort_values(…)`` names the door where it is used, and changes
nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from dask.dataframe.dask_expr import DataFrame, Series
from dask.dataframe.extensions import register_dataframe_accessor, register_series_accessor

__all__ = ["FrameAccessor", "SeriesAccessor", "disable", "enable", "enabled"]

# Dask has no sort_index, and of a Series no sort_values either.
METHODS: tuple[tuple[type, str], ...] = (
    (DataFrame, "sort_values"),
    (DataFrame, "set_index"),
    (DataFrame, "sort_index"),
    (Series, "sort_values"),
    (Series, "sort_index"),
)
ABSENT = object()

_lock = threading.RLock()
_SWITCH = object()
_holders: set[object] = set()  # the switch, and each open block
_originals: dict[tuple[type, str], Any] = {}


def enable() -> None:
    """Sort Dask frames by dlsort, until :func:`disable`.

    ``DataFrame.sort_values`` and ``DataFrame.set_index`` become
    :func:`dlsort.sort_values` and :func:`dlsort.set_index`, and
    ``DataFrame.sort_index``, ``Series.sort_values`` and ``Series.sort_index``,
    which Dask has not, are there. That holds for the process, in all its
    threads, also where Dask itself calls these methods. A frame that was
    sorted before, and not computed yet, is still sorted by Dask.

    A switch, not a counter: calling it again changes nothing, and one
    :func:`disable` is enough.

    See Also
    --------
    enabled : The same for a block.

    Examples
    --------
    >>> import dask.dataframe as dd, dlsort, pandas as pd
    >>> ddf = dd.from_pandas(pd.DataFrame({"x": [3, 1, 2]}), npartitions=3)
    >>> dlsort.enable()
    >>> result = ddf.sort_values("x", ignore_index=True)
    >>> dlsort.disable()
    >>> result.compute()
       x
    0  1
    1  2
    2  3
    """
    _hold(_SWITCH)


def disable() -> None:
    """Give Dask's classes back the methods they had, at once.

    However often :func:`enable` was called, and also inside of blocks of
    :func:`enabled`, which then end without effect. Nothing happens if dlsort
    was not enabled.
    """
    with _lock:
        _holders.clear()
        _put_back()


@contextmanager
def enabled() -> Iterator[None]:
    """Sort Dask frames by dlsort inside of a block.

    Blocks can be nested, and open in several threads at once. After a block,
    also one that an exception ends, what was before holds again: dlsort's
    methods if :func:`enable` or another open block asks for them, else those
    that Dask's classes had. It can decorate a function, too.

    Examples
    --------
    >>> import dask.dataframe as dd, dlsort, pandas as pd
    >>> ddf = dd.from_pandas(pd.DataFrame({"x": [3, None, 1]}), npartitions=3)
    >>> with dlsort.enabled():
    ...     result = ddf.sort_values("x", na_position="first")
    >>> result.partitions[0].compute()
        x
    1 NaN
    >>> hasattr(ddf.x, "sort_values")
    False
    """
    block = object()
    _hold(block)
    try:
        yield
    finally:
        _release(block)


def _hold(holder: object) -> None:
    with _lock:
        if not _holders:
            _replace()
        _holders.add(holder)


def _release(holder: object) -> None:
    with _lock:
        _holders.discard(holder)
        if not _holders:
            _put_back()


def _replace() -> None:
    doors = [_door(name) for _, name in METHODS]
    for (owner, name), door in zip(METHODS, doors, strict=True):
        _originals[owner, name] = vars(owner).get(name, ABSENT)
        setattr(owner, name, door)


def _put_back() -> None:
    for (owner, name), original in _originals.items():
        if original is ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
    _originals.clear()


def _door(name: str) -> Callable[..., Any]:
    # Imported late: it brings all of distributed, and the accessor is registered
    # as soon as anyone imports dask.dataframe.
    from dlsort.frames import index_methods, methods

    home = methods if name == "sort_values" else index_methods
    door: Callable[..., Any] = getattr(home, name)
    return door


def _bound(name: str) -> property:
    """Return a property: a method of a frame, bound to the accessor's owner."""

    def get(accessor: SeriesAccessor) -> MethodType:
        return MethodType(_door(name), accessor._owner)

    return property(get, doc=f":func:`dlsort.{name}` of this collection.")


class SeriesAccessor:
    """dlsort's sorts of a Dask Series, as ``series.dlsort``.

    Examples
    --------
    >>> import dask.dataframe as dd, dlsort, pandas as pd
    >>> series = dd.from_pandas(pd.Series([3, 1, 2], name="x"), npartitions=2)
    >>> series.dlsort.sort_values(ascending=False).compute()
    0    3
    2    2
    1    1
    Name: x, dtype: int64
    """

    def __init__(self, owner: DataFrame | Series) -> None:
        self._owner = owner

    sort_values = _bound("sort_values")
    sort_index = _bound("sort_index")


class FrameAccessor(SeriesAccessor):
    """dlsort's sorts of a Dask DataFrame, as ``ddf.dlsort``.

    Examples
    --------
    >>> import dask.dataframe as dd, dlsort, pandas as pd
    >>> ddf = dd.from_pandas(pd.DataFrame({"x": [3, 1, 2], "y": list("abc")}), npartitions=2)
    >>> ddf.dlsort.sort_values("x").compute()
       x  y
    1  1  b
    2  2  c
    0  3  a
    >>> ddf.dlsort.set_index("x").compute()
       y
    x
    1  b
    2  c
    3  a
    """

    set_index = _bound("set_index")


register_dataframe_accessor("dlsort")(FrameAccessor)
register_series_accessor("dlsort")(SeriesAccessor)
