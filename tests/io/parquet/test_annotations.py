"""What a file says of its columns that Arrow does not keep; and columns that can't be read."""

from __future__ import annotations

import datetime as dt
import io

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlsort import check_dataset, sort_dataset
from dlsort.errors import SourceUnsupportedError
from dlsort.io.parquet.stored_schema import find_annotations, footer_in
from dlsort.io.parquet.thrift import BINARY, I32, STRUCT
from encryption_kit import encrypt
from parquet_mutations import with_footer

SCHEMA, CONVERTED, LOGICAL, GROUPS, COLUMNS, METADATA, STATISTICS = 2, 6, 10, 4, 1, 3, 12


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False, **options)
    return sink.getvalue()


def annotated(kind, **more):
    """Return a file whose second column, x, has an annotation in place of Arrow's."""
    values = {"binary": [b"b", b"a"], "fixed": [b"b" * 12, b"a" * 12]}
    type_ = pa.binary(12) if kind == "fixed" else pa.binary()
    data = parquet(pa.table({"k": [2, 1], "x": pa.array(values[kind], type_)}))
    return with_footer(data, lambda footer: footer[SCHEMA][1][1][2].update(more["set"]))


LOST = {
    "ENUM": ("binary", {CONVERTED: (I32, 4), LOGICAL: (STRUCT, {4: (STRUCT, {})})}),
    "BSON": ("binary", {LOGICAL: (STRUCT, {13: (STRUCT, {})})}),
    "INTERVAL": ("fixed", {CONVERTED: (I32, 21)}),
    "VARIANT": ("binary", {LOGICAL: (STRUCT, {16: (STRUCT, {})})}),
    "GEOMETRY": ("binary", {LOGICAL: (STRUCT, {17: (STRUCT, {})})}),
    "logical type 29": ("binary", {LOGICAL: (STRUCT, {29: (STRUCT, {})})}),
}


@pytest.mark.parametrize("name", LOST)
def test_a_type_that_a_copy_would_lose_is_refused_by_column_and_name(work, name):
    kind, change = LOST[name]
    (work / "in" / "a.parquet").write_bytes(annotated(kind, set=change))
    with pytest.raises(SourceUnsupportedError, match=f"column 'x' of .*a.parquet is {name}"):
        sort_dataset(work / "in", work / "out", by="k")
    assert not (work / "out").exists()
    assert not check_dataset(work / "in", by="k").ok  # which copies nothing


def schema_text(folder):
    (path,) = folder.glob("*.parquet")
    return str(pq.ParquetFile(path).schema).split("\n", 1)[1]


@pytest.mark.parametrize("in_utc", [True, False])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_day_stay_in_utc_or_not(work, in_utc, unit):
    times = pa.array([2, 1], pa.time32("ms") if unit == "ms" else pa.time64(unit))
    table = pa.table({"k": [2, 1], "t": times, "s": pa.StructArray.from_arrays([times], ["t"])})
    pq.write_table(table, work / "in" / "a.parquet", write_time_adjusted_to_utc=in_utc)
    sort_dataset(work / "in", work / "out", by="t")
    assert schema_text(work / "out") == schema_text(work / "in")


def test_times_of_both_kinds_are_refused(work):
    times = pa.array([2, 1], pa.time64("us"))
    for name, in_utc in (("a", True), ("b", False)):
        pq.write_table(
            pa.table({"t": times}),
            work / f"in/{name}.parquet",
            write_time_adjusted_to_utc=in_utc,
        )
    with pytest.raises(SourceUnsupportedError, match="with and without UTC"):
        sort_dataset(work / "in", work / "out", by="t")


KEPT = {
    "uuid": pa.array([b"b" * 16, b"a" * 16], pa.uuid()),
    "json": pa.array(['{"b": 1}', "{}"], pa.json_()),
    "half": pa.array([1.5, None], pa.float16()),
    "void": pa.array([[None], []], pa.list_(pa.null())),
    "null": pa.array([None, None]),
    "days": pa.array([dt.date(9999, 1, 1), dt.date(1, 1, 1)]),
    "unsigned": pa.array([2**64 - 1, 0], pa.uint64()),
    "byte": pa.array([-128, 127], pa.int8()),
    "local": pa.array([2, 1], pa.timestamp("us")),
    "instant": pa.array([2, 1], pa.timestamp("us", "UTC")),
    "nanos": pa.array([2**62, 1], pa.timestamp("ns")),
    "decimal": pa.array([2, 1], pa.decimal128(38, 9)),
}


