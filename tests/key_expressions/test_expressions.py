"""Expressions: read, written again, and what they come to."""

from __future__ import annotations

import base64
import datetime as dt
import pickle
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot.dialects.duckdb import DuckDB

from dlsort.errors import (
    BadKeyError,
    BadOptionError,
    DlsortError,
    KeyTypeError,
    UnknownColumnError,
)
from dlsort.key_expressions.computed import computed_keys
from dlsort.key_expressions.flags import KeyFlags, order_of
from dlsort.key_expressions.functions import FUNCTIONS
from dlsort.key_expressions.parse import read_expression
from dlsort.key_expressions.tree import OPERATORS, Call, Column, Node, Value, text_of
from dlsort.key_parts import COMPUTED, is_expression
from dlsort.keys import SortKey, Texts, format_by, parse_by

# ---------------------------------------------------------------- the text form

NAMES = st.sampled_from(
    ["a", "a b", "event.ts", "select", 'q"', "it's", "é", "a,b:desc", "(", "Ab"]
)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(0, 2**62)
    | st.text("a'\"\\,() -;é")
    | st.floats(0, 1e9)
)
LEAVES = st.builds(Column, NAMES) | st.builds(Value, VALUES)
ODD = {"cast", "date_trunc", "case", "in", "is null", "not", "negative"}


