"""The local doors for tables: a table in, sorted rows out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort.table
from arrow_data import KEY_TYPES, Array, Stream, batch, chunked, column, oracle, payload
from dlsort import argsort, sort_table, top_k
from dlsort.errors import BadKeyError, KeyTypeError, UnknownColumnError
from dlsort.keys import SortKey
from dlsort.order.key_arrays import check_row_count
from dlsort.tuning import TUNING

WAYS_IN: dict[str, Callable[[pa.Table], Any]] = {
    "pyarrow Table": lambda table: table,
    "chunked Table": chunked,
    "RecordBatch": batch,
    "only the C stream": Stream,
    "only the C array": lambda table: Array(batch(table)),
    "pandas": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
}


def as_arrow(table: Any) -> pa.Table:
    if isinstance(table, pd.DataFrame):
        return pa.Table.from_pandas(table, preserve_index=False)
    return pa.table(table)


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
    got = as_arrow(sort_table(WAYS_IN[way](table), by))
    assert got["id"].to_pylist() == oracle(table, parse_by(by))
    assert got.column_names == table.column_names


@pytest.mark.parametrize("n", [100, 5000])
def test_text_beyond_the_reach_of_its_offsets_comes_in_chunks(monkeypatch, n):
    """As of 3 GB of it, which a table holds in several chunks."""
    recast = dlsort.table.recast

    def narrow(array, kind):
        if kind == pa.string() and len(array) > 30:
            raise pa.ArrowInvalid("Failed casting from large_string to string")
        return recast(array, kind)

    monkeypatch.setattr(dlsort.table, "recast", narrow)
    text = [f"{i * 7919 % n:05d}" for i in range(n)]
    table = pa.table({"s": pa.chunked_array([text[:60], text[60:]]), "i": range(n)})
    got = sort_table(table, "s")
    got.validate(full=True)
    assert got.schema == table.schema
    assert got["s"].num_chunks > 2
    assert got["s"].to_pylist() == sorted(text)
    assert [text[i] for i in got["i"].to_pylist()] == sorted(text)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_few_rows_are_sorted_by_arrow_as_by_us(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=3))
    n = data.draw(st.integers(0, 50))
    table = pa.table({"row": range(n)})
    keys = []
    for i, kind in enumerate(kinds):
        distinct, nulls = data.draw(st.sampled_from([None, 1, 3])), data.draw(st.booleans())
        values = column(rng, kind, n, distinct=distinct, nulls=0.2 * nulls)
        table = table.append_column(f"k{i}", values)
        keys.append(SortKey(f"k{i}", data.draw(st.booleans()), data.draw(st.booleans())))
    want = sort_table(table, keys, _tuning=replace(TUNING.order, arrow_rows=0, numpy_rows=0))
    got = sort_table(table, keys)
    got.validate(full=True)
    assert str(rows_of(got)) == str(rows_of(want))
    k = data.draw(st.integers(0, n + 1))
    assert str(rows_of(top_k(table, k, keys))) == str(rows_of(want)[:k])


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
        pd.testing.assert_frame_equal(sort_table(frame, key), want)


def test_a_polars_frame():
    pl = pytest.importorskip("polars")
    table = few()
    got = sort_table(pl.from_arrow(table), "note:desc,day")
    keys = (SortKey("note", descending=True), SortKey("day"))
    assert isinstance(got, pl.DataFrame)
    assert got["id"].to_list() == oracle(table, keys)


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
    assert as_arrow(got).num_rows == 0
    assert as_arrow(got).column_names == few(0).column_names


def test_a_table_is_returned_as_its_own_kind():
    for way, kind in (
        ("chunked Table", pa.Table),
        ("RecordBatch", pa.RecordBatch),
        ("only the C stream", pa.Table),
        ("pandas", pd.DataFrame),
    ):
        assert type(sort_table(WAYS_IN[way](few()), "day")) is kind


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
    every = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    table = pa.table({"x": [1], "every": every, "place": pa.array([{"a": every[0]}])})
    with pytest.raises(UnknownColumnError, match="no column 'y'"):
        sort_table(table, "y")
    with pytest.raises(BadKeyError):
        sort_table(table, "x:up")
    for name in ("every", "place"):
        with pytest.raises(KeyTypeError, match=rf"cannot sort by '{name}': .* \(here: x\)"):
            sort_table(table, name)


# ---------------------------------------------------------------- layouts that Arrow can't take


def test_dictionaries_inside_lists_and_structs_are_kept():
    kinds = [
        pa.list_(pa.dictionary(pa.uint32(), pa.string_view())),
        pa.large_list(pa.dictionary(pa.int8(), pa.int64())),
        pa.list_(pa.dictionary(pa.int8(), pa.string()), 1),
        pa.struct(
            [("a", pa.dictionary(pa.int16(), pa.string_view())), ("b", pa.string_view())]
        ),
        pa.map_(pa.string(), pa.dictionary(pa.int8(), pa.string())),
    ]
    columns = {"k": pa.array([3, 1, 2])}
    for i, kind in enumerate(kinds):
        words = pa.array([["x"], ["y"], ["x"]], pa.list_(pa.string()))
        if pa.types.is_large_list(kind):
            child = pa.array([7, 9, 7], pa.int64()).dictionary_encode().cast(kind.value_type)
            column = pa.LargeListArray.from_arrays([0, 1, 2, 3], child)
        elif pa.types.is_struct(kind):
            inner = words.flatten().dictionary_encode()
            inner = pa.DictionaryArray.from_arrays(
                inner.indices.cast(pa.int16()), inner.dictionary.cast(pa.string_view())
            )
            texts = words.flatten().cast(pa.string_view())
            column = pa.StructArray.from_arrays([inner, texts], fields=list(kind))
        elif pa.types.is_map(kind):
            inner = words.flatten().dictionary_encode().cast(kind.item_type)
            column = pa.MapArray.from_arrays([0, 1, 2, 3], pa.array(["p", "q", "r"]), inner)
        else:
            inner = words.flatten().dictionary_encode()
            inner = pa.DictionaryArray.from_arrays(
                inner.indices.cast(kind.value_type.index_type),
                inner.dictionary.cast(kind.value_type.value_type),
            )
            if pa.types.is_fixed_size_list(kind):
                column = pa.FixedSizeListArray.from_arrays(inner, 1)
            else:
                column = pa.ListArray.from_arrays([0, 1, 2, 3], inner)
        columns[str(i)] = column
    table = pa.table(columns)
    got = sort_table(table, "k")
    got.validate(full=True)
    assert got.schema == table.schema
    want = table.to_pylist()
    assert got.to_pylist() == [want[1], want[2], want[0]]


def test_narrow_dictionaries_that_are_too_many_together_get_wider_indices():
    pieces = [pa.array([f"{p}-{i}" for i in range(100)]).dictionary_encode() for p in range(2)]
    chunks = [
        pa.DictionaryArray.from_arrays(p.indices.cast(pa.int8()), p.dictionary) for p in pieces
    ]
    table = pa.table({"d": pa.chunked_array(chunks), "k": np.arange(200)[::-1]})
    got = sort_table(table, "k")
    assert got["d"].to_pylist() == table["d"].to_pylist()[::-1]
    assert sort_table(table, "d")["d"].to_pylist() == sorted(table["d"].to_pylist())


@pytest.mark.parametrize("ordered", [False, True])
def test_dictionaries_with_a_null_among_their_values_in_several_chunks(ordered):
    values = pa.array(["b", None, "a"])
    codes = pa.array([0, 1, 2, None], pa.int8())
    chunk = pa.DictionaryArray.from_arrays(codes, values, ordered=ordered)
    got = argsort(pa.chunked_array([chunk, chunk]))
    assert got.tolist() == ([0, 4, 2, 6] if ordered else [2, 6, 0, 4]) + [1, 3, 5, 7]


def test_pandas_frames_with_views():
    kind = pd.ArrowDtype(pa.string_view())
    frame = pd.DataFrame(
        {"a": pd.array(["b", None, "a"], kind), "k": [3, 1, 2]}, index=[5, 5, 9]
    )
    for by, rows in (("k", [1, 2, 0]), ("a", [2, 0, 1])):
        got = sort_table(frame, by)
        assert got.dtypes.tolist() == frame.dtypes.tolist()
        assert got["k"].tolist() == [frame["k"].tolist()[row] for row in rows]
        assert got["a"].tolist() == [frame["a"].tolist()[row] for row in rows]
        assert got.index.tolist() == frame.index[rows].tolist()


@pytest.mark.parametrize("most", [3, 100])
def test_lists_whose_items_are_more_than_rows_can_count(monkeypatch, most):
    monkeypatch.setattr("dlsort.arrow.take.MOST_ROWS", most)
    lists = pa.array([[i, i + 1] for i in range(60)], pa.list_(pa.int32()))
    fixed = pa.array([[i, i + 1] for i in range(60)], pa.list_(pa.int32(), 2))
    for values in (lists, lists.cast(pa.large_list(pa.int32())), fixed):
        table = pa.table({"x": values.slice(50), "k": np.arange(10)[::-1]})
        got = sort_table(table, "k")
        got.validate(full=True)
        assert got["x"].to_pylist() == table["x"].to_pylist()[::-1]


def test_more_rows_than_row_numbers_can_count_are_refused():
    class Long:
        num_rows = 2**32

    with pytest.raises(KeyTypeError, match="4,294,967,296 rows at once: the most is"):
        check_row_count(Long.num_rows)
    check_row_count(2**32 - 1)


# ---------------------------------------------------------------- keys that are computed

TEXTS = [
    "a",
    "B",
    "b",
    "a10",
    "a9",
    "A09",
    "Straße",
    "STRASSE",
    "",
    "7 up",
    "-3",
    "1e2",
    "é",
    "É",
]
FLAGS: dict[str, Callable[[str], Any]] = {
    "ignore_case": str.casefold,
    "natural": lambda text: [
        int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", text))
    ],
}


def drawn(data: st.DataObject) -> pa.Table:
    n = data.draw(st.integers(0, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = data.draw(
        st.sampled_from(
            [
                pa.string(),
                pa.large_string(),
                pa.string_view(),
                pa.dictionary(pa.int8(), pa.string()),
            ]
        )
    )
    text = pa.array([TEXTS[i] if i < len(TEXTS) else None for i in rng.integers(0, 16, n)])
    text = text.cast(pa.string())
    is_coded = pa.types.is_dictionary(kind)
    coded = text.dictionary_encode().cast(kind) if is_coded else text.cast(kind)
    x = rng.choice([1.5, -1.5, np.nan, 0.0], n)
    return pa.table({"s": coded, "x": pa.array(x, from_pandas=False), "row": np.arange(n)})


def stable(
    rows: list[int], values: list[Any], *, descending: bool, nulls_first: bool
) -> list[int]:
    """Return row numbers in the order of their values, None at its end."""
    missing = [row for row in rows if values[row] is None]
    present = sorted(
        (row for row in rows if values[row] is not None),
        key=values.__getitem__,
        reverse=descending,
    )
    return missing + present if nulls_first else present + missing


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_text_by_flags_as_pythons_own_sort_has_it(data):
    table = drawn(data)
    flag = data.draw(st.sampled_from(sorted(FLAGS)))
    descending, nulls_first, reverse = (data.draw(st.booleans()) for _ in range(3))
    second = data.draw(st.sampled_from(["abs(x)", "abs(x):desc", "row % 3:desc"]))
    by = f"s{':desc' if descending else ''}{':nulls_first' if nulls_first else ''},{second}"
    got = sort_table(chunked(table), by, reverse=reverse, **{flag: True})
    got.validate(full=True)
    assert got.schema == table.schema
    of_row = [row % 3 for row in range(table.num_rows)]
    of_x = [None if math.isnan(x) else abs(x) for x in table["x"].to_pylist()]
    values = of_x if "abs" in second else of_row
    how = {"descending": (":desc" in second) != reverse, "nulls_first": reverse}
    rows = stable(list(range(table.num_rows)), values, **how)
    texts = [
        None if s is None else FLAGS[flag](s) for s in table["s"].cast(pa.string()).to_pylist()
    ]
    want = stable(
        rows, texts, descending=descending != reverse, nulls_first=nulls_first != reverse
    )
    assert got["row"].to_pylist() == want
    k = data.draw(st.integers(0, table.num_rows))
    first = top_k(table, k, by, reverse=reverse, **{flag: True})
    assert first["row"].to_pylist() == want[:k]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_key_function_of_pandas_does_the_same(data):
    table = drawn(data)
    frame = table.set_column(0, "s", table["s"].cast(pa.string())).to_pandas()
    ascending = data.draw(st.booleans())
    want = frame.sort_values(
        "x", key=lambda x: x.abs(), kind="stable", ascending=ascending, na_position="first"
    )
    by = f"abs(x):{'asc' if ascending else 'desc'}:nulls_first"
    for given_as in (table, frame, pl.from_arrow(table.select(["x", "row"]))):
        got = as_arrow(sort_table(given_as, by))
        assert got["row"].to_pylist() == want["row"].tolist()


def test_a_key_that_is_computed_leaves_a_frame_as_it_was():
    frame = pd.DataFrame({"s": ["b", "A", None], "x": [1.0, np.nan, 3.0]}, index=[7, 8, 9])
    got = sort_table(frame, "lower(s):nulls_first")
    pd.testing.assert_frame_equal(got, frame.loc[[9, 8, 7]])
    got = sort_table(frame, [pc.field("x") * -1])
    pd.testing.assert_frame_equal(got, frame.loc[[9, 7, 8]])
    with pytest.raises(UnknownColumnError, match="no column 'z'"):
        sort_table(frame, "lower(z)")


def test_a_column_that_is_named_like_an_expression_is_itself():
    table = pa.table({"lower(s)": [2, 1], "s": ["a", "b"], "a + b": [1, 2]})
    assert sort_table(table, "lower(s)")["s"].to_pylist() == ["b", "a"]
    assert sort_table(table, "a + b:desc")["s"].to_pylist() == ["b", "a"]
    assert sort_table(table, '"lower(s)":desc')["s"].to_pylist() == ["a", "b"]
