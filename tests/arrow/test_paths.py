"""Names of columns, and of fields of structs in them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dlsort.arrow.paths import column_at, field_at, find_path, select_columns, top_columns_of
from dlsort.errors import UnknownColumnError
from dlsort.keys import SortKey

DEEP = pa.struct([("b", pa.struct([("c.d", pa.int8()), ("e", pa.string())])), ("x", pa.int8())])


@pytest.mark.parametrize(
    ("names", "name", "path"),
    [
        (["a"], "a.x", (0, 1)),
        (["a"], "a.b.c.d", (0, 0, 0)),
        (["a"], "a.b.e", (0, 0, 1)),
        (["a.b", "a"], "a.x", (1, 1)),
        (["a", "a.x"], "a.x", (1,)),
        (["a.b"], "a.b.b.e", (0, 0, 1)),
        ([""], ".x", (0, 1)),
    ],
)
def test_a_column_of_the_name_is_before_a_field(names, name, path):
    assert find_path(pa.schema([(n, DEEP) for n in names]), name) == path


@pytest.mark.parametrize(
    ("names", "name", "says"),
    [
        (["a"], "a.z", r"no column 'a.z'\..* The columns are: a, a.b, .*, a.x"),
        (["a"], "a.B.e", r"Did you mean 'a.b.e'\?"),
        (["a", "a"], "a", "2 columns are named 'a'"),
        (["a", "a"], "a.x", "2 fields are named 'a.x'"),
        (["a", "a.b"], "a.b.b.f", "no column"),
        (["s", "s.b"], "s.b.e", "2 fields are named 's.b.e'"),
    ],
)
def test_none_or_several_are_refused(names, name, says):
    kinds = {"s.b": pa.struct([("e", pa.string())])}
    schema = pa.schema([(n, kinds.get(n, DEEP)) for n in names])
    with pytest.raises(UnknownColumnError, match=says):
        find_path(schema, name)


def test_a_field_is_null_where_its_struct_is():
    inner = pa.array([1, 2, None], pa.int64())
    table = pa.table(
        {"s": pa.StructArray.from_arrays([inner], ["f"], mask=pa.array([False, True, False]))}
    )
    sliced = pa.concat_tables([table, table.slice(1)])
    assert column_at(sliced, "s.f").to_pylist() == [1, None, None, None, None]
    assert field_at(sliced.schema, "s.f") == pa.field("s.f", pa.int64())
    keys = [SortKey("s.f"), SortKey("s")]
    assert select_columns(sliced, keys).column_names == ["s.f", "s"]
    assert select_columns(select_columns(sliced, keys), keys).column_names == ["s.f", "s"]
    assert top_columns_of(sliced.schema, keys) == ["s"]
