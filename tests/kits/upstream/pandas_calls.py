"""pandas' sorts, made to go through a Dask collection of three partitions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import partial, wraps
from itertools import pairwise
from typing import Any

import dask
import numpy as np
import pandas as pd
import pytest
from pandas import testing

import dlsort
import frame_data as data

N_PARTS = 3
METHODS = (
    (pd.DataFrame, "sort_values"),
    (pd.DataFrame, "sort_index"),
    (pd.Series, "sort_values"),
    (pd.Series, "sort_index"),
)


def kinds_of(options: dict[str, Any]) -> set[str]:
    """Return what in a call a Dask collection has no way to do."""
    kinds = {
        "axis=1": options.get("axis") in (1, "columns"),
        "inplace=True": options.get("inplace") is True,
    }
    return {kind for kind, found in kinds.items() if found}


def replace_calls(
    monkeypatch: pytest.MonkeyPatch, module: str, call: Callable[..., Any]
) -> None:
    """Replace pandas' sorts, for calls that a module makes itself.

    Those that come from within dlsort, Dask or pandas are pandas' own still.
    ``call(original, values, args, options)`` takes the others.
    """

    def stand_in(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def method(values: Any, *args: Any, **options: Any) -> Any:
            if sys._getframe(1).f_globals["__name__"] != module:
                return original(values, *args, **options)
            return call(original, values, args, options)

        return method

    for owner, name in METHODS:
        monkeypatch.setattr(owner, name, stand_in(getattr(owner, name)))


def stable_call(
    original: Callable[..., Any], values: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Sort as pandas does, but stably: its default is not, on some processors."""
    return original(values, *args, **{"kind": "stable", **options})


class Driver:
    """Stands for pandas' sorts while one of pandas' tests runs.

    Each result is compared with pandas' own stable sort, whatever the test
    compares it with: many tests expect what another sort returned.

    Parameters
    ----------
    left : collection of str
        Kinds of calls that pandas answers itself in this test; dlsort has to
        refuse them.
    """

    def __init__(self, left: Collection[str]) -> None:
        self.left = left
        self.was_left: set[str] = set()
        self.n_driven = 0
        self.n_left = 0

    def call(
        self,
        original: Callable[..., Any],
        values: Any,
        args: tuple[Any, ...],
        options: dict[str, Any],
    ) -> Any:
        sort = partial(getattr(dlsort, original.__name__), in_parts(values), *args, **options)
        kinds = kinds_of(options).intersection(self.left)
        if kinds:
            self.was_left |= kinds
            self.n_left += 1
            with pytest.raises(dlsort.DlsortError):
                sort()
            return original(values, *args, **options)
        self.n_driven += 1
        got = joined(sort(), fewest=N_PARTS if original.__name__ == "sort_values" else 1)
        assert_same(got, expected(original, values, args, options))
        return got


def in_parts(values: Any) -> Any:
    """Return a frame or series as a Dask collection of three partitions."""
    edges = np.arange(N_PARTS + 1) * len(values) // N_PARTS
    return data.frame_of([values.iloc[low:high] for low, high in pairwise(edges)])


def joined(result: Any, *, fewest: int) -> Any:
    """Compute a collection a partition at a time, and join the partitions.

    They may be fewer where equal values stay together, so that divisions are known.
    """
    with dask.config.set(scheduler="sync"):
        found = dask.compute(*result.persist().to_delayed())
    assert fewest <= len(found) <= N_PARTS
    return pd.concat(found)


def expected(
    original: Callable[..., Any], values: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Return what pandas' stable sort gives."""
    options = {name: value for name, value in options.items() if name != "inplace"}
    try:
        return original(values, *args, **{**options, "kind": "stable"})
    except Exception as error:
        # Not an Exception itself, so that no test takes it for dlsort's refusal.
        pytest.fail(f"dlsort sorts what pandas refuses: {error!r}")


def assert_same(got: Any, wanted: Any) -> None:
    """Compare all but an index's frequency, which joining partitions loses."""
    if isinstance(wanted, pd.DataFrame):
        testing.assert_frame_equal(got, wanted, check_freq=False)
    else:
        testing.assert_series_equal(got, wanted, check_freq=False)