def calls(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    def args(name: str) -> st.SearchStrategy[Node]:
        least, most = FUNCTIONS[name].n_args
        lists = st.lists(inner, min_size=least, max_size=min(most, 4)).map(tuple)
        return st.builds(Call, st.just(name), lists)

    plain = st.sampled_from(sorted(FUNCTIONS.keys() - ODD)).flatmap(args)
    units = st.sampled_from(["day", "year"]).map(Value)
    types = st.sampled_from(["bigint", "decimal(10,2)", "text", "timestamptz"]).map(Value)
    pairs = st.integers(1, 3).flatmap(
        lambda n: st.lists(inner, min_size=2 * n + 1, max_size=2 * n + 1).map(tuple)
    )
    return (
        plain
        | st.builds(
            lambda n, a: Call(n, (a,)), st.sampled_from(["is null", "not", "negative"]), inner
        )
        | st.builds(lambda u, a: Call("date_trunc", (u, a)), units, inner)
        | st.builds(lambda a, t: Call("cast", (a, t)), inner, types)
        | st.builds(
            lambda a, more: Call("in", (a, *more)),
            inner,
            st.lists(inner, min_size=1, max_size=3),
        )
        | st.builds(Call, st.just("case"), pairs)
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(LEAVES, calls, max_leaves=8))
def test_what_is_written_is_read_back(tree):
    text = text_of(tree)
    assert read_expression(text) == tree
    assert text_of(read_expression(text)) == text


def test_columns_may_be_called_as_the_words_of_sql():
    both = {*sqlglot.Tokenizer.KEYWORDS, *DuckDB.Tokenizer.KEYWORDS}
    words = [word.lower() for word in both if word.replace("_", "a").isidentifier()]
    assert len(words) > 200
    for word in [*words, *FUNCTIONS]:
        for tree in (
            Call("lower", (Column(word),)),
            Call("+", (Column(word), Column(f"{word}.{word}"))),
            Call("case", (Column(word), Column(word), Column(word))),
            Call("in", (Column(word), Column(word))),
        ):
            assert read_expression(text_of(tree)) == tree


@pytest.mark.parametrize("marks", ["", ":desc", ":nulls_first:nan_last", " : desc "])
@pytest.mark.parametrize(
    "text",
    [
        "lower(name)",
        "coalesce(a, b, ',')",
        "a + b",
        "(x::bigint)",
        "substr(s,1,3)",
        'lower("a,b")',
    ],
)
def test_an_expression_is_one_key_among_others(text, marks):
    (first, one, last) = parse_by(f"day:desc,{text}{marks},z")
    assert (first, last) == (SortKey("day", descending=True), SortKey("z"))
    assert one.column == COMPUTED + text
    assert parse_by(format_by([one])) == (one,)
    assert parse_by([f"{text}{marks}"]) == parse_by(Texts([f"{text}{marks}"])) == (one,)


@pytest.mark.parametrize(
    "name", ["lower(name)", "a + b", "sum(x)", "f(a, b)", "coalesce(a, b):desc"]
)
def test_a_columns_exact_name_is_that_column(name):
    for by in (name, [name], [(name,)], Texts([name])):
        assert parse_by(by, [name, "a", "b"]) == (SortKey(name),)
    assert parse_by(f"{name}:desc", [name]) == (SortKey(name, descending=True),)
    assert parse_by(format_by([SortKey(name)])) == (SortKey(name),)
    assert not is_expression(str(SortKey(name)))


def test_a_mark_wraps_the_name():
    (key,) = parse_by("file:natural:ignore_case:desc")
    assert str(key) == 'natural_key(casefold("file")):desc'
    assert parse_by([("file", "desc", "ignore_case", "natural")]) == (key,)
    (key,) = parse_by("lower(file):numeric")
    assert str(key) == "numeric_key(lower(file))"


# ---------------------------------------------------------------- what it comes to

ROWS = pa.table(
    {
        "s": ["Ab", None, "  ccc", "é"],
        "i": pa.array([7, -8, None, 0], pa.int8()),
        "x": [1.5, -2.5, None, float("inf")],
        "d": pa.array(
            [Decimal("1.50"), Decimal("-2.25"), None, Decimal(0)], pa.decimal128(9, 2)
        ),
        "ts": [
            dt.datetime(2024, 2, 29, 13, 5, 7),
            None,
            dt.datetime(1969, 12, 31),
            dt.datetime(2021, 8, 1),
        ],
        "day": [dt.date(2024, 2, 29), None, dt.date(1969, 12, 31), dt.date(2021, 8, 1)],
        "b": [True, None, False, True],
        "ev": [{"t": 3}, None, {"t": None}, {"t": 1}],
    }
)


def values_of(text: str, rows: pa.Table = ROWS) -> list[Any]:
    keys, (one,) = computed_keys(parse_by(text), rows.schema)
    assert [key.column for key in keys] == [one.name]
    kind = one.kind(rows.schema)
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    found = again.of(rows.select(list(one.columns)))
    assert found.type == kind
    assert len(found) == rows.num_rows
    return found.to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        "lower(s)",
        "upper(s)",
        "length(s)",
        "substr(s, 1, 2)",
        "substr(s, -2)",
        "substr(s, -2, 1)",
        "left(s, 2)",
        "right(s, 1)",
        "trim(s)",
        "ltrim(s)",
        "rtrim(s)",
        "reverse(s)",
        "replace(s, 'c', 'x')",
        "concat(s, '-', s)",
        "s || '!'",
        "i + 1",
        "i - i",
        "i * 2",
        "i / 2",
        "i / i",
        "i % 3",
        "x % 2",
        "x * i",
        "d + 1",
        "(-i)",
        "abs(i)",
        "sign(x)",
        "round(x)",
        "round(x, 1)",
        "floor(x)",
        "ceil(x)",
        "sqrt(abs(i))",
        "greatest(i, 2)",
        "least(x, i)",
        "date_trunc('hour', ts)",
        "date_trunc('week', day)",
        "date_trunc('quarter', ts)",
        "extract(year from ts)",
        "quarter(day)",
        "month(ts)",
        "week(ts)",
        "day(ts)",
        "dayofweek(ts)",
        "extract(doy from ts)",
        "hour(ts)",
        "minute(ts)",
        "second(ts)",
        "(i = 7)",
        "(s <> 'Ab')",
        "(day >= '2000-01-01')",
        "(ts < date '2022-01-01')",
        "(b and i > 0)",
        "(b or i > 0)",
        "(not b)",
        "(i in (7, 0))",
        "(i between 0 and 7)",
        "(s is null)",
        "(s is not null)",
        "nullif(i, 7)",
        "coalesce(s, 'none')",
        "(case when i > 0 then 'a' when i < 0 then 'b' else 'c' end)",
        "(case i when 7 then 1 end)",
        "if(b, i, 100)",
        "cast(i as text)",
        "cast(x as decimal(5,1))",
        "cast(ts as date)",
        "cast('12' as bigint) + i",
        "ev.t + 1",
    ],
)
def test_it_comes_to_what_duckdb_says(text):
    duckdb = pytest.importorskip("duckdb")
    rows = (
        ROWS
        if "x as decimal" not in text
        else ROWS.set_column(2, "x", pa.array([1.5, -2.5, None, 0.0]))
    )
    want = duckdb.sql(f"select {text} as v from rows").fetchall()
    got = values_of(text, rows)
    for mine, (other,) in zip(got, want, strict=True):
        if isinstance(other, dt.datetime) and type(mine) is dt.date:
            mine = dt.datetime(mine.year, mine.month, mine.day)  # as DuckDB has a date
        assert mine == (
            pytest.approx(other, nan_ok=True) if isinstance(other, float) else other
        ), (got, want)


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.int16(), pa.large_string()),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "text", ["lower(s)", "natural_key(s)", "coalesce(s, 'q')", "s || 'x'", "casefold(s)"]
)
def test_text_may_lie_in_memory_in_any_way(kind, text):
    want = values_of(text)
    strings = pa.chunked_array([ROWS["s"].chunk(0).slice(0, 3), ROWS["s"].chunk(0).slice(3)])
    if pa.types.is_dictionary(kind):
        strings = strings.cast(kind.value_type).dictionary_encode().cast(kind)
    rows = ROWS.set_column(0, "s", strings.cast(kind))
    assert values_of(text, rows) == want
    assert values_of(text, rows.slice(0, 0)) == []


