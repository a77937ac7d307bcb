"""Partitions of every pandas dtype, Dask frames of them, and what pandas makes of a sort."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.dataframe.dask_expr.io.parquet import ReadParquet
from distributed import Client, LocalCluster

import arrow_data
from dlsort.keys import SortKey
from dlsort_cluster.frames.apart import Inlined
from dlsort_cluster.frames.learn import EachParquet

Make = Callable[[np.random.Generator, int], Any]
ARROW = "arrow "


# ---------------------------------------------------------------- columns


def integers(dtype: str) -> Make:
    low, high = np.iinfo(dtype.lower()).min, np.iinfo(dtype.lower()).max

    def make(rng, n):
        near = range(5) if low == 0 else range(-2, 3)
        few = np.array([low, high, *near, *near], dtype.lower())
        return pd.array(rng.choice(few, n), dtype=dtype)

    return make


def floats(dtype: str) -> Make:
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1.5, -1.5])

    def make(rng, n):
        values = np.where(rng.random(n) < 0.5, rng.choice(special, n), rng.normal(size=n))
        return pd.array(values.astype(dtype.lower()), dtype=dtype)

    return make


def times(dtype: str) -> Make:
    def make(rng, n):
        numbers = rng.integers(-(2**40), 2**40, n)
        numbers = np.where(rng.random(n) < 0.5, numbers, rng.integers(0, 3, n))
        return numbers.view(dtype)

    return make


def zoned(rng, n):
    stamps = pd.DatetimeIndex(times("M8[us]")(rng, n))
    return stamps.tz_localize("UTC").tz_convert("Europe/Paris").array


def periods(rng, n):
    return pd.PeriodIndex.from_ordinals(rng.integers(-9, 9, n), freq="M").array


def text(dtype: Any) -> Make:
    def make(rng, n):
        return pd.array(rng.choice(np.array(arrow_data.WORDS, object), n), dtype=dtype)

    return make


def categories(values: Sequence[Any], *, ordered: bool = False) -> Make:
    dtype = pd.CategoricalDtype(values, ordered=ordered)

    def make(rng, n):
        return pd.Categorical.from_codes(rng.integers(0, len(values), n), dtype=dtype)

    return make


def objects(values: Sequence[Any]) -> Make:
    def make(rng, n):
        out = np.empty(n, object)
        out[:] = [values[i] for i in rng.integers(0, len(values), n)]
        return out

    return make


def sparse(rng, n):
    return pd.arrays.SparseArray(rng.choice([0.0, 0.0, 1.0, -2.5, np.nan], n), fill_value=0.0)


def sparse_bytes(rng, n):
    return pd.arrays.SparseArray(rng.choice([0, 0, 0, 7], n).astype("uint8"), fill_value=0)


def intervals(rng, n):
    left = rng.integers(0, 5, n).astype(float)
    return pd.arrays.IntervalArray.from_arrays(left, left + 2, closed="left")


def arrow(name: str) -> Make:
    def make(rng, n):
        return pd.arrays.ArrowExtensionArray(
            pa.chunked_array([arrow_data.column(rng, name, n)])
        )

    return make


def arrow_payload(name: str) -> Make:
    def make(rng, n):
        return pd.arrays.ArrowExtensionArray(arrow_data.payload(n)[name])

    return make


WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
STAMP = dt.datetime(2020, 2, 29, 12, 30, 1, 5)
KEYS: dict[str, Make] = {
    **{name: integers(name) for name in WHOLE},
    **{name: integers(name) for name in ("Int8", "Int16", "Int32", "Int64")},
    **{name: integers(name) for name in ("UInt8", "UInt16", "UInt32", "UInt64")},
    **{name: floats(name) for name in ("float16", "float32", "float64", "Float32", "Float64")},
    "bool": lambda rng, n: rng.random(n) < 0.5,
    "boolean": lambda rng, n: pd.array(rng.random(n) < 0.5, dtype="boolean"),
    **{f"datetime64[{u}]": times(f"M8[{u}]") for u in ("s", "ms", "us", "ns")},
    **{f"timedelta64[{u}]": times(f"m8[{u}]") for u in ("ms", "ns")},
    "datetime64 tz": zoned,
    "period": periods,
    "str": text("str"),
    "string": text("string"),
    "string[python]": text(pd.StringDtype("python")),
    "category": categories(["b", "a", "zoë", ""]),
    "category ordered": categories([3, 1, 2], ordered=True),
    "category of intervals": categories(pd.interval_range(0.0, 4.0)),
    "sparse": sparse,
    "sparse uint8": sparse_bytes,
    "object str": objects(["", "a", "b\0", "b", "zoë", "日本", "\ud800", "\U0001f600"]),
    "object bytes": objects([b"", b"\0", b"a", b"a\0", b"\xff\xfe"]),
    "object bool": objects([True, False]),
    "object int": objects([-1, 0, 7, np.int64(3), 2**62]),
    "object large int": objects([-(2**70), 0, 2**64, 5]),
    "object float": objects([1.5, -0.0, 0.0, float("inf"), np.float64(2.5)]),
    "object Decimal": objects([Decimal(d) for d in ("1.10", "1.1", "-3", "1E+5", "0.0001")]),
    "object date": objects([dt.date(1, 1, 1), dt.date(2020, 2, 29), dt.date(9999, 12, 31)]),
    "object time": objects([dt.time(0), dt.time(12, 0, 0, 1), dt.time(12)]),
    "object datetime": objects([STAMP, STAMP.replace(year=4), pd.Timestamp(STAMP)]),
    "object datetime tz": objects(
        [STAMP.replace(tzinfo=dt.timezone(dt.timedelta(hours=h))) for h in (-3, 0, 5)]
    ),
    "object timedelta": objects([dt.timedelta(days=-1, microseconds=3), pd.Timedelta(5)]),
    **{f"{ARROW}{name}": arrow(name) for name in arrow_data.KEY_TYPES},
}
PAYLOADS: dict[str, Make] = {
    "complex": lambda rng, n: rng.normal(size=n) + 1j * rng.normal(size=n),
    "longdouble": lambda rng, n: rng.normal(size=n).astype(np.longdouble),
    "interval": intervals,
    "object anything": objects([1, "one", [1, {"a": None}], (), None, np.nan, pd.NA, 1.5]),
    "object text and gaps": objects(["a", "b", None]),
    "object bytes and gaps": objects([b"a", b"b", np.nan]),
    "object Decimals alike": objects([Decimal(d) for d in ("1.10", "-0.20", "300.00")]),
    "object Decimals and -0": objects([Decimal(d) for d in ("1.10", "-0.00", "0.00")]),
    "object Decimals, many digits": objects([Decimal(d) for d in ("1." + "3" * 90, "1e-91")]),
    "object dates and gaps": objects([dt.date(1, 1, 1), dt.date(2024, 2, 29), None]),
    "object ints": objects([1, -3, 2**40]),
    "object ints, large": objects([1, 2**63]),
    "object bools and gaps": objects([True, False, pd.NA]),
    "object floats and gaps": objects([1.5, -0.0, float("inf"), None]),
    **{
        f"{ARROW}payload {name}": arrow_payload(name)
        for name in arrow_data.payload(0).schema.names
    },
}
# Dask itself can't hold frames with these.
VIEWS = {f"{ARROW}string_view", f"{ARROW}binary_view", f"{ARROW}payload view"}
OWN_NULLS = {*WHOLE, "bool", "sparse", "sparse uint8", "object anything"}  # or none
MARKERS = {
    "object Decimal": Decimal("NaN"),
    "object date": pd.NaT,
    "object str": np.nan,
    "interval": np.nan,
}


def column(rng: np.random.Generator, name: str, n: int, nulls: float = 0.2) -> pd.Series:
    """Return ``n`` random values of a dtype, some null where it can hold nulls."""
    kind = object if name.startswith("object") else None
    values = pd.Series((KEYS | PAYLOADS)[name](rng, n), dtype=kind)
    missing = rng.random(n) < nulls
    if missing.any() and name not in OWN_NULLS and not name.startswith(ARROW):
        values[missing] = MARKERS.get(name)
    return values


def partitions(
    rng: np.random.Generator, names: Sequence[str], lengths: Sequence[int], index: str = "range"
) -> list[pd.DataFrame]:
    """Return partitions with a column of each dtype, and one that tells the row."""
    n = sum(lengths)
    frame = pd.DataFrame({f"c{i} {name}": column(rng, name, n) for i, name in enumerate(names)})
    frame["row"] = np.arange(n)
    frame.index = INDEXES[index](n)
    ends = np.cumsum(lengths)
    return [frame.iloc[end - k : end] for end, k in zip(ends, lengths, strict=True)]


INDEXES: dict[str, Callable[[int], pd.Index]] = {
    "range": pd.RangeIndex,
    "named": lambda n: pd.Index(np.arange(n) % 7, name="id"),
    "datetime": lambda n: pd.date_range("2020", periods=n, freq="h", tz="UTC", name="when"),
    "str": lambda n: pd.Index([f"i{i % 5}" for i in range(n)], dtype="str"),
    "category": lambda n: pd.CategoricalIndex(["x", "y", "x"] * n, ["y", "x"])[:n],
    "object": lambda n: pd.Index(
        [(i, "t") if i % 2 else i for i in range(n)], tupleize_cols=False
    ),
    "multi": lambda n: pd.MultiIndex.from_arrays(
        [np.arange(n) % 3, pd.array([f"l{i}" for i in range(n)], dtype="str")],
        names=["a", None],
    ),
}


def frame_of(parts: Sequence[pd.DataFrame]) -> dd.DataFrame:
    """Return a Dask frame whose partitions are exactly these.

    Named apart: Dask takes frames for the same that differ in their strings' NA
    only, and gives the second one what the cluster still holds of the first.
    """
    label = f"same-{next(_n_frames)}"
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(same, list(parts), meta=parts[0].iloc[:0], label=label)


_n_frames = itertools.count()


def same(part: pd.DataFrame) -> pd.DataFrame:
    return part


# ---------------------------------------------------------------- what pandas makes of it


def order_of(
    frame: pd.DataFrame, by: Sequence[Any], ascending: Any, na_position: str
) -> list[int]:
    """Return the stable order of rows, one pandas sort a key column, from the last.

    pandas' own sort by several columns takes NaN for infinity where nulls come
    first (its lexsort_indexer), and it can't sort every Arrow type.
    """
    flags = ascending if isinstance(ascending, list) else [ascending] * len(by)
    order = np.arange(len(frame))
    for label, flag in reversed(list(zip(by, flags, strict=True))):
        key = frame[[label]].iloc[order].reset_index(drop=True)
        if isinstance(key.dtypes[label], pd.ArrowDtype):
            table = pa.table({"key": key[label].array._pa_array})
            by_key = SortKey("key", not flag, na_position == "first")
            order = order[arrow_data.oracle(table, [by_key])]
        else:
            found = key.sort_values(
                label, ascending=flag, na_position=na_position, kind="stable"
            )
            order = order[found.index.to_numpy()]
    return order.tolist()


def listed(values: Any) -> list[tuple[type, str]]:
    """Return values in a form that tells apart all that may differ."""
    array = values.array
    found = (
        array._pa_array.to_pylist() if isinstance(values.dtype, pd.ArrowDtype) else list(array)
    )
    return [(type(v), repr(v)) for v in found]


def assert_sorted(
    got: Sequence[pd.DataFrame],
    parts: Sequence[pd.DataFrame],
    by: Sequence[Any],
    ascending: Any = True,
    na_position: str = "last",
    *,
    ignore_index: bool = False,
) -> None:
    """Compare output partitions with pandas' sort of the input partitions together."""
    whole = pd.concat(parts)
    order = order_of(whole, by, ascending, na_position)
    for part in got:
        assert part.columns.equals(whole.columns)
        assert part.dtypes.tolist() == whole.dtypes.tolist()
        if not ignore_index:
            assert part.index.names == whole.index.names
            assert index_dtypes(part.index) == index_dtypes(whole.index)
    for position in range(len(whole.columns)):
        expected = listed(whole.iloc[:, position])
        found = [value for part in got for value in listed(part.iloc[:, position])]
        assert found == [expected[i] for i in order]
    found = [value for part in got for value in part.index.tolist()]
    labels = whole.index.tolist()
    assert found == (list(range(len(whole))) if ignore_index else [labels[i] for i in order])


