from __future__ import annotations

import datetime
import decimal
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_cluster.store.store import ShardStore
from dlsort_cluster.wire import (
    DamagedError,
    Message,
    Unit,
    apart,
    compact,
    cut,
    frame,
    pack,
    read_stream,
    together,
    unframe,
    unpack,
)

N_ROWS = 100
ROWS = range(N_ROWS)
STARTS = np.array([0, 10, 10, 40, N_ROWS])
KINDS = pa.array([f"kind {row % 7}" for row in ROWS]).dictionary_encode()

COLUMNS = {
    "bool": pa.array([None if row % 3 == 0 else row % 2 == 0 for row in ROWS]),
    "int16": pa.array(ROWS, pa.int16()),
    "float16": pa.array(np.arange(N_ROWS, dtype=np.float16)),
    "string": pa.array([None if row % 3 == 0 else "x" * row for row in ROWS]),
    "large-string": pa.array(["x" * row for row in ROWS], pa.large_string()),
    "string-view": pa.array(["x" * (row % 30) for row in ROWS], pa.string_view()),
    "binary": pa.array([b"x" * row for row in ROWS]),
    "fixed-binary": pa.array([b"abcd"] * N_ROWS, pa.binary(4)),
    "decimal32": pa.array([decimal.Decimal(row) for row in ROWS], pa.decimal32(7, 2)),
    "decimal128": pa.array([decimal.Decimal(row) for row in ROWS], pa.decimal128(15, 2)),
    "decimal256": pa.array([decimal.Decimal(row) for row in ROWS], pa.decimal256(70, 2)),
    "timestamp": pa.array([datetime.datetime(2020, 1, 1)] * N_ROWS, pa.timestamp("us", "UTC")),
    "null": pa.nulls(N_ROWS),
    "list": pa.array([list(range(row % 4)) for row in ROWS]),
    "large-list": pa.array([["a"] * (row % 4) for row in ROWS], pa.large_list(pa.string())),
    "fixed-list": pa.array([[row, row] for row in ROWS], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": row, "b": {"c": str(row)}} for row in ROWS]),
    "map": pa.array([[("k", row)] for row in ROWS], pa.map_(pa.string(), pa.int64())),
    "dictionary": KINDS,
    "list of dictionary": pa.ListArray.from_arrays(
        pa.array(range(N_ROWS + 1), pa.int32()), KINDS
    ),
    "run-end": pa.RunEndEncodedArray.from_arrays(pa.array([50, 100], pa.int32()), ["a", "b"]),
    "union": pa.UnionArray.from_sparse(
        pa.array([0, 1] * 50, pa.int8()), [pa.array(ROWS), pa.array([str(r) for r in ROWS])]
    ),
}


@pytest.fixture(params=["one chunk", "two chunks"])
def chunked(request):
    return request.param == "two chunks"


@pytest.fixture(params=COLUMNS)
def table(request, chunked):
    table = pa.table({"x": COLUMNS[request.param], "row": ROWS})
    if chunked:
        table = pa.concat_tables([table.slice(0, 33), table.slice(33)])
    return table


def test_every_type_crosses_the_wire(table):
    unit = cut(table, STARTS, np.array([1, 2, 3]))
    received = unpack(*pickle.loads(pickle.dumps(pack(unit))))
    assert received.table.schema == table.schema
    assert received.table.to_pylist() == table.slice(10).to_pylist()
    assert received.starts.tolist() == [0, 0, 30, 90]


@pytest.mark.parametrize("limit_bytes", [0, 10**9])
def test_every_type_comes_back_from_the_store(table, limit_bytes, tmp_path):
    store = ShardStore(
        run="run", worker="here", parts=[1, 3], limit_bytes=limit_bytes, temp_dir=str(tmp_path)
    )
    store.put(0, cut(table, STARTS, np.array([1, 3])))
    for part in (1, 3):
        (shard,) = store.read(part, 1).read_all()
        assert shard.schema == table.schema
        first, last = STARTS[part : part + 2]
        assert shard.to_pylist() == table.slice(first, last - first).to_pylist()


def test_every_type_can_be_copied_out_of_a_larger_table(table):
    assert compact(table.slice(20, 5)).to_pylist() == table.slice(20, 5).to_pylist()


def test_neighbouring_partitions_are_one_slice_without_a_copy():
    table = pa.table({"row": ROWS})
    unit = cut(table, STARTS, np.array([1, 2, 3]))
    (chunk,) = unit.table["row"].chunks
    assert chunk.buffers()[1].address == table["row"].chunk(0).buffers()[1].address


@pytest.mark.parametrize(
    ("parts", "rows", "starts"),
    [
        ([0, 3], [*range(10), *range(40, 100)], [0, 10, 70]),
        ([0, 2], [*range(40)], [0, 10, 40]),
        ([1], [], [0, 0]),
        ([], [], [0]),
    ],
)
def test_any_partitions_can_be_taken(parts, rows, starts):
    unit = cut(pa.table({"row": ROWS}), STARTS, np.array(parts, np.int64))
    assert unit.table["row"].to_pylist() == rows
    assert unit.starts.tolist() == starts


@pytest.mark.parametrize("offset", range(9))
def test_what_is_received_is_aligned_wherever_the_message_began(offset):
    table = pa.table({"row": ROWS, "text": [str(row) for row in ROWS]})
    _, stream = pack(cut(table, STARTS, np.arange(4)))
    message = np.zeros(len(stream) + offset, np.uint8)
    message[offset:] = stream
    received = read_stream(message[offset:])
    assert received.equals(table)
    assert received["row"].chunk(0).buffers()[1].address % 8 == 0


def messages_of(n_rows):
    """Return a message a unit, of so many rows each."""
    found = []
    for input_id, n in enumerate(n_rows):
        unit = cut(pa.table({"x": range(n), "s": ["ab"] * n}), np.array([0, n]), np.array([0]))
        found.append(Message([input_id, 7], *pack(unit), is_place=input_id == 1))
    return found


@pytest.mark.parametrize(
    ("n_rows", "n_arrays"), [([3, 0, 5], 3), ([30_000, 4], 6), ([1], 3), ([40_000], 4)]
)
def test_messages_are_joined_if_they_are_small(n_rows, n_arrays):
    messages = messages_of(n_rows)
    arrays = frame(messages)
    assert len(arrays) == n_arrays
    for sent, got in zip(messages, unframe(arrays), strict=True):
        assert (sent.inputs, sent.is_place) == (got.inputs, got.is_place)
        assert np.array_equal(sent.starts, got.starts)
        assert np.array_equal(sent.stream, got.stream)


@given(st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=2), min_size=1, max_size=5))
def test_units_that_travelled_together_are_as_they_were(lengths):
    units = [
        Unit(pa.table({"x": np.arange(sum(n)), "b": np.ones(sum(n), bool)}), np.cumsum([0, *n]))
        for n in lengths
    ]
    travelled = unpack(*pack(together(units)))
    for sent, got in zip(units, apart(travelled, len(units)), strict=True):
        assert got.table.equals(sent.table)
        assert got.starts.tolist() == sent.starts.tolist()


@pytest.mark.parametrize("column", ["dictionary", "list", "string-view"])
def test_units_that_travel_alone(column):
    units = [cut(pa.table({"x": COLUMNS[column]}), STARTS, np.array([i])) for i in (0, 2)]
    joined = together(units)
    if joined is None:
        assert column != "string-view"
        return
    assert [u.table.to_pylist() for u in apart(joined, 2)] == [
        u.table.to_pylist() for u in units
    ]


@given(st.data())
def test_any_bit_that_is_flipped_is_seen(data):
    arrays = [array.copy() for array in frame(messages_of(data.draw(N_ROWS_OF_UNITS)))]
    which = data.draw(st.integers(0, len(arrays) - 1))
    raw = arrays[which].view(np.uint8)
    if not len(raw):
        return
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedError):
        unframe(arrays)


N_ROWS_OF_UNITS = st.sampled_from([[2, 3], [9_000, 9_000], [0]])
