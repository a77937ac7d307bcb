from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dlsort_kernels
from arrow_data import KEY_TYPES, column, payload
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows, from_transport, to_transport


def taken(table: pa.Table, rows: list[int]) -> pa.Table:
    return from_transport(
        take_table(to_transport(table), np.array(rows, np.uint32)), table.schema
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_layout_is_gathered(data):
    n = data.draw(st.integers(0, 40))
    start = data.draw(st.integers(0, n))
    table = payload(n)
    piece = table.slice(start)
    rows = data.draw(st.lists(st.integers(0, n - start - 1), max_size=60)) if n > start else []
    got = taken(piece, rows)
    got.validate(full=True)
    assert got.schema == table.schema
    assert str(got.to_pylist()) == str([piece.slice(r, 1).to_pylist()[0] for r in rows])


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_each_key_type_is_gathered_from_a_slice(kind):
    rng = np.random.default_rng(1)
    table = pa.table({"c": column(rng, kind, 90)}).slice(7, 70)
    rows = rng.integers(0, 70, 100)
    values = table["c"].to_pylist()
    assert str(taken(table, rows.tolist())["c"].to_pylist()) == str([values[r] for r in rows])


def test_many_chunks_become_one():
    table = pa.concat_tables([payload(5), payload(0), payload(9).slice(2), payload(3)])
    rows = [14, 0, 13, 5, 5]
    want = [table.slice(r, 1).to_pylist()[0] for r in rows]
    got = taken(table, rows)
    assert str(got.to_pylist()) == str(want)
    assert {c.num_chunks for c in got.columns} == {1}


def test_dictionaries_that_differ_are_joined():
    kind = pa.dictionary(pa.int8(), pa.string())
    pieces = [
        pa.table(
            {
                "d": pa.array([str(100 * p + i) for i in range(100)])
                .dictionary_encode()
                .cast(kind)
            }
        )
        for p in range(3)
    ]
    joined = concat_rows([to_transport(piece) for piece in pieces])
    assert joined["d"].to_pylist() == [str(i) for i in range(300)]


@pytest.mark.parametrize(
    ("narrow", "wide"), [(pa.string(), pa.large_string()), (pa.binary(), pa.large_binary())]
)
def test_narrow_offsets_widen_where_rows_repeat_too_often(monkeypatch, narrow, wide):
    def gather_bytes(offsets, data, rows, **options):
        if offsets.dtype == np.int32:
            raise OverflowError  # what the kernel does beyond 2 GiB, which its own tests show
        return dlsort_kernels.gather_bytes(offsets, data, rows, **options)

    monkeypatch.setattr("dlsort.arrow.take.gather_bytes", gather_bytes)
    table = pa.table({"s": pa.array(["a", None, "", "bcd"], narrow), "id": range(4)})
    rows = [3, 0, 1, 3, 2]
    got = take_table(to_transport(table), np.array(rows, np.uint32))
    got.validate(full=True)
    assert got["s"].type == wide
    assert got["s"].cast(narrow).to_pylist() == [table["s"][r].as_py() for r in rows]
    assert got["id"].to_pylist() == rows