@pytest.mark.parametrize("store_schema", [True, False])
def test_types_that_arrow_keeps_are_the_same_for_other_readers(work, store_schema):
    table = pa.table({"k": [2, 1], **KEPT})
    pq.write_table(table, work / "in" / "a.parquet", store_schema=store_schema)
    sort_dataset(work / "in", work / "out", by="k")
    before, after = schema_text(work / "in"), schema_text(work / "out")
    # integers hold short decimals as they may; this one is long
    assert after == before
    found = pq.read_table(work / "out")
    assert found.drop(["k"]).to_pylist() == table.take([1, 0]).drop(["k"]).to_pylist()
    assert check_dataset(work / "out", by="k", against=work / "in").ok


LISTS = {
    "opaque": (pa.opaque(pa.list_(pa.int64()), "kind", "maker"), [[2, 3], None, [1]]),
    "tensor": (pa.fixed_shape_tensor(pa.int64(), [2]), [[2, 3], None, [1, 4]]),
    "nested": (
        pa.opaque(pa.struct([("x", pa.list_(pa.int64()))]), "kind", "maker"),
        [None] * 3,
    ),
}


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("is_compliant", [True, False])
@pytest.mark.parametrize("name", LISTS)
def test_values_of_lists_in_extension_types_keep_their_name(
    work, name, is_compliant, store_schema
):
    """In the file it is ``element`` as a rule, which such a type does not know in Arrow."""
    kind, values = LISTS[name]
    array = pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    table = pa.table(
        {
            "k": [3, 1, 2],
            "x": array,
            "l": pa.ListArray.from_arrays([0, 1, 1, 3], array),
            "s": pa.StructArray.from_arrays([array], ["x"]),
            "m": pa.array([[("a", [1])], None, []], pa.map_(pa.string(), pa.list_(pa.int8()))),
        }
    )
    pq.write_table(
        table,
        work / "in" / "a.parquet",
        store_schema=store_schema,
        use_compliant_nested_type=is_compliant,
    )
    sort_dataset(work / "in", work / "out", by="k")
    assert schema_text(work / "out") == schema_text(work / "in")
    found, before = pq.read_table(work / "out"), pq.read_table(work / "in")
    plain, as_before = found.schema.remove_metadata(), before.schema.remove_metadata()
    assert plain.equals(as_before, check_metadata=True)
    assert found.to_pylist() == before.take([1, 2, 0]).to_pylist()
    assert check_dataset(work / "out", by="k", against=work / "in").ok


def test_the_paths_of_annotations(tmp_path):
    nested = pa.array([[{"a.b": 1}]], pa.list_(pa.struct([("a.b", pa.time64("us"))])))
    data = parquet(pa.table({"x": nested}), write_time_adjusted_to_utc=True)
    footer = footer_in(data)
    found = find_annotations(footer)
    assert found.lost == {}
    assert found.in_utc == {"x.list.element.a.b": True}


@pytest.mark.parametrize("n_bytes", [1, 64, 99, 101])
def test_cut_statistics_of_fixed_width_values_cost_nothing(work, n_bytes):
    """As arrow-rs writes them: cut to 64 bytes."""
    values = pa.array([b"b" * 100, b"a" * 100], pa.binary(100))

    def cut(footer):
        for group in footer[GROUPS][1][1]:
            statistics = group[COLUMNS][1][1][0][METADATA][1][STATISTICS][1]
            for number, letter in ((1, b"b"), (2, b"a"), (5, b"b"), (6, b"a")):
                statistics[number] = BINARY, letter * n_bytes

    data = with_footer(parquet(pa.table({"h": values, "k": [2, 1]})), cut)
    (work / "in" / "a.parquet").write_bytes(data)
    for by in ("h", "k"):
        sort_dataset(work / "in", work / "out", by=by, overwrite=True)
        assert pq.read_table(work / "out")["h"].to_pylist() == [b"a" * 100, b"b" * 100]
        assert check_dataset(work / "out", by=by, against=work / "in").ok


TABLE = pa.table({"k": [1, 2, 3], "ssn": ["a", "b", "c"], "s": [{"x": 1}, {"x": 2}, None]})


