"""Types without views, and arrays in the other layout, at any depth."""

from __future__ import annotations

import pyarrow as pa
import pytest

from arrow_data import payload
from dlsort.arrow.layouts import lists_of_views, recast, without_views

NESTED = [
    (pa.string_view(), pa.string()),
    (pa.list_(pa.binary_view()), pa.list_(pa.binary())),
    (pa.large_list(pa.string_view()), pa.large_list(pa.string())),
    (pa.list_(pa.string_view(), 2), pa.list_(pa.string(), 2)),
    (pa.struct([("a", pa.string_view())]), pa.struct([("a", pa.string())])),
    (pa.map_(pa.string(), pa.string_view()), pa.map_(pa.string(), pa.string())),
    (pa.int64(), pa.int64()),
]


@pytest.mark.parametrize(("kind", "want"), NESTED, ids=str)
def test_views_become_offsets_at_any_depth(kind, want):
    assert without_views(kind) == want


def test_nested_dictionaries_are_kept_or_replaced_by_their_values():
    words = pa.dictionary(pa.int8(), pa.string_view())
    plain = pa.dictionary(pa.int8(), pa.string())
    assert without_views(pa.list_(words)) == pa.list_(plain)
    assert without_views(pa.list_(words), nested_dictionaries=False) == pa.list_(pa.string())
    assert without_views(words, nested_dictionaries=False) == plain


def values_of(kind: pa.DataType) -> list:
    text = [b"x", b"y"] if "binary" in str(kind) else ["x", "y"]
    if pa.types.is_struct(kind):
        return [{"a": text[0]}, None, {"a": None}, {"a": text[1]}]
    if pa.types.is_map(kind):
        return [[("k", text[0])], None, [], [("l", text[1]), ("m", None)]]
    if pa.types.is_nested(kind):
        return [text, None, [None, text[0]], text[::-1]]
    if kind == pa.int64():
        return [1, None, 3, 4]
    return [text[0], None, "", text[1]]


@pytest.mark.parametrize(("kind", "other"), NESTED, ids=str)
@pytest.mark.parametrize("start", [0, 1, 2])
def test_values_are_the_same_there_and_back(kind, other, start):
    array = pa.array(values_of(other), other).slice(start)
    there = recast(array, kind)
    there.validate(full=True)
    assert there.type == kind
    assert there.to_pylist() == array.to_pylist()
    back = recast(there, other)
    back.validate(full=True)
    assert back.equals(array)


def test_every_payload_is_itself_without_views():
    table = payload(20).slice(3)
    for name in table.column_names:
        array = table[name].combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        got = recast(recast(array, without_views(array.type)), array.type)
        got.validate(full=True)
        assert got.to_pylist() == array.to_pylist()


def test_a_dictionary_too_narrow_for_its_values_is_told():
    wide = pa.array([str(i) for i in range(200)]).dictionary_encode()
    with pytest.raises(pa.ArrowInvalid):
        recast(wide, pa.dictionary(pa.int8(), pa.string()))


VIEWS = [
    [[2], None, [1], []],
    [[5, 6], [], [2, None], [9]],
    [None, None],
    [],
]


@pytest.mark.parametrize("make", [pa.list_view, pa.large_list_view])
@pytest.mark.parametrize("values", VIEWS, ids=str)
@pytest.mark.parametrize("start", [0, 1])
def test_list_views_become_lists_that_are_sound(make, values, start):
    """Arrow's own cast reads an offset beyond the end."""
    array = pa.array(values, make(pa.int8())).slice(start)
    for found in (
        lists_of_views(array),
        recast(array, pa.list_(pa.int8())),
        recast(array, pa.large_list(pa.int8())),
    ):
        found.validate(full=True)
        assert found.to_pylist() == values[start:]


def test_list_views_in_any_order_become_lists():
    values = pa.array([1, 2, 3, 4], pa.int8())
    array = pa.ListViewArray.from_arrays([2, 0, 0, 1], [2, 3, 0, 1], values)
    found = lists_of_views(array)
    found.validate(full=True)
    assert found.to_pylist() == [[3, 4], [1, 2, 3], [], [2]]
