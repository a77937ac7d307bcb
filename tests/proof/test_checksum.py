from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, column, payload
from dlsort.proof import checksum
from dlsort.proof.checksum import Proof, total
from dlsort.tuning import TUNING


def prove(table: pa.Table) -> Proof:
    return checksum.prove(table, TUNING.proof)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(23)), st.integers(0, 23))
def test_order_and_cut_do_not_change_the_checksum(order, cut):
    table = payload(23)
    whole = prove(table)
    shuffled = pa.concat_tables([table.slice(i, 1) for i in order])
    assert prove(shuffled) == whole
    assert total([prove(table.slice(0, cut)), prove(table.slice(cut))]) == whole
    assert whole.rows == 23


@pytest.mark.parametrize("name", [n for n in payload(2).column_names if n != "nothing"])
def test_a_value_that_moved_to_another_row_changes_the_checksum(name):
    table = payload(13)
    order = [(i + 1) % 13 for i in range(13)]
    slipped = pa.concat_arrays([table[name].chunk(0).slice(i, 1) for i in order])
    slipped = table.set_column(table.column_names.index(name), table.field(name), slipped)
    assert prove(slipped) != prove(table)


@pytest.mark.parametrize("kind", [k for k in KEY_TYPES if k != "null"])
def test_each_type_tells_values_and_nulls_apart(kind):
    rng = np.random.default_rng(3)
    values = column(rng, kind, 200, nulls=0.5)
    alone = {}
    for i in range(200):
        value = values[i].as_py()
        alone.setdefault(repr(value), set()).add(
            prove(pa.table({"c": values.slice(i, 1)})).checksum
        )
    sums = [next(iter(s)) for s in alone.values()]
    assert all(len(s) == 1 for s in alone.values())
    assert len(set(sums)) == len(sums)


@pytest.mark.parametrize(
    "layout", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int16(), pa.string())]
)
def test_strings_hash_alike_in_every_layout(layout):
    texts = pa.array(["", None, "a", "a longer text than a view holds inline", "a"])
    other = (
        texts.cast(layout) if not pa.types.is_dictionary(layout) else texts.dictionary_encode()
    )
    assert prove(pa.table({"s": other})) == prove(pa.table({"s": texts}))


def test_columns_are_told_apart_by_name():
    a = pa.table({"x": [1, 2], "y": [3, 4]})
    assert prove(a) == prove(a.select(["y", "x"]))
    assert prove(a) != prove(a.rename_columns(["y", "x"]))


def test_a_row_counted_twice_in_place_of_another_shows():
    table = payload(10)
    doubled = pa.concat_tables([table.slice(0, 9), table.slice(8, 1)])
    assert prove(doubled) != prove(table)
    assert prove(table.slice(0, 0)) == Proof()
