"""Bands: how many, where they begin, and that they put a partition in order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, PlainType, column, oracle
from dlsort.arrow.transport import to_transport
from dlsort.keys import SortKey
from dlsort.model.model import fit_model
from dlsort.model.partition import find_bands, group
from dlsort.order.bands import (
    count_bands,
    join_bands,
    read_starts,
    without_starts,
    write_starts,
)
from dlsort.order.shard_order import ShardOrder
from dlsort.order.sort_rows import sort_shards
from dlsort.order.words import key_table
from dlsort.strategies.oversized import sort_in_pieces
from dlsort.tuning import TUNING
from dlsort_cluster.exchange import Shards
from tuning_kit import bands_of


def test_as_many_as_keep_columns_in_the_cache():
    assert count_bands(0, 5, TUNING.order) == 1
    assert count_bands(10 * TUNING.order.band_rows, 1, TUNING.order) == 10
    assert count_bands(1e15, 2_000, TUNING.order) * 2_000 <= TUNING.order.most_bands
    assert count_bands(1e15, 10**6, TUNING.order) == 1


def shard(starts, n_parts, part):
    table = write_starts(pa.table({"x": np.arange(starts[-1])}), np.array(starts))
    n_bands = (len(starts) - 1) // n_parts
    first, last = starts[part * n_bands], starts[(part + 1) * n_bands]
    return table.slice(first, last - first)


def test_each_shard_says_where_its_bands_begin():
    one, two = shard([0, 2, 2, 5, 9], 2, 1), shard([0, 0, 0, 1, 2], 2, 1)
    assert [s.tolist() for s in read_starts(Shards.of([one, two]), 1, 2)] == [
        [0, 3, 7],
        [0, 1, 2],
    ]


def test_short_pieces_are_joined_to_fewer_bands():
    quarter = TUNING.order.band_shard_rows // 4
    starts = np.arange(0, 9 * quarter, quarter)
    (found,) = join_bands([starts], TUNING.order)
    assert found.tolist() == [0, starts[4], starts[8]]
    assert join_bands([np.array([0, 1, 2, 3])], TUNING.order)[0].tolist() == [0, 3]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda shards: [shards[0], shards[1].replace_schema_metadata(None)],
        lambda shards: [shards[0], shards[1].slice(1)],
        lambda shards: [shards[0], shard([0, 1, 2], 2, 1)],
        lambda shards: [shards[0], write_starts(shards[1], np.array([0, 1]))],
    ],
)
def test_shards_that_do_not_agree_are_one_band(spoil):
    shards = spoil([shard([0, 2, 2, 5, 9], 2, 1), shard([0, 0, 0, 1, 2], 2, 1)])
    found = read_starts(Shards.of(shards), 1, 2)
    assert [s.tolist() for s in found] == [[0, s.num_rows] for s in shards]


def test_other_metadata_stays():
    table = pa.table({"x": [1]}).replace_schema_metadata({"a": "b"})
    with_starts = write_starts(table, np.array([0, 1]))
    assert without_starts(with_starts.schema).equals(table.schema, check_metadata=True)
    assert (
        without_starts(write_starts(pa.table({"x": [1]}), np.array([0])).schema).metadata
        is None
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_partition_is_sorted_band_by_band(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=3))
    distinct = data.draw(st.sampled_from([None, 1, 3]))
    sizes = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=4))
    tables = []
    for i, size in enumerate(sizes):
        columns = {
            f"k{j}": column(rng, kind, size, distinct=distinct) for j, kind in enumerate(kinds)
        }
        rows = range(size)
        columns["row"] = np.arange(size) + sum(sizes[:i])
        text = [None if r % 7 == 3 else "x" * (r % 40) for r in rows]
        columns["text"] = pa.array(text, pa.string())
        columns["list"] = pa.array([[r, None] * (r % 3) for r in rows], pa.list_(pa.int8()))
        flag = [None if r % 5 == 0 else r % 2 == 0 for r in rows]
        columns["flag"] = pa.array(flag, pa.bool_())
        columns["decimal"] = pa.array(rows, pa.decimal128(30, 2))
        columns["nothing"] = pa.nulls(size)
        columns["plain"] = pa.ExtensionArray.from_storage(
            PlainType(), pa.array(rows, pa.int64())
        )
        tables.append(to_transport(pa.table(columns)))
    keys = tuple(
        SortKey(f"k{i}", data.draw(st.booleans()), data.draw(st.booleans()))
        for i in range(len(kinds))
    )
    n_parts = data.draw(st.integers(1, 4))
    whole = pa.concat_tables(
        [table.select(["row", *(key.column for key in keys)]) for table in tables],
        promote_options="permissive",
    )
    sample = pa.concat_tables([key_table(table, keys) for table in tables])
    places = [(i, row) for i, size in enumerate(sizes) for row in range(size)]
    some = np.flatnonzero(rng.random(len(places)) < 0.7)
    part, row = np.array(places, np.int64).reshape(-1, 2)[some].T
    tuning = bands_of(data.draw(st.sampled_from([1, 4, 30])))
    model = fit_model(
        to_transport(sample.take(some)).combine_chunks(),
        np.ascontiguousarray(part),
        np.ascontiguousarray(row),
        np.full(len(some), 1 / 0.7),
        keys,
        n_parts,
        tuning.order,
    )
    found = [
        group(table, find_bands(table, model, i), n_parts, model.n_bands)
        for i, table in enumerate(tables)
    ]
    got = []
    for p in range(n_parts):
        shards = [
            grouped.slice(starts[p], starts[p + 1] - starts[p]) for grouped, starts in found
        ]
        starts_here = read_starts(Shards.of(shards), p, n_parts)
        got.append(sort_shards(shards, starts_here, keys, tuning.order))
        most_bytes = data.draw(st.integers(1, 4000))
        pieces = list(sort_in_pieces(Shards.of(shards), keys, p, n_parts, most_bytes, tuning))
        whole_part = str(got[-1].to_pylist())
        assert str([row for piece in pieces for row in piece.to_pylist()]) == whole_part
        assert all(
            piece.schema.equals(tables[0].schema, check_metadata=True) for piece in pieces
        )
    order = oracle(whole, keys)
    expected = pa.concat_tables(tables).take(pa.array(order, pa.int64()))
    assert str([row for part in got for row in part.to_pylist()]) == str(expected.to_pylist())
    assert all(part.schema.equals(tables[0].schema, check_metadata=True) for part in got)


def test_columns_are_not_those_of_the_shards():
    """A user may write into a partition; what it was made of may yet be read again."""
    table = pa.table({"x": np.arange(6)})
    for starts, orders in (
        ([np.array([0, 6])], [np.arange(6, dtype=np.uint32)]),
        ([np.array([0, 3, 6])], [np.arange(3, dtype=np.uint32)] * 2),
        ([np.array([0, 0, 6])], [np.arange(0, dtype=np.uint32), np.arange(6, dtype=np.uint32)]),
    ):
        array = ShardOrder(starts, orders).take([table])
        assert array.to_pylist() == list(range(6))
        assert array.buffers()[1].address != table.column(0).chunk(0).buffers()[1].address


def test_rows_are_numbered_through_all_shards():
    starts = [np.array([0, 2, 3]), np.array([0, 0, 2])]
    orders = [np.array([1, 0], np.uint32), np.array([2, 0, 1], np.uint32)]
    assert ShardOrder(starts, orders).rows.tolist() == [1, 0, 4, 2, 3]


def test_text_that_outgrows_its_offsets(monkeypatch):
    from dlsort.order import shard_order

    monkeypatch.setattr(shard_order, "NARROW_BYTES", 5)
    tables = [pa.table({"x": ["abc", "de"]}), pa.table({"x": ["f", "ghi"]})]
    starts = [np.array([0, 1, 2])] * 2
    orders = [np.array([1, 0], np.uint32)] * 2
    found = ShardOrder(starts, orders).take(tables)
    assert found.type == pa.large_string()
    assert found.to_pylist() == ["f", "abc", "ghi", "de"]
    tables[1] = tables[1].cast(pa.schema([("x", pa.large_string())]))
    assert ShardOrder(starts, orders).take(tables).equals(found)
