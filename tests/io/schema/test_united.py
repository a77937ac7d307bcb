"""One schema of several files, and what stays of their metadata, from footers alone."""

import json

import pyarrow as pa
import pytest

from dlsort.errors import SchemaMismatchError
from dlsort.io.schema.metadata import FileSchema
from dlsort.io.schema.united import unite

S = pa.string()
K, SHAPES = (("k", pa.int64()),), (("k", pa.int64()), ("g", pa.binary()))


def files(*schemas, rows=3):
    return [FileSchema(f"{i}.parquet", schema, rows) for i, schema in enumerate(schemas)]


def with_metadata(*told, columns=K):
    return files(*(pa.schema(list(columns), metadata=each) for each in told))


def test_columns_are_those_of_all_files_and_what_one_has_not_may_be_null():
    one = pa.schema([pa.field("k", S, nullable=False), pa.field("a", S, nullable=False)])
    other = pa.schema([("b", S), pa.field("k", S, nullable=False)])
    found = unite(files(one, other))
    assert found.schema == pa.schema([one.field("k"), ("a", S), ("b", S)])
    assert [sorted(fit.missing) for fit in found.fits] == [["b"], ["a"]]


def test_files_of_one_schema_are_left_as_they_are():
    one = pa.schema([("k", S), ("a", pa.int8())])
    other = pa.schema([("a", pa.int8()), pa.field("k", S, nullable=False)])
    assert unite(files(one, other)).fits == (None, None)
    assert unite(files(one, other)).changes == ()


def test_the_report_names_what_was_united():
    found = unite(files(pa.schema([("k", pa.int32())]), pa.schema([("k", pa.int64())])))
    assert found.changes == ("k (int32, int64 → int64)",)


def test_the_report_names_columns_that_differ_by_case_only():
    """Spark reads each file, and not the sorted copy."""
    found = unite(files(pa.schema([("k", S), ("v", S)]), pa.schema([("k", S), ("V", S)])))
    assert found.changes[-1] == "v and V (differ by case only: Spark can't read both)"
    both = pa.schema([("v", S), ("V", S)])
    assert not any("case" in change for change in unite(files(both, both)).changes)
    assert not any("case" in change for change in unite(files(both, pa.schema([]))).changes)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([pa.int8(), pa.int64(), S], r"column 'k': it is int8 in 0\.\S+ and string in 2\."),
        ([pa.timestamp("us"), pa.timestamp("us", "UTC")], r"timestamp\[us\] in .*tz=UTC\] in"),
        (
            [pa.list_(S), pa.list_(pa.bool_())],
            r"'k' \(k.element\): it is string .* and bool in",
        ),
        ([pa.struct([("x", S)]), S], r"struct<x: string> in .* and string in"),
        ([pa.bool_(), pa.null(), pa.uint8()], r"bool in 0\.\S+ and uint8 in 2\."),
    ],
    ids=str,
)
def test_types_without_a_union_are_refused_with_both_files(kinds, words):
    with pytest.raises(SchemaMismatchError, match=words):
        unite(files(*(pa.schema([("k", kind)]) for kind in kinds)))


MAPS = [pa.map_(S, pa.field("value", S, nullable=ok)) for ok in (True, False)]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ([("k", pa.int8())], [("k", pa.int16())], "int8 in .* int16 in"),
        ([("k", S)], [pa.field("k", S, nullable=False)], "string in .* string not null in"),
        ([("k", MAPS[0])], [("k", MAPS[1])], "map<string, string> in .*string not null> in"),
        ([("k", S), ("a", S)], [("a", S), ("k", S)], "order of columns: 'k' is column 1"),
        ([("k", S)], [("k", S), ("a", S)], "'a': it is missing in 0.* and string in 1"),
        (
            [("k", S)],
            [pa.field("k", S, metadata={"note": "1"})],
            r"string in .* and string \{note: 1\} in",
        ),
    ],
)
def test_strict_refuses_any_difference_and_shows_it(one, other, words):
    with pytest.raises(SchemaMismatchError, match=words):
        unite(files(pa.schema(one), pa.schema(other)), "strict")
    assert unite(files(pa.schema(one), pa.schema(one)), "strict").schema == pa.schema(one)


