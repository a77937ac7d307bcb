"""The local doors for tables: a table in, sorted rows out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, Array, Stream, batch, chunked, column, oracle, payload
from dlsort import sort_table
from dlsort.errors import BadKeyError, KeyTypeError, UnknownColumnError
from dlsort.keys import SortKey

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
    table = pa.table({"x": [1], "tags": [[1]], "place": [{"a": 1}]})
    with pytest.raises(UnknownColumnError, match="no column 'y'"):
        sort_table(table, "y")
    with pytest.raises(BadKeyError):
        sort_table(table, "x:up")
    for name in ("tags", "place"):
        with pytest.raises(KeyTypeError, match=rf"cannot sort by '{name}': .* \(here: x\)"):
            sort_table(table, name)