def test_a_column_of_nothing_but_nulls_is_text_too():
    assert values_of("lower(s)", pa.table({"s": pa.nulls(2)})) == [None, None]


@pytest.mark.parametrize(
    "expression",
    [
        pc.field("i") + 1,
        pc.utf8_lower(pc.field("s")),
        pc.field("ev", "t"),
        pc.if_else(pc.field("b"), pc.field("x"), 0.5),
    ],
    ids=str,
)
def test_an_expression_of_pyarrows(expression):
    for by in (expression, [expression], [(expression, "desc")]):
        keys, (one,) = computed_keys(parse_by(by), ROWS.schema)
        assert parse_by(format_by(keys)) == keys
        assert computed_keys(parse_by(format_by(keys)), ROWS.schema) == (keys, (one,))
        assert set(one.columns) < set(ROWS.column_names)
        assert all(name in str(expression) for name in one.columns)
        rows = ROWS.select(list(one.columns))
        filtered = rows.append_column("row", pa.array(range(4)))
        assert len(pickle.loads(pickle.dumps(one)).of(filtered)) == 4
        assert one.kind(ROWS.schema) == one.of(rows).type


# ---------------------------------------------------------------- flags


def test_flags_are_about_the_columns_that_they_can_be_about():
    schema = ROWS.schema
    keys, computed = order_of("s,i,x:desc", schema, KeyFlags(natural=True, nan_first=True))
    assert format_by(keys) == "natural_key(s),i,x:desc:nan_first"
    assert [each.text for each in computed] == ["natural_key(s)"]
    keys, _ = order_of(
        "lower(s),x:nan_last", schema, KeyFlags(ignore_case=True, nan_first=True)
    )
    assert format_by(keys) == "casefold(lower(s)),x:nan_last"
    keys, _ = order_of("s:numeric,s", schema, KeyFlags(ignore_case=True))
    assert format_by(keys) == "numeric_key(s),casefold(s)"
    keys, _ = order_of("s:desc,x:nan_first,i:nulls_first", schema, KeyFlags(reverse=True))
    assert format_by(keys) == "s:nulls_first,x:desc:nulls_first:nan_last,i:desc"
    assert order_of(keys, schema, KeyFlags(reverse=True))[0] == parse_by(
        "s:desc,x:nan_first,i:nulls_first"
    )


def test_ordered_categories_keep_their_own_order():
    sizes = (
        pa.array(["small", "large"])
        .dictionary_encode()
        .cast(pa.dictionary(pa.int8(), pa.string(), ordered=True))
    )
    schema = pa.table({"size": sizes, "s": ["a", "b"]}).schema
    keys, _ = order_of("size,s", schema, KeyFlags(natural=True))
    assert format_by(keys) == "size,natural_key(s)"