def test_a_schema_that_is_asked_for_is_taken():
    wanted = pa.schema([("new", S), ("k", pa.int64())])
    found = unite(files(pa.schema([("k", pa.int8())]), pa.schema([("k", pa.int64())])), wanted)
    assert found.schema == wanted
    assert [sorted(fit.differs) for fit in found.fits] == [["k"], []]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([("other", S)], "'k' of 0.parquet is not in the schema that is asked for"),
        ([("k", pa.list_(S))], "'k' is int8 in 0.parquet and list<string> in"),
        ([("k", S), pa.field("n", S, nullable=False)], "'n' is missing in 0.parquet"),
        ([("k", S), pa.field("n", pa.int8(), nullable=False)], "int8 not null in"),
        ([("k", pa.struct([("a", S)]))], "struct<a: string> in"),
    ],
)
def test_a_schema_that_can_not_be_taken_is_refused(wanted, words):
    with pytest.raises(SchemaMismatchError, match=words):
        unite(files(pa.schema([("k", pa.int8())])), pa.schema(wanted))


@pytest.mark.parametrize("key", [b"unit", b"units", b"calendar", b"scale_factor", b"crs"])
def test_what_changes_a_columns_meaning_is_refused_with_both(key):
    told = [
        pa.schema([pa.field("k", pa.int8(), metadata={key: value})]) for value in (b"1", b"2")
    ]
    words = rf"'k' means: its {key.decode()} is '1' in 0\.\S+ and '2' in 1\..* Convert"
    with pytest.raises(SchemaMismatchError, match=words):
        unite(files(*told))
    deep = [pa.schema([("k", pa.list_(schema.field(0)))]) for schema in told]
    with pytest.raises(
        SchemaMismatchError, match=words.replace(" means", r" \(k.element\) means")
    ):
        unite(files(*deep))
    given = pa.schema([("k", pa.int8())])
    assert unite(files(*told), given).schema == given
    assert unite(files(told[0], told[0])).schema.field(0).metadata == {key: b"1"}


# ---------------------------------------------------------------- metadata of files


