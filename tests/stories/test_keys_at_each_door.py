"""Keys that people mean, at each door: odd names, fields, nested values, a place for NaN.

Each case is sorted as a dataset, in one store too, checked with its key and with the one that
its parts tell, and sorted as a table of pyarrow, Polars and pandas.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort
from arrow_data import oracle
from commands import dlsort as command
from dlsort.keys import By, SortKey, parse_by

N = 60
NAN = float("nan")


def draw(*values: Any) -> list[Any]:
    """Return N of some values, as they fall."""
    rng = np.random.default_rng(len(values))
    return [values[i] for i in rng.integers(0, len(values), N)]


def floats(kind: pa.DataType | None = None) -> pa.Array:
    values = draw(NAN, None, 1.5, -np.inf, np.inf, 0.0, -0.0, -2.0)
    if kind == pa.float16():
        values = [v if v is None else np.float16(v) for v in values]
    return pa.array(values, kind)


def structs(**fields: Any) -> pa.Array:
    arrays = [pa.array(values) for values in fields.values()]
    mask = pa.array([i % 11 == 5 for i in range(N)])
    return pa.StructArray.from_arrays(arrays, list(fields), mask=mask)


class Case(NamedTuple):
    """Columns, the key in Python, and as the command has it."""

    columns: dict[str, Any]
    by: By
    texts: tuple[str, ...]


INTS, WORDS = draw(3, 1, 2, None), draw("b", "a", "", None)
DAYS = draw(dt.date(2020, 2, 29), dt.date(1999, 1, 1), None)
PRICES = draw(Decimal("1.50"), Decimal("-3.25"), None)

NAMES = {
    "a space before": Case({"id": INTS, " id": WORDS}, [" id"], (" id",)),
    "a colon": Case({"dc": WORDS, "dc:title": INTS}, "dc:title", ("dc:title",)),
    "a comma and a mark": Case(
        {"price, USD": INTS, "x": WORDS}, [("price, USD", "desc")], ("price, USD:desc",)
    ),
    "a mark in it": Case({"a": INTS, "a:desc": WORDS}, ["a:desc"], ("a:desc",)),
    "quotes": Case({'"q"': INTS, "q": WORDS}, [('"q"', "desc")], ('"q":desc',)),
    "several": Case(
        {"b,c": INTS, "k": WORDS, " ": DAYS},
        ["k", ("b,c", "desc", "nulls_first"), " "],
        ("k", "b,c:desc:nulls_first", " "),
    ),
    "a dot beside a struct": Case(
        {"ev": structs(ts=INTS), "ev.ts": WORDS}, "ev.ts", ("ev.ts",)
    ),
    "no name": Case({"": INTS, "x": WORDS}, [""], ("",)),
}

NESTED = {
    "a field": Case({"ev": structs(ts=INTS, w=WORDS)}, "ev.ts", ("ev.ts",)),
    "a field of a field": Case(
        {"a": structs(b=structs(**{"c.d": DAYS}))}, "a.b.c.d:desc", ("a.b.c.d:desc",)
    ),
    "a struct": Case({"s": structs(i=INTS, w=WORDS)}, "s:desc", ("s:desc",)),
    "a struct of a date and a decimal": Case(
        {"s": structs(d=DAYS, p=PRICES), "x": INTS}, "s:nulls_first,x", ("s:nulls_first", "x")
    ),
    "a list": Case({"l": draw([1, 2], [1], [], None, [1, None], [0, 9])}, "l", ("l",)),
    "a list of text": Case(
        {"l": draw(["a"], ["a", ""], ["a\0"], ["a", "b"], None, [])}, "l:desc", ("l:desc",)
    ),
    "a list of structs": Case(
        {"l": draw([{"x": 1.5}], [{"x": None}, {"x": 0.0}], [], [{"x": NAN}])},
        "l:nan_last",
        ("l:nan_last",),
    ),
    "a list of fixed size": Case(
        {"l": pa.array(draw([1, 2], [2, 1], None, [1, None]), pa.list_(pa.int16(), 2))},
        "l",
        ("l",),
    ),
    "a map": Case(
        {
            "m": pa.array(
                draw([("a", 1)], [("a", 0), ("b", 2)], [], None),
                pa.map_(pa.string(), pa.int32()),
            )
        },
        "m:desc",
        ("m:desc",),
    ),
}

OF_NAN = {
    "last": Case({"x": floats()}, "x:nan_last", ("x:nan_last",)),
    "first": Case({"x": floats(pa.float32())}, "x:nan_first", ("x:nan_first",)),
    "greatest, descending": Case(
        {"x": floats(pa.float16())}, "x:desc:nan_first", ("x:desc:nan_first",)
    ),
    "last, descending, nulls first": Case(
        {"x": floats()},
        [("x", "desc", "nulls_first", "nan_last")],
        ("x:desc:nulls_first:nan_last",),
    ),
    "in the second key": Case(
        {"k": INTS, "x": floats()}, "k:desc,x:nan_last", ("k:desc", "x:nan_last")
    ),
    "in a field": Case({"s": structs(f=floats())}, "s.f:nan_first", ("s.f:nan_first",)),
    "in a struct": Case({"s": structs(f=floats())}, "s:nan_last", ("s:nan_last",)),
}

CASES = {
    f"{kind}: {name}": case
    for kind, cases in (("names", NAMES), ("nested", NESTED), ("NaN", OF_NAN))
    for name, case in cases.items()
}
ALL = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def of(case: Case) -> tuple[pa.Table, list[int]]:
    """Return the case's table, and its rows in order."""
    table = pa.table({**case.columns, "__row": range(N)})
    return table, oracle(table, parse_by(case.by, table.column_names))


