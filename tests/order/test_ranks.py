"""Values as ranks: the normal form of key columns."""

from __future__ import annotations

import pyarrow as pa
import pytest

import dlsort
from dlsort.keys import SortKey
from dlsort.order.ranks import normal_keys
from dlsort.order.words import NormalKeys, key_table
from dlsort.tuning import TUNING


class Around(pa.ExtensionType):
    """An extension type whose storage is a dictionary."""

    def __init__(self, storage: pa.DataType) -> None:
        super().__init__(storage, "tests.around")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, _: bytes) -> Around:
        return cls(storage)


def test_key_columns_in_normal_form_hold_no_dictionary():
    table = pa.table({"k": pa.array(["b", "a", None]).dictionary_encode()})
    with pytest.raises(TypeError, match="'k' is a dictionary"):
        NormalKeys(table, (SortKey("k"),))
    assert normal_keys(table, (SortKey("k"),), TUNING.order).table["k"].to_pylist() == [
        1,
        0,
        None,
    ]


@pytest.mark.parametrize("index", [pa.int8(), pa.int32()], ids=str)
def test_a_dictionary_in_an_extension_type_is_sorted_by_its_values(index):
    """With 32-bit indices it was sorted by them, in the order in which values had come."""
    kind = pa.dictionary(index, pa.string())
    values = pa.ExtensionArray.from_storage(Around(kind), pa.array(["b", "a", "c"]).cast(kind))
    table = pa.table({"k": values, "v": [0, 1, 2]})
    assert not pa.types.is_dictionary(table.schema.field("k").type)
    assert normal_keys(key_table(table, (SortKey("k"),)), (SortKey("k"),), TUNING.order)
    result = dlsort.sort_table(table, by="k")
    assert result["v"].to_pylist() == [1, 0, 2]
    assert result.schema == table.schema
    assert dlsort.argsort(values).tolist() == [1, 0, 2]
