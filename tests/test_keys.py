"""The key as text, as a list, and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.errors import BadKeyError, UnknownColumnError
from dlsort.keys import SortKey, Texts, check_columns, format_by, parse_by

#: Any name, and more of those with signs that mean something to the text.
NAMES = st.text() | st.text(alphabet='",: a\n')

KEYS = st.lists(
    st.builds(SortKey, NAMES, st.booleans(), st.booleans(), st.none() | st.booleans()),
    min_size=1,
    max_size=5,
    unique_by=lambda key: key.column,
).map(tuple)


@given(KEYS)
def test_what_is_written_is_read_back(keys):
    text = format_by(keys)
    assert parse_by(text) == keys
    assert format_by(parse_by(text)) == text


@given(KEYS)
def test_a_list_is_read_as_text_is(keys):
    assert parse_by(keys) == parse_by(list(keys)) == keys
    assert parse_by([str(key) for key in keys]) == keys
    assert parse_by(iter(keys)) == keys


@pytest.mark.parametrize("direction", ["", ":asc", ":desc"])
@pytest.mark.parametrize("place", ["", ":nulls_first", ":nulls_last"])
def test_every_mark_in_either_order(direction, place):
    want = (SortKey("day", direction == ":desc", place == ":nulls_first"),)
    assert parse_by(f"day{direction}{place}") == want
    assert parse_by(f"day{place}{direction}") == want


@pytest.mark.parametrize("place", ["nan_first", "nan_last"])
def test_a_place_for_nan_stands_anywhere_among_the_marks(place):
    want = (SortKey("x", descending=True, nulls_first=True, nan_first=place == "nan_first"),)
    for marks in itertools.permutations(["desc", "nulls_first", place]):
        assert parse_by(":".join(["x", *marks])) == parse_by([("x", *marks)]) == want


NAMED = ["id", " id", "a:desc", "dc:title", "price, USD", "x y", "", '"q"', "a,b:asc"]


@pytest.mark.parametrize("name", NAMED)
def test_a_name_is_itself_before_it_is_read(name):
    for by in (name, [name], [(name,)], Texts([name])):
        assert parse_by(by, NAMED) == (SortKey(name),)
    want = (SortKey(name, descending=True, nulls_first=True),)
    assert parse_by(f"{name}:desc:nulls_first", NAMED) == want
    assert parse_by([f"{name}: desc : nulls_first "], NAMED) == want
    assert parse_by([(name, "nulls_first", "desc")], NAMED) == want
    assert parse_by(format_by(want), set(NAMED) - {"a:desc"}) == want


def test_texts_are_names_or_lists_of_columns_each():
    names = ["price, USD", "id", "k"]
    assert parse_by(Texts(["price, USD:desc", "k,id:desc"]), names) == (
        SortKey("price, USD", descending=True),
        SortKey("k"),
        SortKey("id", descending=True),
    )
    with pytest.raises(BadKeyError, match="names column 'k' twice"):
        parse_by(Texts(["k", "id,k"]), names)


def test_a_tuple_in_a_list_is_a_name_and_its_marks():
    assert parse_by([("a,b", "desc"), ("c:d",), "e:desc"]) == (
        SortKey("a,b", descending=True),
        SortKey("c:d"),
        SortKey("e", descending=True),
    )
    assert parse_by(("a", "desc")) == (SortKey("a"), SortKey("desc"))  # two columns


def test_spaces_around_names_and_marks_do_not_count():
    assert parse_by(" day ,\tprice : desc : nulls_first\n") == (
        SortKey("day"),
        SortKey("price", descending=True, nulls_first=True),
    )


@pytest.mark.parametrize(
    ("by", "column", "text"),
    [
        ('"id,comma"', "id,comma", '"id,comma"'),
        ('"a:desc"', "a:desc", '"a:desc"'),
        ('"a ""b"", c"', 'a "b", c', '"a ""b"", c"'),
        ('""""', '"', '""""'),
        ('"plain"', "plain", "plain"),
        ('" spaced "', " spaced ", '" spaced "'),
        ('5" pipe', '5" pipe', '5" pipe'),
        ('""', "", '""'),
    ],
)
def test_names_in_quotes(by, column, text):
    assert parse_by(by) == parse_by([by]) == (SortKey(column),)
    assert format_by(parse_by(by)) == text
    assert parse_by(f"x , {by} : desc,k:nulls_first") == (
        SortKey("x"),
        SortKey(column, descending=True),
        SortKey("k", nulls_first=True),
    )


def test_names_in_a_list_need_no_quotes_for_a_comma():
    assert parse_by(["a,b", "c d"]) == (SortKey("a,b"), SortKey("c d"))
    assert parse_by(SortKey("a:b,c")) == (SortKey("a:b,c"),)
    assert parse_by([SortKey("a:desc"), "a"]) == (SortKey("a:desc"), SortKey("a"))


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("", "has no column name"),
        (" ", "has no column name"),
        (",", "has no column name"),
        ("a,", "has no column name"),
        (":desc", "has no column name"),
        ("a,,b", "has no column name"),
        ("a:", "can't read ''"),
        ("a:down", "can't read 'down'"),
        ("a:DESC", "can't read 'DESC'"),
        ("a:asc:desc", "twice; leave 'desc' out"),
        ("a:desc:desc", "twice; leave 'desc' out"),
        ("a:nulls_first:nulls_last", "twice; leave 'nulls_last' out"),
        ("a:desc:nulls_first:x", "can't read 'x'"),
        ("a:nan_first:nan_last", "twice; leave 'nan_last' out"),
        ([("a", "down")], r"can't read 'down' in the key \('a', 'down'\)"),
        ([("a", 1)], r"a key column is \('a', 1\)"),
        ([()], r"a key column is \(\)"),
        ([SortKey("a", nan_first="last")], "and for nan_first if it is given"),
        ('"a', "closing quote"),
        ('a,"b:desc,c', "closing quote"),
        ('"a""', "closing quote"),
        ('"a"b', "can't read 'b'"),
        ('"a" b:desc', "can't read 'b'"),
        ('"a":down', "can't read 'down'"),
        ("a,b,a:desc", "names column 'a' twice"),
        ([], "names no column"),
        ((), "names no column"),
        ([1], "a key column is 1"),
        ([None], "a key column is None"),
        ([["a", "b"]], r"a key column is \['a', 'b'\]"),
        (["a", SortKey("a")], "names column 'a' twice"),
        (5, r"the key \(by\) is 5"),
        (None, r"the key \(by\) is None"),
        ({"a", "b"}, "expected a text such as"),
        ({"a": "desc"}, "expected a text such as"),
        (b"a", "expected a text such as"),
        (np.array(3), "expected a text such as"),
        (SortKey(5), "expected a SortKey of a column name"),
        (SortKey("a", descending="yes"), "True or False for descending"),
        ([SortKey("a", nulls_first=1)], "True or False for descending"),
    ],
)
def test_what_is_no_key_is_refused(by, says):
    with pytest.raises(BadKeyError, match=says):
        parse_by(by)


@given(st.text(max_size=20))
def test_any_text_is_a_key_or_a_clear_refusal(text):
    try:
        keys = parse_by(text)
    except BadKeyError as error:
        assert str(error)  # noqa: PT017 - either is right
    else:
        assert parse_by(format_by(keys)) == keys


def test_columns_that_are_there():
    check_columns(parse_by("b,a:desc"), ["a", "b", "c", "c"])


def test_columns_that_are_not_there():
    with pytest.raises(
        UnknownColumnError, match=r"'prize'\. Did you mean 'price'\? .*id, price"
    ):
        check_columns(parse_by("id,prize"), ["id", "price"])
    with pytest.raises(UnknownColumnError, match="2 columns are named 'c'"):
        check_columns(parse_by("c"), ["a", "c", "c"])
    with pytest.raises(
        UnknownColumnError, match=r"""Did you mean '"a,b"'\? .*: id, "a,b", "c:d"\."""
    ):
        check_columns(parse_by("a_b"), ["id", "a,b", "c:d"])
    with pytest.raises(UnknownColumnError, match="c39, …"):
        check_columns(parse_by("zzz"), [f"c{i}" for i in range(50)])
