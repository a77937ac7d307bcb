"""Columns of the types of Polars and pandas, four values each, of which the second is null."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

__all__ = ["fastparquet_columns", "pandas_columns", "polars_columns"]

_FAR = [
    dt.datetime(1, 1, 1),
    None,
    dt.datetime(1600, 1, 1, 1, 2, 3, 4000),
    dt.datetime(9999, 12, 31),
]
_NEAR = [
    dt.datetime(1700, 1, 1),
    None,
    dt.datetime(2024, 1, 1, 1, 2, 3, 4),
    dt.datetime(2262, 1, 1),
]
_DATES = [at and at.date() for at in _FAR]
_TEXTS = ["b", None, "a", "b"]
_FLOATS = [float("nan"), None, -0.0, 1.5]
_DECIMALS = [Decimal("-1.5"), None, Decimal(0), Decimal("99.9")]
_SPANS = [dt.timedelta(-5), None, dt.timedelta(seconds=1), dt.timedelta(9, milliseconds=1)]


# ---------------------------------------------------------------- Polars


def polars_columns() -> dict[str, pl.Series]:
    """Return a column of each type of Polars, by its name."""
    columns = {
        "Boolean": (pl.Boolean, [True, None, False, True]),
        **_integers(),
        **{str(kind): (kind, _FLOATS) for kind in (pl.Float16, pl.Float32, pl.Float64)},
        **{
            f"Decimal({digits}, {scale})": (pl.Decimal(digits, scale), _DECIMALS)
            for digits, scale in ((4, 1), (9, 2), (18, 4), (38, 10))
        },
        **_times(),
        "String": (pl.String, ["", None, "zoë", "日本"]),
        "Binary": (pl.Binary, [b"", None, b"\0\xff", b"a"]),
        "Categorical": (pl.Categorical, _TEXTS),
        "Enum(['b', 'a', 'c'])": (pl.Enum(["b", "a", "c"]), _TEXTS),
        "Null": (pl.Null, [None] * 4),
        **_nested(),
    }
    return {name: pl.Series(values, dtype=kind) for name, (kind, values) in columns.items()}


def _integers() -> dict[str, tuple[Any, list[Any]]]:
    found: dict[str, tuple[Any, list[Any]]] = {}
    for bits in (8, 16, 32, 64, 128):
        high = 2 ** (bits - 1)
        found[f"Int{bits}"] = getattr(pl, f"Int{bits}"), [-high, None, 0, high - 1]
        found[f"UInt{bits}"] = getattr(pl, f"UInt{bits}"), [1, None, 0, 2 * high - 1]
    return found


def _times() -> dict[str, tuple[Any, list[Any]]]:
    times = [dt.time(0), None, dt.time(23, 59, 59, 999_999), dt.time(12)]
    found: dict[str, tuple[Any, list[Any]]] = {"Date": (pl.Date, _DATES)}
    found["Time"] = pl.Time, times
    for unit in ("ms", "us", "ns"):
        for zone in (None, "UTC"):
            values = _NEAR if unit == "ns" else _FAR
            found[f"Datetime({unit!r}, {zone!r})"] = pl.Datetime(unit, zone), values
    found["Datetime('us', 'Europe/Berlin')"] = pl.Datetime("us", "Europe/Berlin"), _NEAR
    found |= {f"Duration({u!r})": (pl.Duration(u), _SPANS) for u in ("ms", "us", "ns")}
    return found


def _nested() -> dict[str, tuple[Any, list[Any]]]:
    pair = pl.Struct({"a": pl.Int64, "b": pl.String})
    inner = pl.Struct({"t": pl.Datetime("us"), "e": pl.Enum(["b", "a"])})
    pairs = [{"a": 1, "b": None}, None, {"a": None, "b": None}, {"a": 2, "b": "x"}]
    return {
        "List(Int64)": (pl.List(pl.Int64), [[1, None], None, [], [3]]),
        "List(List(String))": (pl.List(pl.List(pl.String)), [[["a"], None], None, [], [[]]]),
        "List(Categorical)": (pl.List(pl.Categorical), [["b", None], None, [], ["a"]]),
        "Array(Int32, 2)": (pl.Array(pl.Int32, 2), [[1, None], None, [2, 3], [4, 5]]),
        "Struct({'a': Int64, 'b': String})": (pair, pairs),
        "List(Struct({'t': Datetime, 'e': Enum}))": (
            pl.List(inner),
            [[{"t": _FAR[0], "e": "b"}], None, [], [None]],
        ),
    }


# ---------------------------------------------------------------- pandas


def fastparquet_columns() -> dict[str, Any]:
    """Return a column of each type of pandas that fastparquet writes."""
    stamps = pd.Series(_NEAR, dtype="datetime64[us]")
    return {
        "bool": [True, False, False, True],
        "boolean": pd.array([True, None, False, True], "boolean"),
        "int64": np.array([-5, 0, 7, 1]),
        "Int32": pd.array([-5, None, 7, 1], "Int32"),
        "UInt8": pd.array([5, None, 7, 1], "UInt8"),
        "float64": _FLOATS,
        "str": pd.array(_TEXTS, "str"),
        "object of strings": pd.Series(_TEXTS, dtype=object),
        "object of bytes": pd.Series([b"", None, b"\0\xff", b"a"], dtype=object),
        "category": pd.Categorical(_TEXTS),
        "datetime64[ns]": stamps.astype("datetime64[ns]"),
        "datetime64[us, UTC]": stamps.dt.tz_localize("UTC"),
        "timedelta64[ns]": pd.to_timedelta(_SPANS).astype("timedelta64[ns]"),
    }


def pandas_columns() -> dict[str, Any]:
    """Return a column of each type of pandas that pyarrow writes for it."""
    stamps = pd.Series(_NEAR, dtype="datetime64[us]")
    months = ["2024-01", None, "2024-02", "1999-01"]
    intervals = pd.arrays.IntervalArray.from_tuples([(0, 1), None, (2, 3), (1, 2)])
    return {
        **fastparquet_columns(),
        "ordered category": pd.Categorical(_TEXTS, ["b", "a"], ordered=True),
        "datetime64[s]": pd.Series(_FAR, dtype="datetime64[s]"),
        "datetime64[us, Europe/Berlin]": stamps.dt.tz_localize("Europe/Berlin"),
        "period[M]": pd.Series(months, dtype="period[M]"),
        "interval": intervals,
        "object of Decimal": pd.Series(_DECIMALS, dtype=object),
        "object of date": pd.Series(_DATES, dtype=object),
        "object of lists": pd.Series([[1, 2], None, [], [3]], dtype=object),
        "object of dicts": pd.Series([{"a": 1}, None, {"a": 2}, {"a": 3}], dtype=object),
    }
