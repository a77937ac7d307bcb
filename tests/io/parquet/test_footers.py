"""Footers that lie: each refused in a sentence that names the file, nothing read of it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import contents
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, CorruptSourceError, SourceUnsupportedError
from dlsort.io.parquet.footers import read_footer
from dlsort.io.parquet.source import open_source
from dlsort.io.parquet.thrift import BINARY, BOOLEAN, I32, I64, LIST, STRUCT
from dlsort.tuning import TUNING
from parquet_mutations import bases, joined, split, with_footer

USUAL = bases()[0].data  # columns i (int64, nulls), s (text), f (float64); 120 rows a row group

# Fields of the footer, by their numbers.
ROWS, GROUPS = 3, 4
COLUMNS, GROUP_ROWS = 1, 3
FILE_PATH, METADATA, CRYPTO = 1, 3, 8
TYPE, PATH, CODEC, VALUES, UNPACKED, PACKED, PAGE, DICTIONARY, STATISTICS, SIZES = (
    1,
    3,
    4,
    5,
    6,
    7,
    9,
    11,
    12,
    16,
)


def groups(footer):
    return footer[GROUPS][1][1]


def column(footer, group=0, number=0):
    return groups(footer)[group][COLUMNS][1][1][number]


def chunk(footer, group=0, number=0):
    return column(footer, group, number)[METADATA][1]


def claim_rows(footer, n_rows):
    """Claim a number of rows for the first row group, everywhere."""
    footer[ROWS] = I64, footer[ROWS][1] - groups(footer)[0][GROUP_ROWS][1] + n_rows
    groups(footer)[0][GROUP_ROWS] = I64, n_rows
    for i in range(3):
        chunk(footer, 0, i)[VALUES] = I64, n_rows


def put(number, kind, value, *, group=0, of=0):
    return lambda footer: chunk(footer, group, of).__setitem__(number, (kind, value))


def statistics(number, kind, value, *, of=0):
    return lambda footer: chunk(footer, 0, of)[STATISTICS][1].__setitem__(number, (kind, value))


LIES = {
    "more rows than bytes can hold": (lambda f: claim_rows(f, 2**40), "more than"),
    "rows below zero": (lambda f: claim_rows(f, -5), "-5 rows"),
    "rows that do not add up": (lambda f: f.__setitem__(ROWS, (I64, 301)), "claims 301 rows"),
    "fewer values than rows": (put(VALUES, I64, 119), "119 values for 120 rows"),
    "more values than rows": (put(VALUES, I64, 121), "121 values for 120 rows"),
    "values below zero": (put(VALUES, I64, -1), "-1 values"),
    "bytes below zero": (put(PACKED, I64, -1), "-1 bytes"),
    "unpacked bytes below zero": (put(UNPACKED, I64, -(2**62)), "bytes once unpacked"),
    "a chunk before the file": (put(PAGE, I64, -8), "-8 bytes before it"),
    "a chunk in the magic bytes": (put(DICTIONARY, I64, 2), "at bytes 2 to"),
    "a chunk behind the data": (
        lambda f: chunk(f).pop(DICTIONARY) and put(PAGE, I64, 2**40)(f),
        "the data at 4 to",
    ),
    "pages that are not in their chunk": (put(PAGE, I64, 2**40), "are said to begin at byte"),
    "a chunk that reaches into the footer": (put(PACKED, I64, 2**30), "the data at 4 to"),
    "a chunk in another file": (
        lambda f: column(f).__setitem__(FILE_PATH, (BINARY, b"../../secret.parquet")),
        "in another file",
    ),
    "a chunk that is not described": (lambda f: column(f).pop(METADATA), "not described"),
    "a chunk of another type": (put(TYPE, I32, 1), "not of type INT64"),
    "a chunk of no type": (put(TYPE, I32, 77), "not of type INT64"),
    "a codec that there is not": (put(CODEC, I32, 8), "codec 8"),
    "a codec below zero": (put(CODEC, I32, -1), "codec -1"),
    "a chunk of another column": (put(PATH, LIST, (BINARY, [b"s"])), "of column"),
    "a column that is missing": (
        lambda f: groups(f)[0][COLUMNS][1][1].pop(),
        "2 columns, the schema 3",
    ),
    "a column too many": (
        lambda f: groups(f)[0][COLUMNS][1][1].append(column(f)),
        "4 columns, the schema 3",
    ),
    "two row groups that are one": (
        lambda f: groups(f)[1].__setitem__(COLUMNS, groups(f)[0][COLUMNS]),
        "both have byte",
    ),
    "row groups that overlap": (
        lambda f: (
            put(PAGE, I64, chunk(f, 0, 0)[PAGE][1] + 1, group=1)(f)
            or put(DICTIONARY, I64, chunk(f, 0, 0)[PAGE][1] + 1, group=1)(f)
        ),
        "both have byte",
    ),
    "a minimum that is too short": (statistics(6, BINARY, b"ab"), "has 2 bytes instead of 8"),
    "a maximum of nothing": (statistics(5, BINARY, b""), "has 0 bytes instead of 8"),
    "a minimum that is too long": (statistics(2, BINARY, b"123456789"), "9 bytes instead"),
    "more nulls than values": (statistics(3, I64, 121), "121 nulls among 120"),
    "nulls below zero": (statistics(3, I64, -1), "-1 nulls"),
    "levels that are not there": (
        put(SIZES, STRUCT, {3: (LIST, (I64, [1, 2, 3]))}),
        "counts 3 levels of 2",
    ),
    "bytes of text in numbers": (put(SIZES, STRUCT, {1: (I64, 5)}), "states bytes of text"),
    "numbers of another kind": (statistics(3, BOOLEAN, True), "field 3 is of kind 1"),
}


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def refused(work, data, by="i", error=CorruptSourceError, **options):
    """Sort and check a file that must be refused, and return what is said."""
    path = work / "in" / "lies.parquet"
    path.write_bytes(data)
    before = contents(work)
    with pytest.raises(error) as of_sort:
        sort_dataset(work / "in", work / "out", by=by, threads=1, **options)
    assert contents(work) == before
    assert str(path) in str(of_sort.value)
    assert "\n" not in str(of_sort.value)
    return str(of_sort.value)


def test_a_chunk_that_is_encrypted_is_no_lie(work):
    data = with_footer(
        USUAL, lambda f: column(f).__setitem__(CRYPTO, (STRUCT, {1: (STRUCT, {})}))
    )
    assert "is encrypted" in refused(work, data, error=SourceUnsupportedError)
    with pytest.raises(SourceUnsupportedError, match="is encrypted"):
        check_dataset(work / "in", by="i")


@pytest.mark.parametrize("name", LIES)
def test_a_footer_that_cannot_be_true(work, name):
    change, why = LIES[name]
    data = with_footer(USUAL, change)
    assert why in refused(work, data)
    with pytest.raises(CorruptSourceError, match="lies"):
        check_dataset(work / "in", by="i")


@pytest.mark.parametrize("base", bases(), ids=lambda base: base.name)
def test_sound_files_are_taken(tmp_path, base):
    path = tmp_path / "sound.parquet"
    path.write_bytes(base.data)
    read_footer(str(path), len(base.data))
    for by in base.keys:
        report = sort_dataset(path, tmp_path / by, by=by, threads=1, partitions=2)
        assert report.rows == 300


@pytest.mark.parametrize("n_rows", [0, 1])
@pytest.mark.parametrize("kind", [pa.string(), pa.int8(), pa.null(), pa.list_(pa.string())])
def test_files_of_no_rows_or_nulls_alone_are_taken(tmp_path, n_rows, kind):
    table = pa.table({"k": pa.array([1] * n_rows, pa.int64()), "v": pa.nulls(n_rows, kind)})
    path = tmp_path / "few.parquet"
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(3):
            writer.write_table(table)
    report = sort_dataset(path, tmp_path / "out", by="k", threads=1)
    assert report.rows == 3 * n_rows


def test_rows_that_few_bytes_could_hold_but_no_memory(work):
    data = with_footer(USUAL, lambda footer: claim_rows(footer, 2**34))
    told = refused(work, data, error=BadOptionError, memory="1GiB")
    assert "row group 0 of" in told
    assert "Give the job more than" in told
    with pytest.raises(CorruptSourceError, match="lies"):
        check_dataset(work / "in", by="i")


@pytest.mark.parametrize("where", [-8, -5])
def test_a_footer_that_is_longer_than_the_file(work, where):
    data = bytearray(USUAL)
    data[where] ^= 0x40
    refused(work, bytes(data))


@pytest.mark.parametrize("size", [0, 1, 8, 11])
def test_a_file_too_short_for_a_footer(work, size):
    assert "too few" in refused(work, b"PAR1PAR1PAR1"[:size])


def test_a_list_that_is_said_to_be_long_takes_no_memory(work):
    """A list of 2^31 row groups would be made room for before the first one is read."""
    body, footer = split(USUAL)
    at = footer.index(b"\x19\x3c")  # three row groups
    for size in (b"\xff\xff\xff\xff\x07", b"\xff\xff\x3f"):
        lying = footer[:at] + b"\x19\xfc" + size + footer[at + 2 :]
        refused(work, joined(body, lying))


def test_a_column_whose_name_is_no_text(work):
    data = USUAL.replace(b"\x01s", b"\x01\xff")
    assert data != USUAL
    assert "is not UTF-8" in refused(work, data)


def test_many_small_row_groups_are_cut_into_pieces_in_no_time(tmp_path):
    """Time went up with the square of the row groups of a file: minutes for this one."""
    from dlsort.io.source import RowGroup, Source, cut_pieces

    small = tuple(RowGroup(0, g, 1, 8, 8, {}) for g in range(100_000))
    path = tmp_path / "x.parquet"
    path.write_bytes(USUAL)
    opened = open_source(path, TUNING.io)
    source = type(opened)(**{**vars(opened), "row_groups": small})
    assert isinstance(source, Source)
    pieces = cut_pieces(source, 8000)
    assert sum(piece.n_rows for piece in pieces) == 100_000
    assert {piece.n_rows for piece in pieces} == {1000}