def test_clear_columns_of_a_file_with_encrypted_ones_can_be_used(work):
    encrypt(work / "in" / "a.parquet", TABLE, ["ssn"], plaintext_footer=True)
    assert check_dataset(work / "in", by="k").ok
    with pytest.raises(SourceUnsupportedError, match=r"'ssn' of .*a\.parquet is encrypted"):
        check_dataset(work / "in", by="ssn")
    with pytest.raises(SourceUnsupportedError, match=r"'ssn' of .*a\.parquet is encrypted"):
        check_dataset(work / "in", by="k", against=work / "in")
    with pytest.raises(SourceUnsupportedError, match=r"'ssn' of .*a\.parquet is encrypted"):
        sort_dataset(work / "in", work / "out", by="k")


def test_an_encrypted_field_of_a_struct_is_told(work):
    encrypt(work / "in" / "a.parquet", TABLE, ["s.x"], plaintext_footer=True)
    assert check_dataset(work / "in", by="k").ok
    with pytest.raises(SourceUnsupportedError, match=r"'s\.x' of"):
        sort_dataset(work / "in", work / "out", by="k")


def test_a_file_that_is_encrypted_with_its_footer_is_not_called_corrupt(work):
    encrypt(work / "in" / "a.parquet", TABLE, ["ssn"], plaintext_footer=False)
    for use in (
        lambda: sort_dataset(work / "in", work / "out", by="k"),
        lambda: check_dataset(work / "in", by="k"),
    ):
        with pytest.raises(SourceUnsupportedError, match="it is encrypted, with its footer"):
            use()


def test_arrays_of_duckdb_that_are_null_are_not_called_corrupt(work):
    rows = "select i as k, case when i > 0 then [i, i]::INTEGER[2] end as x from range(3) t(i)"
    duckdb.sql(f"copy ({rows}) to '{work}/in/0.parquet'")
    for call in (
        lambda: sort_dataset(work / "in", work / "out", by="k", threads=1),
        lambda: check_dataset(work / "in", by="x"),
    ):
        with pytest.raises(
            SourceUnsupportedError, match="arrays of a fixed size so where one is"
        ):
            call()
    duckdb.sql(f"copy (select k, x::INTEGER[] as x from ({rows})) to '{work}/in/0.parquet'")
    sort_dataset(work / "in", work / "out", by="k:desc", threads=1)
    assert pq.read_table(work / "out")["x"].to_pylist() == [[2, 2], [1, 1], None]


@pytest.mark.parametrize("inside", ["itself", "struct", "list", "extension"])
def test_arrays_of_no_elements_are_refused_as_what_they_are(tmp_path, inside):
    """pyarrow writes them so that nobody can read the copy."""
    none = pa.list_(pa.int8(), 0)
    kinds = {
        "itself": (none, [[], []]),
        "struct": (pa.struct([("x", none)]), [{"x": []}, {"x": []}]),
        "list": (pa.list_(none), [[[]], []]),
        "extension": (none, [[], []]),
    }
    kind, values = kinds[inside]
    array = pa.array(values, kind)
    if inside == "extension":
        array = pa.ExtensionArray.from_storage(pa.opaque(none, "none", "ours"), array)
    polars = pl.DataFrame({"k": [2, 1], "z": pl.Series([[], []], dtype=pl.Array(pl.Int8, 0))})
    if inside == "itself":
        polars.write_parquet(tmp_path / "in.parquet")
    else:
        pq.write_table(pa.table({"k": [2, 1], "z": array}), tmp_path / "in.parquet")
    with pytest.raises(
        SourceUnsupportedError, match=r"column 'z' has arrays of a fixed size of 0"
    ):
        sort_dataset(tmp_path / "in.parquet", tmp_path / "out", by="k")
    assert not (tmp_path / "out").exists()


def test_what_pyarrow_has_no_words_for_is_not_called_corrupt(tmp_path):
    kind = pa.int8()
    for _ in range(60):
        kind = pa.list_(kind)
    pq.write_table(pa.table({"k": [1], "z": pa.array([[]], kind)}), tmp_path / "in.parquet")
    with pytest.raises(SourceUnsupportedError, match=r"can't read what it holds .*too deeply"):
        sort_dataset(tmp_path / "in.parquet", tmp_path / "out", by="k")