def index_dtypes(index: pd.Index) -> list[Any]:
    return [index.get_level_values(level).dtype for level in range(index.nlevels)]


# ---------------------------------------------------------------- where it runs

Run = Callable[[dd.DataFrame], list[pd.DataFrame]]


def run_locally(scheduler: str) -> Run:
    """Return what computes every partition of a frame without a client."""

    def run(ddf: dd.DataFrame) -> list[pd.DataFrame]:
        with dask.config.set(scheduler=scheduler):
            return list(dask.compute(*ddf.to_delayed()))

    return run


def run_on_cluster(ddf: dd.DataFrame) -> list[pd.DataFrame]:
    """Compute every partition of a frame on the current client, as Dask lays them out.

    Never by a bare ``compute()``: it asks for one partition.
    """
    return list(dask.compute(*ddf.persist().to_delayed()))


@contextmanager
def two_workers(**kwargs: Any):
    """Yield a client of two workers."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            **{"processes": False, **kwargs},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def walk(result: dd.DataFrame) -> Iterator[Any]:
    """Yield all expressions that a frame is made of, also those that are in another's tasks."""
    for expr in result.optimize(fuse=False).expr.walk():
        yield expr
        for each in (e for op in expr.operands if isinstance(op, Inlined) for e in op.exprs):
            yield from each.walk()


def columns_read(result: dd.DataFrame) -> list[list[Any]]:
    """Return what columns a frame reads from Parquet files: for itself, and for samples."""
    found = []
    for expr in {expr._name: expr for expr in walk(result)}.values():
        if isinstance(expr, ReadParquet):
            found.append(expr.columns)
        if isinstance(expr, EachParquet):
            found.append(expr.source.leaf.columns)
    return found
