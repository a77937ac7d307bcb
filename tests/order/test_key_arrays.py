"""What the local doors take as keys: arrays of any library, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from arrow_data import KEY_TYPES, Array, Stream, chunked, column, oracle
from dlsort import argsort, is_sorted, rank
from dlsort.errors import BadOptionError, KeyTypeError
from dlsort.keys import SortKey

BOTH = [True, False]
PLACES = ["first", "last"]


# ---------------------------------------------------------------- one key column


@pytest.mark.parametrize("na_position", ["first", "last"])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_the_row_numbers_of_every_key_type(kind, ascending, na_position):
    rng = np.random.default_rng(5)
    key = SortKey("values", not ascending, na_position == "first")
    for n, distinct in ((0, None), (1, None), (200, None), (200, 3)):
        table = pa.table({"values": column(rng, kind, n, distinct=distinct)})
        want = oracle(table, [key])
        inputs = [
            table["values"],
            table["values"].combine_chunks() if n else column(rng, kind, 0),
            chunked(table)["values"],
            Stream(table["values"]),
        ]
        for values in inputs:
            got = argsort(values, ascending=ascending, na_position=na_position)
            assert got.dtype == np.int64
            assert got.tolist() == want


NUMPY: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "int64": lambda rng: rng.integers(-5, 5, 99),
    "int64, all bits": lambda rng: rng.integers(-(2**63), 2**63 - 1, 99),
    "uint64": lambda rng: rng.integers(0, 2**64 - 1, 99, dtype=np.uint64),
    "big-endian int16": lambda rng: rng.integers(-300, 300, 99).astype(">i2"),
    "big-endian int64": lambda rng: rng.integers(-(2**40), 2**40, 99).astype(">i8"),
    "big-endian float64": lambda rng: rng.normal(size=99).astype(">f8"),
    "float16 with NaN": lambda rng: np.where(
        rng.random(99) < 0.2, np.nan, rng.normal(size=99)
    ).astype(np.float16),
    "float32 with NaN and infinities": lambda rng: rng.choice(
        np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5], np.float32), 99
    ),
    "bool": lambda rng: rng.random(99) < 0.5,
    "every third bool": lambda rng: (rng.random(297) < 0.5)[::3],
    "datetime64 with NaT": lambda rng: rng.choice(
        np.array(["2024-01-01", "NaT", "1950-07-01", "2023-02-03"], "M8[ns]"), 99
    ),
    "days with NaT": lambda rng: rng.choice(
        np.array(["2024-01-01", "NaT", "1950-07-01"], "M8[D]"), 99
    ),
    "big-endian datetime64": lambda rng: rng.choice(
        np.array(["2024-01-01", "NaT", "1950-07-01"], ">M8[s]"), 99
    ),
    "timedelta64 with NaT": lambda rng: rng.choice(np.array([5, "NaT", -2], "m8[us]"), 99),
    "integers of all widths at their limits": lambda rng: rng.choice(
        np.array([-(2**31), 2**31 - 1, 0, -1], np.int32), 99
    ),
    "every other row": lambda rng: rng.integers(0, 9, 198)[::2],
    "backwards": lambda rng: rng.normal(size=99)[::-1],
    "a column of a matrix": lambda rng: rng.integers(0, 9, (99, 4))[:, 2],
    "read-only": lambda rng: np.frombuffer(rng.bytes(99), np.uint8),
    "text": lambda rng: rng.integers(0, 50, 99).astype(str),
    "big-endian text": lambda rng: rng.choice(np.array(["zoë", "日本", "", "a"], ">U4"), 99),
}


@pytest.mark.parametrize("na_position", ["first", "last"])
@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("name", NUMPY)
def test_numpy_arrays_as_pandas_sorts_them(name, ascending, na_position):
    values = NUMPY[name](np.random.default_rng(7))
    before = values.copy()
    got = argsort(values, ascending=ascending, na_position=na_position)
    native = pd.Series(values.astype(values.dtype.newbyteorder("=")))
    if native.dtype == np.float16:
        native = native.astype(np.float32)
    want = native.sort_values(ascending=ascending, na_position=na_position, kind="stable")
    assert got.tolist() == want.index.tolist()
    np.testing.assert_array_equal(values, before)


def test_masked_values_are_nulls():
    values = np.ma.masked_array([3, 9, 1, 2], mask=[False, True, False, False])
    assert argsort(values).tolist() == [2, 3, 0, 1]
    assert argsort(values, na_position="first").tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([3.5, np.nan, -1.0, 3.5], index=[9, 9, 1, 0]),
        pd.Series([3, None, 1, 3], dtype="Int64"),
        pd.Series(["b", None, "a", "b"]),
        pd.Series(["b", None, "a", "b"], dtype=object),
        pd.Series(["low", None, "high", "low"]).astype(
            pd.CategoricalDtype(["high", "low"], ordered=True)
        ),
        pd.to_datetime(pd.Series(["2024", None, "2020", "2024"])).dt.tz_localize("UTC"),
        pd.Index([3, None, 1, 3]),
        pd.array([True, None, False, True], dtype="boolean"),
        pd.Series([3, None, 1, 3], dtype=pd.ArrowDtype(pa.int64())),
        Array(pa.array([3, None, 1, 3])),
        Stream(pa.chunked_array([[3, None], [1, 3]])),
        [3, None, 1, 3],
        (3.5, float("nan"), -1.0, 3.5),
        ["b", None, "a", "b"],
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_other_sequences(values):
    assert argsort(values).tolist() == [2, 0, 3, 1]
    assert argsort(values, ascending=False).tolist() == [0, 3, 2, 1]
    assert argsort(values, na_position="first").tolist() == [1, 2, 0, 3]
    assert argsort(values, ascending=False, na_position="first").tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("values", [[], (), np.empty(0), pa.array([], pa.string()), range(0)])
def test_no_values(values):
    got = argsort(values)
    assert got.dtype == np.int64
    assert got.shape == (0,)


def test_only_one_dimension():
    for values, found in ((np.zeros((2, 2)), 2), (np.zeros((0, 3)), 2), (np.array(1), 0)):
        with pytest.raises(KeyTypeError, match=f"expected one dimension, found {found}"):
            argsort(values)
    # lists are values of one dimension
    assert argsort([[2], [1, 0], [1]]).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "values",
    [
        np.array([1j]),
        np.zeros(2, [("a", np.int64)]),
        np.array([1, "a"], dtype=object),
        np.array([object()]),
        pa.array([[(1, 2, 3)]], pa.list_(pa.month_day_nano_interval())),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        5,
        None,
    ],
    ids=lambda values: type(values).__name__,
)
def test_values_without_an_order_are_refused(values):
    with pytest.raises(KeyTypeError, match=r"^cannot sort "):
        argsort(values)


def test_intervals_sort_as_pandas_has_them():
    values = pd.Series(pd.arrays.IntervalArray.from_tuples([(1, 2), (0, 3), None, (0, 1)]))
    assert argsort(values).tolist() == values.argsort(kind="stable").tolist() == [3, 1, 0, 2]


# ---------------------------------------------------------------- several key columns


def three_keys(n: int = 80) -> pa.Table:
    rng = np.random.default_rng(14)
    return pa.table(
        {
            "day": column(rng, "int8", n, distinct=3),
            "price": column(rng, "double", n, distinct=4),
            "note": column(rng, "string", n, distinct=5),
        }
    )


def numpy_arrays(table: pa.Table) -> list[np.ndarray]:
    return [each.to_numpy() for each in table.columns]


SEVERAL: dict[str, Callable[[pa.Table], Any]] = {
    "list of NumPy arrays": numpy_arrays,
    "tuple of NumPy arrays": lambda table: tuple(numpy_arrays(table)),
    "Arrow arrays": lambda table: [each.combine_chunks() for each in table.columns],
    "chunked Arrow arrays": lambda table: chunked(table).columns,
    "pandas Series": lambda table: [each.to_pandas() for each in table.columns],
    "pandas Index": lambda table: [pd.Index(each.to_pandas()) for each in table.columns],
    "only the C stream": lambda table: [Stream(each) for each in table.columns],
    "only the C array": lambda table: [Array(each.combine_chunks()) for each in table.columns],
    "of each kind one": lambda table: (table[0], numpy_arrays(table)[1], Stream(table[2])),
    "pyarrow Table": lambda table: table,
    "chunked Table": chunked,
    "RecordBatch": lambda table: table.to_batches()[0],
    "pandas DataFrame": lambda table: table.to_pandas(),
    "DataFrame of Arrow columns": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "DataFrame with an index": lambda table: table.to_pandas().set_index(
        pd.Index(range(table.num_rows, 0, -1))
    ),
    "only the C stream of a table": Stream,
}

DIRECTIONS = [
    (True, "last"),
    (False, "first"),
    ([True, False, True], "last"),
    (np.array([False, True, False]), ("first", "last", "first")),
    (False, ["last", "first", "last"]),
]


def sort_keys(
    names: Sequence[str], ascending: bool | Sequence[bool], na_position: str | Sequence[str]
) -> list[SortKey]:
    n = len(names)
    up = [ascending] * n if isinstance(ascending, bool) else list(ascending)
    places = [na_position] * n if isinstance(na_position, str) else list(na_position)
    return [
        SortKey(name, not is_up, place == "first")
        for name, is_up, place in zip(names, up, places, strict=True)
    ]


@pytest.mark.parametrize(("ascending", "na_position"), DIRECTIONS)
@pytest.mark.parametrize("way", SEVERAL)
def test_several_key_columns(way, ascending, na_position):
    table = three_keys()
    keys = SEVERAL[way](table)
    want = oracle(table, sort_keys(table.column_names, ascending, na_position))
    how = {"ascending": ascending, "na_position": na_position}
    assert argsort(keys, **how).tolist() == want
    assert not is_sorted(keys, **how)
    assert is_sorted(table.take(want), **how)
    places = np.empty(len(want), np.int64)
    places[want] = np.arange(len(want))
    assert rank(keys, method="first", **how).tolist() == places.tolist()


def test_polars_series_and_frames():
    pl = pytest.importorskip("polars")
    assert argsort(pl.Series([3, None, 1, 3])).tolist() == [2, 0, 3, 1]
    table = three_keys()
    want = oracle(table, sort_keys(table.column_names, [False, True, True], "last"))
    frame = pl.from_arrow(table)
    assert argsort(frame.get_columns(), ascending=[False, True, True]).tolist() == want
    assert argsort(frame, ascending=[False, True, True]).tolist() == want


def test_a_list_with_one_array_is_one_key_column():
    assert argsort([np.array([3, 1, 2])]).tolist() == [1, 2, 0]
    assert argsort((pa.array(["b", "a"]),), ascending=[False]).tolist() == [0, 1]


def test_a_list_of_numpys_own_scalars_is_one_key_column():
    assert argsort([np.str_("b"), np.str_("a")]).tolist() == [1, 0]
    assert argsort([np.float32(2), np.float32(1)]).tolist() == [1, 0]


@pytest.mark.parametrize(
    "keys", [[np.empty(0), np.empty(0)], three_keys(0), pd.DataFrame({"a": [], "b": []})]
)
def test_several_columns_without_rows(keys):
    assert argsort(keys).shape == rank(keys).shape == (0,)
    assert is_sorted(keys)


def test_the_keys_are_left_as_they_were():
    table = three_keys()
    keys = numpy_arrays(table)
    before = [each.copy() for each in keys]
    argsort(keys, ascending=False)
    rank(keys)
    for each, old in zip(keys, before, strict=True):
        pd.testing.assert_series_equal(pd.Series(each), pd.Series(old))


# ---------------------------------------------------------------- refusals


DOORS = [argsort, rank, is_sorted]


@pytest.mark.parametrize("door", DOORS)
def test_columns_of_different_lengths_are_refused(door):
    with pytest.raises(KeyTypeError, match=r"of different lengths: 2, 1,000 rows"):
        door([np.zeros(2), np.zeros(1000)])


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "keys", [pa.table({}), pd.DataFrame(), pd.DataFrame(index=[3, 1, 2])], ids=type
)
def test_a_table_without_columns_is_refused(keys, door):
    with pytest.raises(KeyTypeError, match="a table without columns"):
        door(keys)


@pytest.mark.parametrize("door", DOORS)
def test_a_frame_that_arrow_cannot_hold_is_refused(door):
    with pytest.raises(KeyTypeError, match=r"^cannot sort "):
        door(pd.DataFrame({"a": [1, "x"]}))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"ascending": [True]}, "ascending has 1 entries for 2 key columns"),
        ({"ascending": []}, "ascending has 0 entries for 2 key columns"),
        ({"na_position": ["last"] * 3}, "na_position has 3 entries for 2 key columns"),
        ({"ascending": [True, 1]}, "ascending is 1; expected True or False"),
        ({"ascending": None}, "ascending is None; expected True or False"),
        ({"ascending": "up"}, "ascending is 'up'; expected True or False"),
        ({"na_position": ["first", None]}, "na_position is None; expected 'last' or 'first'"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(option, message, door):
    with pytest.raises(BadOptionError, match=message):
        door([np.zeros(3), np.zeros(3)], **option)


@pytest.mark.parametrize("door", [argsort, rank])
@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_an_impossible_number_of_threads_is_refused(threads, door):
    with pytest.raises(
        BadOptionError, match=f"threads is {threads!r}; expected a whole number"
    ):
        door([1], threads=threads)


@pytest.mark.parametrize("method", ["max", "", None, ["min"]])
def test_an_unknown_method_is_refused(method):
    with pytest.raises(BadOptionError, match="expected 'min', 'dense' or 'first'"):
        rank([1], method=method)


@pytest.mark.parametrize("word", ["middle", "", "First", None, True])
def test_an_unknown_na_position_is_refused(word):
    message = f"na_position is {word!r}; expected 'last' or 'first'"
    with pytest.raises(BadOptionError, match=message):
        argsort([1], na_position=word)