@ALL
def test_datasets_the_check_and_the_command(tmp_path, case):
    table, order = of(case)
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for i in range(3):
        pq.write_table(table.slice(20 * i, 20), source / f"{i}.parquet", row_group_size=7)
    how = {"partitions": 3, "threads": 1}
    dlsort.sort_dataset(source, out, by=case.by, **how)
    assert pq.read_table(out)["__row"].to_pylist() == order
    assert dlsort.check_dataset(out, by=case.by, against=source).ok
    assert dlsort.check_dataset(out).ok  # by what the parts tell
    assert not dlsort.check_dataset(source, by=case.by).ok
    args = [arg for text in case.texts for arg in ("--by", text)]
    assert command("check", out, *args).exit_code == 0
    assert command("check", source, *args).exit_code == 1
    again = command("sort", out, tmp_path / "again", *args, "--threads", 1)
    assert again.exit_code == 0, again.output
    assert pq.read_table(tmp_path / "again")["__row"].to_pylist() == order


@ALL
def test_tables(case):
    table, order = of(case)
    assert dlsort.sort_table(table, case.by)["__row"].to_pylist() == order
    assert dlsort.top_k(table, 9, case.by)["__row"].to_pylist() == order[:9]
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert dlsort.sort_table(frame, case.by)["__row"].tolist() == order
    # Polars has no maps, and gives what has no name one.
    if not pa.types.is_map(table.schema.field(0).type) and "" not in case.columns:
        assert dlsort.sort_table(pl.from_arrow(table), case.by)["__row"].to_list() == order


def test_a_store(tmp_path):
    place = f"memory://{uuid.uuid4().hex}"
    table, order = of(CASES["nested: a list of structs"])
    by = CASES["nested: a list of structs"].by
    pq.write_table(table, tmp_path / "in.parquet")
    dlsort.sort_dataset(tmp_path / "in.parquet", f"{place}/out", by=by, threads=1)
    dlsort.sort_dataset(f"{place}/out", tmp_path / "out", by="__row", threads=1)
    assert dlsort.check_dataset(f"{place}/out").ok
    dlsort.sort_dataset(f"{place}/out", tmp_path / "back", by=by, threads=1)
    assert pq.read_table(tmp_path / "back")["__row"].to_pylist() == order


RULES = {
    "x:nulls_first:nan_last": "x:nulls_first",
    "x:nulls_first": "x:nulls_first:nan_last",
    "x:desc:nan_first": "x:desc:nan_last",
    "x:nan_first": "x",
    "k:nulls_first,x:nulls_first:nan_last": "k:nulls_first,x:nulls_first",
}


