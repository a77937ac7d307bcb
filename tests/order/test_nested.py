"""Structs, lists and maps as keys, and floats whose NaN has a place of its own."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort
from arrow_data import KEY_TYPES, column, oracle
from dlsort.arrow.take import take_table
from dlsort.keys import SortKey
from dlsort.order.argsort import argsort
from dlsort.order.words import key_table
from dlsort.proof.disorder import first_disorder
from dlsort.tuning import TUNING

SORT_KEYS = st.builds(
    SortKey, st.just("k"), st.booleans(), st.booleans(), st.none() | st.booleans()
)
FLOATS = [kind for kind in KEY_TYPES if "float" in kind or kind in ("half", "double")]


def nested(rng, shape: str, kind: str, n: int, distinct) -> pa.Array:
    """Return n structs, lists or maps of values of a type, nulls among them at each depth."""

    def values(size):
        return pa.array(column(rng, kind, size, nulls=0.2, distinct=distinct))

    gone = rng.random(n) < 0.2
    if shape == "struct":
        inside = nested(rng, "list", kind, n, distinct)
        return pa.StructArray.from_arrays([values(n), inside], ["v", "l"], mask=pa.array(gone))
    if shape == "fixed":
        made = pa.FixedSizeListArray.from_arrays(values(2 * n + 2), 2)
        return made.slice(1)
    sizes = rng.integers(0, 4, n)
    ends = pa.array(np.append(0, np.cumsum(sizes)), pa.int32())
    total = int(sizes.sum())
    if shape == "map":
        return pa.MapArray.from_arrays(ends, pa.array(np.arange(total) % 3), values(total))
    inside = values(total) if shape == "list" else nested(rng, "struct", kind, total, distinct)
    return pa.ListArray.from_arrays(ends, inside, mask=pa.array(gone))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_nested_keys_sort_value_by_value(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(sorted(KEY_TYPES)))
    shape = data.draw(st.sampled_from(["struct", "list", "fixed", "map", "lists of structs"]))
    n = data.draw(st.integers(0, 60))
    key = data.draw(SORT_KEYS)
    array = nested(rng, shape, kind, n, data.draw(st.sampled_from([None, 2, 5])))
    table = pa.table({"k": array}).slice(data.draw(st.integers(0, 3)))
    keys = (key,)
    order = argsort(key_table(table, keys), keys, TUNING.order)
    assert order.tolist() == oracle(table, keys)
    sorted_keys = take_table(key_table(table, keys), order)
    assert first_disorder(sorted_keys, keys, TUNING.order) == -1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nan_stands_where_the_key_says(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from([*FLOATS, "int64"]), min_size=1, max_size=3))
    n = data.draw(st.integers(0, 300))
    keys = tuple(
        SortKey(f"k{i}", *data.draw(st.tuples(st.booleans(), st.booleans())), place)
        for i, place in enumerate(
            data.draw(
                st.lists(st.none() | st.booleans(), min_size=len(kinds), max_size=len(kinds))
            )
        )
    )
    table = pa.table(
        {
            key.column: column(
                rng, kind, n, nulls=0.2, distinct=data.draw(st.sampled_from([None, 3]))
            )
            for key, kind in zip(keys, kinds, strict=True)
        }
    )
    assert argsort(key_table(table, keys), keys, TUNING.order).tolist() == oracle(table, keys)


VALUES = [1.0, None, np.nan, -np.inf, np.inf, np.nan, None]
ORDERS = {
    "x": [3, 0, 4, 1, 2, 5, 6],
    "x:nan_last": [3, 0, 4, 2, 5, 1, 6],
    "x:nan_first": [2, 5, 3, 0, 4, 1, 6],
    "x:nulls_first:nan_last": [1, 6, 3, 0, 4, 2, 5],
    "x:desc:nan_last": [4, 0, 3, 2, 5, 1, 6],
    "x:desc:nan_first": [2, 5, 4, 0, 3, 1, 6],
    "x:desc:nan_first:nulls_first": [1, 6, 2, 5, 4, 0, 3],
}


@pytest.mark.parametrize(("by", "order"), ORDERS.items())
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_the_place_of_nan_is_one_in_the_output(by, order, kind):
    import dlsort

    half = [v if v is None else np.float16(v) for v in VALUES]
    array = pa.array(half if kind == pa.float16() else VALUES, kind)
    for each in (array, array.dictionary_encode()) if kind != pa.float16() else (array,):
        table = pa.table({"x": each, "row": range(7)})
        assert dlsort.sort_table(table, by)["row"].to_pylist() == order
        assert dlsort.top_k(table, 3, by)["row"].to_pylist() == order[:3]
    inside = pa.table({"x": pa.StructArray.from_arrays([array], ["f"]), "row": range(7)})
    by_field = by.replace("x", "x.f", 1)
    assert dlsort.sort_table(inside, by_field)["row"].to_pylist() == order
    # Nulls inside of a struct go where the key's do.
    assert dlsort.sort_table(inside, by)["row"].to_pylist() == order


@pytest.mark.parametrize("make", [pa.list_view, pa.large_list_view])
@pytest.mark.parametrize("inside", ["plain", "struct", "list"])
def test_list_views_are_sorted_as_lists(make, inside):
    rng = np.random.default_rng(3)
    lists = [
        None if n == 4 else rng.integers(0, 3, n).tolist() for n in rng.integers(0, 5, 300)
    ]
    of = {
        "plain": (lambda kind: kind(pa.int8()), lambda value: value),
        "struct": (
            lambda kind: pa.struct([("x", kind(pa.int8()))]),
            lambda value: {"x": value},
        ),
        "list": (lambda kind: pa.list_(kind(pa.int8())), lambda value: [value, [1]]),
    }
    kind_of, make_value = of[inside]
    values = [make_value(value) for value in lists]
    want = dlsort.argsort(pa.array(values, kind_of(pa.list_)))
    assert dlsort.argsort(pa.array(values, kind_of(make))).tolist() == want.tolist()
