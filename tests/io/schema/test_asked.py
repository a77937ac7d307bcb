"""A schema that the caller gives: what of the files it would lose or mix is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort import sort_dataset
from dlsort.errors import SchemaMismatchError
from dlsort.io.schema.metadata import FileSchema
from dlsort.io.schema.united import unite

INT, S = pa.int64(), pa.string()
WIDE, NARROW = pa.struct([("a", INT), ("b", S)]), pa.struct([("a", INT)])


def ask(kind, wanted):
    fields = (k if isinstance(k, pa.Field) else pa.field("v", k) for k in (kind, wanted))
    file, schema = (pa.schema([field]) for field in fields)
    return unite([FileSchema("0.parquet", file, 1)], schema).schema.field("v").type


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda kind: kind, "v.b"),
        (pa.list_, "v.element.b"),
        (lambda kind: pa.list_(kind, 2), "v.element.b"),
        (lambda kind: pa.map_(S, kind), "v.value.b"),
        (lambda kind: pa.map_(kind, S), "v.key.b"),
        (lambda kind: pa.struct([("s", pa.large_list(kind))]), "v.s.element.b"),
    ],
)
def test_a_field_that_would_be_lost_is_refused_at_any_depth(wrap, place):
    with pytest.raises(SchemaMismatchError, match=rf"'{place}' of 0\S+ is not in .* lost; add"):
        ask(wrap(WIDE), wrap(NARROW))
    assert ask(wrap(NARROW), wrap(WIDE)) == wrap(WIDE)
    turned = wrap(pa.struct([("b", S), ("a", pa.int32())]))
    assert ask(wrap(WIDE), turned) == turned


def test_fields_of_one_name_are_told_apart_by_their_place_alone():
    twice = pa.struct([("a", pa.int32()), ("a", pa.int32())])
    wider = pa.struct([("a", INT), ("a", INT)])
    assert ask(twice, wider) == wider
    for one, other in ((twice, NARROW), (NARROW, wider)):
        with pytest.raises(SchemaMismatchError, match="values can't become that"):
            ask(one, other)


TIMES = [pa.timestamp("us"), pa.date32(), pa.time64("us"), pa.duration("ms")]


@pytest.mark.parametrize(
    "number", [INT, pa.int32(), pa.float64(), pa.decimal128(20, 0)], ids=str
)
@pytest.mark.parametrize("time", TIMES, ids=str)
def test_times_become_no_numbers_nor_numbers_times(time, number):
    for one, other in ((time, number), (number, time)):
        for wrap in (lambda kind: kind, pa.list_, lambda kind: pa.struct([("f", kind)])):
            with pytest.raises(SchemaMismatchError, match=r"'v' is .* in \S+ and .* asked"):
                ask(wrap(one), wrap(other))


@pytest.mark.parametrize("wrap", [lambda field: field, pa.list_])
def test_a_unit_that_is_another_than_that_of_the_schema_is_refused(wrap):
    feet, metres = (wrap(pa.field("v", INT, metadata={"unit": unit})) for unit in ("ft", "m"))
    words = r"unit of column 'v'.* is 'ft' in 0\S+ and 'm' in .* leave the unit out"
    with pytest.raises(SchemaMismatchError, match=words):
        ask(feet, metres)
    ask(feet, feet)
    ask(feet, wrap(pa.field("v", INT)))


def test_what_can_not_be_held_is_told_of_the_schema_that_was_given(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for unit in ("ns", "us"):
        table = pa.table({"t": pa.array([1], pa.timestamp(unit))})
        pq.write_table(table, folder / f"{unit}.parquet")
    wanted = pa.schema([("t", pa.timestamp("us"))])
    words = (
        r"'t' is timestamp\[ns\] in \S+ns.parquet and timestamp\[us\] in the schema .*data: 1"
    )
    with pytest.raises(SchemaMismatchError, match=words):
        sort_dataset(folder, tmp_path / "out", by="t", schema=wanted, threads=1)
