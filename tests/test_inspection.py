"""Inspection: what footers tell is what is in the files, whoever wrote them."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlsort
from commands import dataset, rows, write
from commands import dlsort as command
from dlsort.errors import UnknownColumnError


def written(folder, *columns, **options):
    for i, values in enumerate(columns):
        write(folder / f"{i}.parquet", pa.table({"x": values}), **options)
    return folder


def test_a_sorted_dataset_tells_its_key_and_that_its_parts_follow_one_another(tmp_path):
    source = dataset(tmp_path / "in")
    dlsort.sort_dataset(source, tmp_path / "out", by="note,id:desc", partitions=4, threads=1)
    found = dlsort.inspect_dataset(tmp_path / "out")
    assert (found.by, found.told_by) == ("note,id:desc", "manifest")
    assert found.claimed
    assert found.of_one_sort
    assert (found.apart + found.touching, found.overlapping, found.missing) == (3, 0, 0)
    assert (found.rows, found.row_groups) == (1200, 4)
    for part in found.parts:
        table = pq.read_table(part.path)
        ends = [", ".join(repr(table[c][i].as_py()) if table[c][i].is_valid else "null"
                          for c in ("note", "id")) for i in (0, -1)]  # fmt: skip
        assert [part.low, part.high] == ends
        assert (part.rows, part.row_groups) == (table.num_rows, 1)
    assert sum(part.bytes for part in found.parts) == found.bytes


def test_columns_tell_how_they_are_stored(tmp_path):
    write(tmp_path / "a.parquet", rows(), compression="zstd", use_dictionary=["id"])
    write(tmp_path / "b.parquet", rows(), compression="none", use_dictionary=False)
    columns = {c.name: c for c in dlsort.inspect_dataset(tmp_path).columns}
    assert list(columns) == ["id", "price", "note", "tags.list.element", "place.x"]
    assert columns["id"].codecs == ("uncompressed", "zstd")
    assert "RLE_DICTIONARY" in columns["id"].encodings
    assert "RLE_DICTIONARY" not in columns["note"].encodings
    sizes = [pq.ParquetFile(tmp_path / f"{f}.parquet").metadata for f in "ab"]
    chunks = [m.row_group(0).column(0) for m in sizes]
    assert columns["id"].bytes == sum(chunk.total_compressed_size for chunk in chunks)
    assert columns["id"].raw_bytes == sum(chunk.total_uncompressed_size for chunk in chunks)


@pytest.mark.parametrize(
    ("columns", "by", "apart", "touching", "overlapping"),
    [
        ([[1, 2], [3, 4], [5]], "x", 2, 0, 0),
        ([[1, 2], [2, 4], [4]], "x", 0, 2, 0),
        ([[1, 5], [2, 4], [6]], "x", 1, 0, 1),
        ([[5, 6], [3, 4], [1]], "x", 0, 0, 2),
        ([[5, 6], [3, 4], [1]], "x:desc", 2, 0, 0),
        ([[1, 2], [], [3]], "x", 1, 0, 0),
        ([[1, None], [None, None]], "x", 0, 1, 0),
        ([["a", "b"], ["c", "é"]], "x", 1, 0, 0),
    ],
)
def test_neighbours_of_files_that_others_wrote(
    tmp_path, columns, by, apart, touching, overlapping
):
    kind = pa.string() if isinstance(columns[0][0], str) else pa.int64()
    found = dlsort.inspect_dataset(written(tmp_path, *(pa.array(c, kind) for c in columns)), by)
    assert (found.apart, found.touching, found.overlapping) == (apart, touching, overlapping)
    assert (found.told_by, found.of_one_sort, found.claimed) == ("statistics", False, False)


def test_a_type_whose_statistics_bound_nothing_has_no_range(tmp_path):
    found = dlsort.inspect_dataset(written(tmp_path, [1.5, float("nan")], [2.5]), "x")
    assert [part.low for part in found.parts] == [None, None]
    assert (found.apart, found.touching, found.overlapping, found.told_by) == (0, 0, 0, "")
    assert "neighbours not known of 2 files" in found.to_text()


def test_a_part_that_is_missing_is_counted(tmp_path):
    dlsort.sort_dataset(
        dataset(tmp_path / "in"), tmp_path / "out", by="id", partitions=4, threads=1
    )
    (tmp_path / "out" / "part-00001.parquet").unlink()
    found = dlsort.inspect_dataset(tmp_path / "out")
    assert (found.missing, len(found.parts)) == (1, 3)
    assert "of which 1 are missing" in found.to_text()
    other = dlsort.inspect_dataset(tmp_path / "out", "price")
    assert (other.of_one_sort, other.missing, other.claimed) == (False, 0, False)


def test_a_first_column_of_the_key_is_told_by_the_parts_too(tmp_path):
    source = dataset(tmp_path / "in")
    dlsort.sort_dataset(source, tmp_path / "out", by="id,price", partitions=3, threads=1)
    found = dlsort.inspect_dataset(tmp_path / "out", "id")
    assert (found.told_by, found.overlapping) == ("manifest", 0)


def test_without_a_key_there_is_no_range_and_a_note(tmp_path):
    found = dlsort.inspect_dataset(dataset(tmp_path / "in"))
    assert (found.by, found.told_by, found.claimed) == ("", "", False)
    assert "note       no key is told" in found.to_text()
    assert "first key" not in found.to_text()


def test_a_computed_key_has_no_range_and_a_note(tmp_path):
    pq.write_table(pa.table({"x": ["b", "A"], "y": [1, 2]}), tmp_path / "in")
    dlsort.sort_dataset(tmp_path / "in", tmp_path / "out", by="y,lower(x)")
    found = dlsort.inspect_dataset(tmp_path / "out")
    assert (found.by, found.of_one_sort, found.parts[0].high) == ("y", True, "2")
    note = "sorted by y,lower(x); of what is computed no range is shown"
    assert list(found.notes) == [note]


def test_a_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UnknownColumnError, match="no column 'y'"):
        dlsort.inspect_dataset(written(tmp_path, [1]), "y")


@given(st.lists(st.lists(st.integers(-99, 99), min_size=1), min_size=1, max_size=60))
def test_the_picture_has_80_columns_and_each_range_in_its_place(tmp_path_factory, columns):
    folder = written(tmp_path_factory.mktemp("in"), *columns)
    found = dlsort.inspect_dataset(folder, "x")
    for part, values in zip(found.parts, columns, strict=True):
        assert (part.low, part.high) == (str(min(values)), str(max(values)))
    ends = sorted({end for values in columns for end in (min(values), max(values))})
    assert [p.begins for p in found.parts] == [ends.index(min(v)) for v in columns]
    assert [p.ends for p in found.parts] == [ends.index(max(v)) for v in columns]
    lines = found.to_text().splitlines()
    assert all(len(line) <= 80 for line in lines)
    picture = lines[lines.index(next(ln for ln in lines if ln.startswith("part "))) + 1 :]
    assert len(picture) <= 24
    assert all("█" in line for line in picture)
    if len(columns) <= 24:
        assert len(picture) == len(columns)
        bars = [(line.index("█"), line.rindex("█")) for line in picture]
        for one, part in zip(bars, found.parts, strict=True):
            for other, beside in zip(bars, found.parts, strict=True):
                assert (one[0] <= other[0]) or part.begins > beside.begins
                assert (one[1] <= other[1]) or part.ends > beside.ends


def test_the_command_tells_it_as_text_and_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dlsort.sort_dataset(dataset(tmp_path / "in"), "out", by="id", partitions=2, threads=1)
    shown = command("inspect", "out")
    assert shown.exit_code == 0
    found = dlsort.inspect_dataset("out")
    assert shown.stdout == f"{found.to_text()}\n"
    told = json.loads(command("inspect", "out", "--json").stdout)
    assert told == json.loads(found.to_json())
    assert told["parts"][1]["path"].endswith("part-00001.parquet")
    missing = command("inspect", "nothing")
    assert (missing.exit_code, missing.stderr[:7]) == (2, "Error: ")


def test_no_row_is_read(tmp_path, monkeypatch):
    source = dataset(tmp_path / "in")
    monkeypatch.setattr(
        "dlsort.io.parquet.source.read_piece", lambda *_: pytest.fail("a row was read")
    )
    assert dlsort.inspect_dataset(source, "id").rows == 1200


@pytest.mark.parametrize("by", ["s:natural", "abs(x)", "x,lower(s)"])
def test_a_dataset_that_is_sorted_by_what_is_computed_is_shown(tmp_path, by):
    write(tmp_path / "in.parquet", pa.table({"x": [2, -1], "s": ["f10", "f2"]}))
    dlsort.sort_dataset(tmp_path / "in.parquet", tmp_path / "out", by=by)
    found = dlsort.inspect_dataset(tmp_path / "out")
    assert found.rows == 2
    assert "(" in found.notes[0]
    assert "is computed" in found.notes[0]
