"""Short columns are worked on together, and come out as each of them alone would."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrow_data import PlainType
from dlsort.arrow.blocks import BLOCK_VALUES, in_blocks
from dlsort.arrow.take import take_table
from dlsort.arrow.transport import concat_rows
from dlsort.proof.checksum import Proof, prove, total
from dlsort.table import sort_table
from dlsort.tuning import TUNING

MOST_ROWS = 16_384


def as_it_is(number):
    return number


# How a column's values come from numbers below 100.
KINDS = {
    pa.int64(): as_it_is,
    pa.int8(): as_it_is,
    pa.uint32(): as_it_is,
    pa.float32(): float,
    pa.float64(): float,
    pa.timestamp("us", "UTC"): as_it_is,
    pa.date32(): as_it_is,
    pa.binary(3): lambda number: b"%03d" % number,
    pa.decimal128(9, 2): as_it_is,
    pa.month_day_nano_interval(): lambda number: (1, number, 2),
    pa.bool_(): lambda number: number > 50,
    pa.string(): str,
    pa.dictionary(pa.int32(), pa.string()): str,
    pa.list_(pa.int16()): lambda number: [number] * (number % 3),
}


def wide(n_rows: int, kinds: list[pa.DataType], seed: int, nulls: float) -> pa.Table:
    """Columns of these types, some with nulls, each a slice of a longer one."""
    rng = np.random.default_rng(seed)
    columns = []
    for kind in kinds:
        n = n_rows + int(rng.integers(0, 9))
        share = nulls * rng.integers(0, 2)
        numbers = rng.integers(0, 100, n).tolist()
        values = [None if rng.random() < share else KINDS[kind](v) for v in numbers]
        columns.append(pa.array(values, kind)[n - n_rows :])
    return pa.table(columns, names=[f"c{i}" for i in range(len(columns))])


tables = st.builds(
    wide,
    st.sampled_from([1, 2, 7, 300]),
    st.lists(st.sampled_from([*KINDS]), min_size=1, max_size=40),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3, 1.0]),
)


@given(tables, st.data())
def test_rows_are_taken_as_arrow_takes_them(table, data):
    rows = data.draw(st.lists(st.integers(0, table.num_rows - 1), max_size=50))
    taken = take_table(table, np.array(rows, np.uint32))
    taken.validate(full=True)
    assert taken.to_pylist() == table.take(pa.array(rows, pa.int64())).to_pylist()
    assert taken.schema == table.schema
    again = take_table(taken, np.arange(len(rows), dtype=np.uint32)[::-1].copy())
    assert again.to_pylist() == taken.to_pylist()[::-1]


@given(tables)
def test_the_proof_of_short_columns_is_that_of_long_ones(table):
    n_times = MOST_ROWS // table.num_rows + 1
    often = pa.concat_tables([table] * n_times).combine_chunks()
    assert prove(often, TUNING.proof) == total([prove(table, TUNING.proof)] * n_times)


def test_a_block_is_no_larger_than_it_may_be_and_no_column_is_lost():
    table = wide(1000, [*KINDS] * 40, 1, 0.1).combine_chunks()
    columns = [column.chunk(0) for column in table.columns]
    blocks, others = in_blocks(columns, MOST_ROWS)
    found = list(others)
    for numbers, values in blocks:
        assert len(values) == 1000 * len(numbers) <= BLOCK_VALUES
        assert values.equals(pa.concat_arrays([columns[i] for i in numbers]))
        found += numbers
    assert sorted(found) == list(range(len(columns)))
    assert {str(columns[i].type) for i in others} == {
        "bool",
        "month_day_nano_interval",
        "fixed_size_binary[3]",
        "string",
        "list<item: int16>",
        "decimal128(9, 2)",
        "dictionary<values=string, indices=int32, ordered=0>",
    }


@pytest.mark.parametrize("n_rows", [0, MOST_ROWS + 1])
def test_long_and_empty_columns_stay_alone(n_rows):
    blocks, others = in_blocks([pa.array(np.zeros(n_rows))] * 5, MOST_ROWS)
    assert not list(blocks)
    assert others == [0, 1, 2, 3, 4]


def test_columns_of_types_that_cannot_be_hashed_are_left_alone():
    with pytest.raises(TypeError, match="unhashable"):
        hash(PlainType())
    column = pa.ExtensionArray.from_storage(PlainType(), pa.array([5, 6]))
    table = pa.table({f"c{i}": [2, 1] for i in range(5)} | {"e": column})
    assert sort_table(table, "c0")["e"].combine_chunks().storage.to_pylist() == [6, 5]
    assert prove(table, TUNING.proof).rows == 2
    assert concat_rows([table, table]).num_rows == 4


@pytest.mark.parametrize("nulls", [0.0, 0.5])
def test_a_column_that_is_pickled_takes_no_others_along(nulls):
    table = wide(1000, [pa.float64()] * 50 + [pa.int8()] * 50, 1, nulls)
    taken = take_table(table, np.arange(1000, dtype=np.uint32))
    assert taken.equals(table)
    assert len(pickle.dumps(taken)) < 1.1 * len(pickle.dumps(table.combine_chunks()))
    assert taken.get_total_buffer_size() < 1.1 * taken.nbytes


def test_a_table_of_no_columns_has_no_rows_to_prove():
    assert prove(pa.table({"a": [1, 2]}).select([]), TUNING.proof) == Proof()
