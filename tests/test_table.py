"""The local doors: a table or an array in, sorted rows or row numbers out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, column, oracle, payload
from dlsort import argsort, sort_table
from dlsort.errors import BadKeyError, BadOptionError, KeyTypeError, UnknownColumnError
from dlsort.keys import SortKey


class Stream:
    """Nothing but the Arrow C stream interface."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Array:
    """Nothing but the Arrow C array interface."""

    def __init__(self, array: pa.RecordBatch | pa.Array) -> None:
        self._array = array

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._array.__arrow_c_array__(requested_schema)


def batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def chunked(table: pa.Table) -> pa.Table:
    third = table.num_rows // 3
    pieces = [table.slice(0, third), table.slice(0, 0), table.slice(third)]
    return pa.concat_tables(pieces)


WAYS_IN: dict[str, Callable[[pa.Table], Any]] = {
    "pyarrow Table": lambda table: table,
    "chunked Table": chunked,
    "RecordBatch": batch,
    "only the C stream": Stream,
    "only the C array": lambda table: Array(batch(table)),
    "pandas": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
}


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return table.to_pylist()


def few(n: int = 60, seed: int = 0) -> pa.Table:
    """Return rows with many ties, which only a stable sort keeps in place."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "day": column(rng, "int8", n, distinct=4),
            "price": column(rng, "double", n, distinct=5),
            "note": column(rng, "string", n, distinct=5),
            "id": np.arange(n),
        }
    )


# ---------------------------------------------------------------- sort_table


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize("by", ["day", "price:desc,note", "note:nulls_first,day:desc"])
def test_every_way_in_gives_the_stable_order(way, by):
    from dlsort.keys import parse_by

    table = few()
    got = sort_table(WAYS_IN[way](table), by)
    assert got["id"].to_pylist() == oracle(table, parse_by(by))
    assert got.column_names == table.column_names


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_key_type_and_payload(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=3))
    table = payload(data.draw(st.integers(0, 50)))
    keys = []
    for i, kind in enumerate(kinds):
        distinct = data.draw(st.sampled_from([None, 1, 3]))
        values = column(rng, kind, table.num_rows, distinct=distinct)
        table = table.append_column(f"k{i}", values)
        keys.append(SortKey(f"k{i}", data.draw(st.booleans()), data.draw(st.booleans())))
    got = sort_table(chunked(table), keys)
    got.validate(full=True)
    assert got.schema == table.schema
    want = rows_of(table)
    assert str(rows_of(got)) == str([want[i] for i in oracle(table, keys)])


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("na_position", ["first", "last"])
def test_a_pandas_frame_as_pandas_sorts_it(ascending, na_position):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "x": rng.choice([1.5, np.nan, -2.0, 7.0], 80),
            "when": pd.to_datetime(rng.choice(["2024-01-01", "NaT", "2023-05-05"], 80)),
            "size": pd.Categorical(
                rng.choice(["small", "large"], 80), ["small", "large"], ordered=True
            ),
            "id": np.arange(80),
        }
    )
    for name in ("x", "when", "size"):
        key = SortKey(name, not ascending, na_position == "first")
        want = frame.sort_values(
            name, ascending=ascending, na_position=na_position, kind="stable"
        )
        assert sort_table(frame, key)["id"].to_pylist() == want["id"].tolist()


def test_a_polars_frame():
    pl = pytest.importorskip("polars")
    table = few()
    got = sort_table(pl.from_arrow(table), "note:desc,day")
    keys = (SortKey("note", descending=True), SortKey("day"))
    assert got["id"].to_pylist() == oracle(table, keys)
    series = pl.Series([3, None, 1, 3])
    assert argsort(series).tolist() == [2, 0, 3, 1]


def test_the_schema_is_kept_to_the_letter():
    schema = pa.schema(
        [
            pa.field("k", pa.int64(), nullable=False, metadata={"unit": "s"}),
            pa.field("view", pa.string_view(), metadata={"note": "x"}),
            pa.field("bytes", pa.binary_view()),
            pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
            pa.field("rank", pa.dictionary(pa.uint16(), pa.string(), ordered=True)),
            pa.field("ids", pa.list_(pa.field("item", pa.string_view(), nullable=False))),
            pa.field("large", pa.large_string()),
        ],
        metadata={"owner": "me"},
    )
    low_first = pa.array(["low", "high"])
    columns = [
        pa.array([3, 1, 2]),
        pa.array(["c", None, "b" * 40]).cast(pa.string_view()),
        pa.array([b"c", None, b"b"]).cast(pa.binary_view()),
        pa.DictionaryArray.from_arrays(pa.array([1, 0, 1], pa.int8()), ["x", "y"]),
        pa.DictionaryArray.from_arrays(
            pa.array([1, 0, 1], pa.uint16()), low_first, ordered=True
        ),
        pa.array([["a"], [], ["b", "c"]]).cast(schema.field("ids").type),
        pa.array(["c", "a", "b"], pa.large_string()),
    ]
    table = pa.table(columns, schema=schema)
    rows = rows_of(table)
    for by in ("k", "view", "kind,k", "rank:desc,k"):
        got = sort_table(table, by)
        got.validate(full=True)
        assert got.schema.equals(schema, check_metadata=True)
        assert sorted(map(str, rows_of(got))) == sorted(map(str, rows))
    assert sort_table(table, "k")["k"].to_pylist() == [1, 2, 3]
    assert sort_table(table, "rank,k")["rank"].to_pylist() == ["low", "high", "high"]


@pytest.mark.parametrize("way", WAYS_IN)
def test_no_rows(way):
    if way in ("RecordBatch", "only the C array"):
        empty = pa.RecordBatch.from_pylist([], few().schema)
        got = sort_table(empty if way == "RecordBatch" else Array(empty), "day")
    else:
        got = sort_table(WAYS_IN[way](few(0)), "day")
    assert got.num_rows == 0
    assert got.column_names == few(0).column_names


def test_the_table_given_is_left_as_it_was():
    table = few()
    before = rows_of(table)
    sort_table(table, "price")
    assert str(rows_of(table)) == str(before)


@pytest.mark.parametrize("what", [[1, 2], {"x": [1]}, np.zeros(3), None, "x"])
def test_what_is_no_table_is_refused(what):
    with pytest.raises(KeyTypeError, match=f"cannot sort a {type(what).__name__}; expected"):
        sort_table(what, "x")


@pytest.mark.parametrize(
    "what", [pa.array([1]), pa.chunked_array([[1]]), pd.Series([1], name="x")], ids=type
)
def test_one_column_is_no_table(what):
    with pytest.raises(KeyTypeError, match="cannot sort"):
        sort_table(what, "x")


def test_a_run_end_encoded_payload():
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int32()), pa.array(["a", "b"]))
    got = sort_table(pa.table({"k": [2, 1, 0], "runs": runs}), "k")
    assert got["runs"].to_pylist() == ["b", "b", "a"]


def test_keys_that_cannot_be_are_refused():
    table = pa.table({"x": [1], "tags": [[1]], "place": [{"a": 1}]})
    with pytest.raises(UnknownColumnError, match="no column 'y'"):
        sort_table(table, "y")
    with pytest.raises(BadKeyError):
        sort_table(table, "x:up")
    for name in ("tags", "place"):
        with pytest.raises(KeyTypeError, match=rf"cannot sort by '{name}': .* \(here: x\)"):
            sort_table(table, name)


# ---------------------------------------------------------------- argsort


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
    with pytest.raises(KeyTypeError, match="list"):
        argsort([[1], [2]])


@pytest.mark.parametrize(
    "values",
    [
        np.array([1j]),
        np.zeros(2, [("a", np.int64)]),
        np.array([1, "a"], dtype=object),
        np.array([object()]),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pd.Series(pd.interval_range(0, 2)),
        5,
        None,
    ],
    ids=str,
)
def test_values_without_an_order_are_refused(values):
    with pytest.raises(KeyTypeError, match=r"^cannot sort "):
        argsort(values)


@pytest.mark.parametrize("word", ["middle", "", "First", None, True])
def test_an_unknown_na_position_is_refused(word):
    message = f"na_position is {word!r}; expected 'first' or 'last'"
    with pytest.raises(BadOptionError, match=message):
        argsort([1], na_position=word)