# ---------------------------------------------------------------- what is refused

GARBLED = base64.b64encode(pc.field("x").__reduce__()[1][0].to_pybytes()[:-40]).decode()


@pytest.mark.parametrize(
    ("by", "flags", "error", "words"),
    [
        ("lowr(s)", {}, BadKeyError, "lowr, which is no function here. Did you mean 'lower'?"),
        ("lower(s) from t", {}, BadKeyError, "can't read the key"),
        ("(select 1)", {}, BadKeyError, "no function here"),
        ("lower(s); drop table s", {}, BadKeyError, "can't read the key"),
        ("replace(s, 'a')", {}, BadKeyError, "gives replace 2 arguments; expected 3"),
        ("lower(z)", {}, UnknownColumnError, "no column 'z'"),
        (
            "lower(i)",
            {},
            KeyTypeError,
            r"cannot compute the key 'lower\(i\)': lower needs text",
        ),
        ("s + i", {}, KeyTypeError, "cannot compute the key"),
        ("1 + 1", {}, BadKeyError, "names no column"),
        ("cast(i as inte)", {}, BadKeyError, "casts to inte. Did you mean 'int'?"),
        ("date_trunc('dy', ts)", {}, BadKeyError, "truncates to dy. Did you mean 'day'?"),
        ("substr(s, i)", {}, KeyTypeError, "a whole number that is written out"),
        ("lower(s),lower( s )", {}, BadKeyError, "twice"),
        ("lower(s):up", {}, BadKeyError, "can't read 'up'"),
        ("s:numeric:natural", {}, BadKeyError, "nothing else of text goes with"),
        ("arrow_expression('AAAA')", {}, BadKeyError, "no expression of pyarrow's"),
        (f"arrow_expression('{GARBLED}')", {}, BadKeyError, "no expression of pyarrow's"),
        ("i", {"natural": True}, BadOptionError, "natural is about keys of text.*i is int8"),
        ("s", {"nan_last": True}, BadOptionError, "nan_last is about keys of floats"),
        (
            [pc.field("z") + 1],
            {},
            UnknownColumnError,
            r"not there: No match for FieldRef.Name\(z\)\.$",
        ),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(by, flags, error, words):
    with pytest.raises(error, match=words) as found:
        order_of(by, ROWS.schema, KeyFlags(**flags))
    assert "\0" not in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("text", ["i * 100000000000000000", "cast(s as int)"])
def test_a_value_that_has_no_result_is_told(text):
    _, (one,) = computed_keys(parse_by(text), ROWS.schema)
    rows = ROWS.set_column(1, "i", pa.array([1000] * 4))
    with pytest.raises(KeyTypeError, match="cannot compute the key"):
        one.of(rows)


def test_a_locale_that_icu_has_not_is_refused():
    pytest.importorskip("icu")
    for locale in ("xx_YY", "german", "@colNumeric=yes"):
        with pytest.raises(BadOptionError, match="expected a locale that ICU has"):
            KeyFlags.of({**vars(KeyFlags()), "collate": locale})


@pytest.mark.parametrize(
    ("package", "by", "flags", "words"),
    [
        ("icu", "s", {"collate": "de"}, "needs ICU for Python: pip install"),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch, package, by, flags, words):
    import dlsort

    monkeypatch.setitem(sys.modules, package, None)
    from dlsort.key_expressions import collation

    for cached in (collation._collator, collation._languages):
        cached.cache_clear()
    with pytest.raises(DlsortError, match=words):
        dlsort.sort_table(ROWS, by, **flags)


def test_plain_keys_and_flags_load_no_parser():
    code = (
        "import dlsort, pyarrow as pa, sys; t = pa.table({'s': ['a10', 'A9']});"
        "dlsort.sort_table(t, 's:desc');"
        "dlsort.sort_table(t, 's', natural=True, ignore_case=True);"
        "print('sqlglot' in sys.modules, 'icu' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"


def test_every_operator_is_a_function():
    assert FUNCTIONS.keys() >= OPERATORS
