"""Lists and maps of nulls that may not be null, as Spark writes array() and map()."""

import io
import pickle

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort import check_dataset, sort_dataset
from dlsort.arrow.layouts import with_null_fields
from dlsort.io.parquet.thrift import STRUCT
from parquet_mutations import with_footer

ELEMENTS, LOGICAL, UNKNOWN = 2, 10, 11
FLAG, S = pa.bool_(), pa.string()


def required(name, kind=FLAG):
    return pa.field(name, kind, nullable=False)


LIST = pa.list_(required("element"))
VOID_MAP = pa.map_(FLAG, required("value"))
# as it is written, with booleans where Spark has void; a value; and what becomes of the type
KINDS = {
    "list": (LIST, [], pa.list_(pa.null())),
    "deep": (pa.list_(required("element", LIST)), [[]], None),
    "struct": (pa.struct([required("a", LIST), ("b", FLAG)]), {"a": [], "b": None}, None),
    "map": (VOID_MAP, [], pa.map_(S, pa.null())),
    "value": (pa.map_(S, FLAG), [("a", None)], pa.map_(S, pa.null())),
    "list of maps": (
        pa.list_(required("element", pa.map_(FLAG, required("value")))),
        [[]],
        None,
    ),
}


def void_file(kind, value):
    """Return a file in which each boolean of the column m is of no type, as Spark's void."""
    fields = [pa.field("k", pa.int32(), nullable=False), required("m", kind)]
    table = pa.table(
        [pa.array([2, 1], pa.int32()), pa.array([value, value], kind)], schema=pa.schema(fields)
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False)

    def change(footer):
        for element in footer[ELEMENTS][1][1]:
            if element.get(1) == (5, 0):  # BOOLEAN
                element[LOGICAL] = STRUCT, {UNKNOWN: (STRUCT, {})}

    return with_footer(sink.getvalue(), change)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("schema", ["union", "strict"])
def test_empty_lists_and_maps_of_no_type_are_sorted(tmp_path, name, schema):
    kind, value, expected = KINDS[name]
    (tmp_path / "in").mkdir()
    for number in (0, 1):
        (tmp_path / "in" / f"{number}.parquet").write_bytes(void_file(kind, value))
    how = {"by": "k", "schema": schema, "threads": 1}
    assert sort_dataset(tmp_path / "in", tmp_path / "out", **how).rows == 4
    found = pq.read_table(tmp_path / "out")
    assert found.to_pydict() == {"k": [1, 1, 2, 2], "m": [value] * 4}
    if expected is not None:
        assert found.schema.field("m").type == with_null_fields(expected)
    assert pickle.loads(pickle.dumps(found.schema)) == found.schema
    assert check_dataset(tmp_path / "out", by="k", against=tmp_path / "in").ok


@pytest.mark.parametrize(
    ("name", "typed"),
    [("list", pa.list_(pa.int64())), ("map", pa.map_(pa.int64(), S))],
)
def test_beside_values_they_are_of_their_type(tmp_path, name, typed):
    kind, value, _ = KINDS[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.parquet").write_bytes(void_file(kind, value))
    full = [3] if name == "list" else [(3, "a")]
    table = pa.table({"k": pa.array([3], pa.int32()), "m": pa.array([full], typed)})
    pq.write_table(table, tmp_path / "in" / "1.parquet")
    for schema in ("union", pa.schema([("k", pa.int32()), ("m", typed)])):
        how = {"by": "k", "schema": schema, "overwrite": True, "threads": 1}
        sort_dataset(tmp_path / "in", tmp_path / "out", **how)
        assert pq.read_table(tmp_path / "out")["m"].to_pylist() == [value, value, full]