def test_keys_stay_where_all_files_say_the_same_and_others_are_told():
    found = unite(with_metadata({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2"}))
    assert found.schema.metadata == {b"a": b"1"}
    assert sorted(found.dropped) == ["b", "c"]


def test_a_file_without_rows_says_nothing_of_them():
    one, other = with_metadata({"a": "1"}, {"a": "2"})
    found = unite([one, FileSchema("e.parquet", other.schema, 0)])
    assert found.schema.metadata == {b"a": b"1"}
    assert found.dropped == ()


@pytest.mark.parametrize(
    "key",
    [
        "hoodie_min_record_key",
        "hoodie_max_record_key",
        "hoodie_bloom_filter_type_code",
        "org.apache.hudi.bloomfilter",
        "com.uber.hoodie.bloomfilter",
    ],
)
def test_ranges_and_filters_of_one_files_own_rows_are_left_out(key):
    found = unite(with_metadata({key: "x"}))
    assert found.schema.metadata is None
    assert found.dropped == (key,)


@pytest.mark.parametrize(
    "key",
    [
        "org.apache.spark.sql.parquet.row.metadata",
        "parquet.avro.schema",
        "avro.schema",
        "iceberg.schema",
        "huggingface",
    ],
)
def test_schemas_of_other_writers_stay_only_where_they_are_true(key):
    same = pa.schema([("k", pa.int8())], metadata={key: "x"})
    wider = pa.schema([("k", pa.int16())], metadata={key: "x"})
    assert unite(files(same, same)).schema.metadata == {key.encode(): b"x"}
    found = unite(files(same, wider))
    assert found.schema.metadata is None
    assert found.dropped == (key,)


OLD = "org.apache.spark.legacyDateTime"
OLD_96 = "org.apache.spark.legacyINT96"
SPARK = "org.apache.spark.version"


@pytest.mark.parametrize(
    "told",
    [{OLD: ""}, {OLD_96: ""}, {SPARK: "2.4.8"}, {OLD: "", OLD_96: ""}, {SPARK: "3.5", OLD: ""}],
)
def test_spark_s_calendar_marks_stay_where_all_have_them_else_dates_are_looked_at(told):
    columns = [("k", pa.int64()), ("d", pa.list_(pa.date32()))]
    same = unite(with_metadata(told, told, columns=columns))
    assert same.schema.metadata == {k.encode(): v.encode() for k, v in told.items()}
    assert same.fits == (None, None)
    mixed = unite(with_metadata(told, {SPARK: "4.0.1"}, columns=columns))
    assert mixed.schema.metadata is None
    assert mixed.fits[0].calendar_of == "1.parquet"
    assert mixed.fits[1] is None
    assert unite(with_metadata(told, {})).fits == (None, None)  # no dates in it


def test_a_calendar_s_zone_that_differs_is_looked_at_too():
    told = [{OLD: "", "org.apache.spark.timeZone": zone} for zone in ("UTC", "Asia/Tokyo")]
    found = unite(with_metadata(*told, columns=[("d", pa.timestamp("us"))]))
    assert all(fit.calendar_of for fit in found.fits)


# ---------------------------------------------------------------- shapes


def geo(bbox=None, version="1.1.0", **column):
    if bbox is not None:
        column["bbox"] = bbox
    column = {"encoding": "WKB", "geometry_types": ["Point"], **column}
    told = {"version": version, "primary_column": "g", "columns": {"g": column}}
    return {b"geo": json.dumps(told).encode()}


def united_geo(*told, columns=SHAPES):
    found = unite(with_metadata(*told, columns=columns))
    return json.loads(found.schema.metadata[b"geo"])["columns"]["g"]


@pytest.mark.parametrize(
    ("boxes", "box"),
    [
        ([[0, 0, 1, 1], [5, -5, 6, 0]], [0, -5, 6, 1]),
        ([[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3]], [0, 0, 0, 3, 3, 3]),
        ([[0, 0, 9, 1, 1, 9], [2, 2, 3, 3]], [0, 0, 3, 3]),
        ([[0, 0, 1, 1], None], None),
        ([[170, 0, -170, 1], [0, 0, 1, 1]], None),
        ([[0, 0, 1, 1], [0, 0, 1, 1]], [0, 0, 1, 1]),
        ([[0, 0, 1, 1], [2, 2, 3, 3], [-1, 4, 0, 5]], [-1, 0, 3, 5]),
    ],
)
def test_boxes_hold_all_shapes_or_are_left_out(boxes, box):
    assert united_geo(*map(geo, boxes)).get("bbox") == box


def test_kinds_of_shapes_are_those_of_all():
    kinds = [geo(geometry_types=t) for t in (["Point"], ["LineString", "Point"])]
    assert united_geo(*kinds)["geometry_types"] == ["LineString", "Point"]
    assert united_geo(geo(), geo(geometry_types=[]))["geometry_types"] == []


RD = {"name": "Amersfoort / RD New", "id": {"authority": "EPSG", "code": 28992}}
WGS = {"name": "WGS 84", "id": {"authority": "EPSG", "code": 4326}}


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"crs": RD}, {"crs": WGS}, "coordinate system .*EPSG:28992 in 0.* OGC:CRS84 in 1"),
        ({}, {"crs": RD}, "coordinate system"),
        ({"crs": None}, {}, "coordinate system .* unknown in 0"),
        ({"edges": "spherical"}, {}, "edges .* spherical in 0.* planar in 1"),
        ({"epoch": 2020.0}, {"epoch": 2021.5}, "epoch"),
        ({"encoding": "point"}, {}, "encoding"),
    ],
)
def test_shapes_that_mean_other_places_are_refused_with_both_files(one, other, words):
    with pytest.raises(SchemaMismatchError, match=words):
        united_geo(geo(**one), geo(**other))


def test_one_system_spelled_in_two_ways_is_one():
    assert united_geo(geo(crs=WGS), geo(crs={**WGS, "area": "World"}))["crs"] == WGS
    united_geo(geo(), geo(crs=WGS))


def test_shapes_of_which_a_file_says_nothing_are_not_told_of():
    found = unite(with_metadata(geo(), {}, columns=[("k", S), ("g", pa.binary())]))
    assert found.schema.metadata is None
    assert found.dropped == ("geo",)