@pytest.mark.parametrize(("of_file", "asked"), RULES.items())
def test_the_check_tells_where_nan_stands(tmp_path, of_file, asked):
    table = pa.table({"x": floats(), "k": INTS})
    pq.write_table(dlsort.sort_table(table, of_file), tmp_path / "a.parquet", row_group_size=9)
    found = dlsort.check_dataset(tmp_path, by=asked)
    assert not found.ok
    assert found.sorted_if.endswith(f": check by {of_file}.")
    assert found.sorted_if in found.to_text()
    told = command("check", tmp_path, "--by", asked)
    assert told.exit_code == 1
    assert f"check by {of_file}." in told.stderr
    assert dlsort.check_dataset(tmp_path, by=of_file).ok


def test_the_check_says_nothing_of_nan_where_more_is_wrong(tmp_path):
    pq.write_table(pa.table({"x": [NAN, 2.0, 1.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [2.0, 1.0]}), tmp_path / "b.parquet")
    for name in ("a", "b"):
        found = dlsort.check_dataset(tmp_path / f"{name}.parquet", by="x:nan_first")
        assert not found.ok
        assert found.sorted_if is None


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_what_others_sort_is_in_order_by_their_rule(tmp_path, engine):
    table = pa.table({"x": floats(), "k": INTS})
    for direction, by in (("asc", "x:nan_last"), ("desc", "x:desc:nan_first")):
        path = tmp_path / f"{direction}.parquet"
        if engine == "duckdb":
            duckdb = pytest.importorskip("duckdb")
            with duckdb.connect() as connection:
                connection.register("t", table)
                query = f"select * from t order by x {direction} nulls last"
                pq.write_table(connection.sql(query).to_arrow_table(), path)
        else:
            down = direction == "desc"
            pl.from_arrow(table).sort("x", descending=down, nulls_last=True).write_parquet(path)
        assert dlsort.check_dataset(path, by=by).ok


def test_nested_values_sort_as_duckdb_has_them(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    for name, case in NESTED.items():
        table = pa.table({**case.columns, "row": range(N)})
        column = table.column_names[0]
        if name in ("a field", "a field of a field", "a list of structs"):
            continue
        with duckdb.connect() as connection:
            connection.register("t", table)
            query = f"select row from t order by {column} asc nulls last, row"
            rows = [row for (row,) in connection.execute(query).fetchall()]
        assert dlsort.sort_table(table, column)["row"].to_pylist() == rows, name


SAME = {
    "numbers and text": [draw(1, 2), draw("a", "b"), draw("A", None)],
    "one type": [draw(1, 2), draw(3, None), draw(4, 5)],
    "floats": [draw("x", "y"), floats(), draw(0.5, None)],
    "dates and lists": [draw(2.5, -1.0), DAYS, draw([1], [], None)],
    "structs and few words": [DAYS, structs(a=INTS), ["a"] * N],
}


@pytest.mark.parametrize("columns", SAME.values(), ids=SAME)
def test_payload_columns_of_one_name_are_kept(tmp_path, columns):
    names = ["k", "id", "id"]
    table = pa.Table.from_arrays([pa.array(c) for c in columns], names=names)
    (tmp_path / "in").mkdir()
    for i in range(3):
        pq.write_table(table.slice(20 * i, 20), tmp_path / f"in/{i}.parquet", row_group_size=9)
    out = tmp_path / "out"
    dlsort.sort_dataset(tmp_path / "in", out, by="k:desc", partitions=2, threads=1)
    assert dlsort.check_dataset(out, against=tmp_path / "in").ok
    got = pa.concat_tables(pq.ParquetFile(p).read() for p in sorted(out.glob("*.parquet")))
    want = table.take(pa.array(oracle(table.select([0]), [SortKey("k", descending=True)])))
    assert got.column_names == names
    for i in range(3):
        assert got.column(i).type == table.column(i).type
        assert repr(got.column(i).to_pylist()) == repr(want.column(i).to_pylist())
    assert dlsort.sort_table(table, "k:desc").column_names == names
    with pytest.raises(dlsort.DlsortError, match="2 columns are named 'id'"):
        dlsort.sort_dataset(tmp_path / "in", tmp_path / "other", by="id")
    for door in (dlsort.sort_table, lambda t, by: dlsort.top_k(t, 1, by)):
        with pytest.raises(dlsort.DlsortError, match="2 columns are named 'id'"):
            door(table, "id")
    other = table.set_column(2, "id", pa.array(["other"] * N))
    pq.write_table(other, tmp_path / "other.parquet")
    assert not dlsort.check_dataset(out, against=tmp_path / "other.parquet").ok
