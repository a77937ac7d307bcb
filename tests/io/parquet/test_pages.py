"""Pages that lie, and few bytes that stand for many: never more memory than there is."""

from __future__ import annotations

import io
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import contents
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, CorruptSourceError, SourceUnsupportedError
from dlsort.io.parquet.bounded_read import _check_arrays, read_bounded
from dlsort.io.parquet.pages import longest_repeated, read_pages
from dlsort.io.parquet.reader import read_piece
from dlsort.io.parquet.source import open_source
from dlsort.io.parquet.thrift import I32, I64, read_struct
from dlsort.io.source import cut_pieces
from dlsort.tuning import TUNING
from fuzz_parquet import forget_peak, peak_bytes, same_table
from parquet_mutations import bases, with_footer, write_struct

MIB = 2**20
MEMORY = TUNING.budget.base_bytes + 40 * MIB  # 40 MiB for row groups

GROUPS, COLUMNS, METADATA, UNPACKED, PACKED, PAGE = 4, 1, 3, 6, 7, 9


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False, write_statistics=False, **options)
    return sink.getvalue()


def chunk(footer, number=0):
    return footer[GROUPS][1][1][0][COLUMNS][1][1][number][METADATA][1]


def refused(work, data, why, *, by="k", error=None):
    """Sort a file that must be refused, without the memory that it would take.

    What is too large is not called corrupt.
    """
    if error is None:
        error = SourceUnsupportedError if "unpacks to" in why else CorruptSourceError
    path = work / "in" / "lies.parquet"
    path.write_bytes(data)
    before = contents(work)
    with pytest.raises(error, match=why) as caught:
        sort_dataset(work / "in", work / "out", by=by, threads=1, memory=MEMORY)
    assert str(path) in str(caught.value)
    assert contents(work) == before


def long_text(n_bytes):
    return np.random.default_rng(0).integers(97, 123, n_bytes).astype(np.uint8).tobytes()


def repeated(value, n):
    """Return a table of one text again and again, which takes no memory."""
    column = pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), pa.array([value.decode()]))
    return pa.table({"k": np.arange(n), "text": column})


@pytest.fixture
def little_memory():
    """Fail where a test takes a quarter of a GiB."""
    forget_peak()
    before = peak_bytes()
    yield
    assert peak_bytes() - before < 256 * MIB


def test_a_dictionary_with_a_long_text_for_every_row(work, little_memory):
    """A MiB of text in the dictionary, 5,000 times: five GiB of rows in a file of one MiB."""
    data = parquet(repeated(long_text(MIB), 5000))
    assert len(data) < 2 * MIB
    refused(work, data, r"'text' a row group unpacks to .* memory for 40\.0 MiB")


def test_a_prefix_of_the_text_before_for_every_row(work, little_memory):
    table = pa.table({"k": np.arange(64), "text": [long_text(MIB).decode()] * 64})
    data = parquet(table, use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"})
    assert len(data) < 2 * MIB
    refused(work, data, "'text' a row group unpacks to")


def test_a_page_that_unpacks_to_more_than_the_footer_says(work):
    table = pa.table({"k": [1], "text": ["a" * 64 * MIB]})
    data = parquet(table, use_dictionary=False, compression="zstd")
    assert len(data) < MIB
    lying = with_footer(data, lambda footer: chunk(footer, 1).__setitem__(UNPACKED, (I64, 99)))
    refused(work, lying, r"unpacks to 64\.0 MiB or more")


def test_a_row_group_that_does_not_fit_and_says_so(work):
    table = pa.table({"k": [1], "text": ["a" * 64 * MIB]})
    data = parquet(table, use_dictionary=False, compression="zstd")
    refused(work, data, r"row group 0 of .* takes 64\.0 MiB", error=BadOptionError)


def change_page(data, change):
    """Change the header of the only page of a file of one column."""
    header, stop = read_struct(data, 4)
    change(header)
    written = write_struct(header)

    def shift(footer):
        grown = len(written) - (stop - 4)
        chunk(footer)[PACKED] = I64, chunk(footer)[PACKED][1] + grown

    return with_footer(data[:4] + written + data[stop:], shift)


ONE_PAGE = parquet(
    pa.table({"k": pa.array([3, 1, 2], pa.int64())}), use_dictionary=False, compression="none"
)


def test_a_page_header_is_changed_and_nothing_else(work):
    path = work / "in" / "sound.parquet"
    path.write_bytes(change_page(ONE_PAGE, lambda header: None))
    sort_dataset(path, work / "out", by="k", threads=1)
    assert pq.read_table(work / "out")["k"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "value", "why"),
    [
        (2, 2**31 - 1, r"unpacks to 2\.0 GiB"),
        (2, -1, "unpacked -1"),
        (3, -1, "has -1 bytes"),
        (3, 2**31 - 1, "has 2,147,483,647 bytes"),
        (3, 500, "has 500 bytes"),
        (1, 1, "no page where one should be"),  # passed over, and there is no other
    ],
)
def test_a_page_that_lies(work, number, value, why):
    data = change_page(ONE_PAGE, lambda header: header.__setitem__(number, (I32, value)))
    refused(work, data, why)


@pytest.mark.parametrize(
    ("n_values", "why"),
    [(-1, "of -1 values"), (0, "no page where one should be"), (4, "1 values more")],
)
def test_a_page_of_other_values_than_the_footer_says(work, n_values, why):
    def change(header):
        header[5][1][1] = I32, n_values

    refused(work, change_page(ONE_PAGE, change), why)


def test_a_page_whose_numbers_are_none(work):
    data = change_page(ONE_PAGE, lambda header: header.__setitem__(4, (8, b"x")))
    data = change_page(data, lambda header: header.__setitem__(5, (I32, 1)))
    refused(work, data, "field 5 is of kind 5")


@pytest.mark.parametrize("by", ["i", "s", "f"])
def test_indices_beyond_the_dictionary(work, by):
    """The C++ reader does not check them, and the kernels would read what lies behind."""
    usual = bases()[0].data
    start = (
        pq.ParquetFile(io.BytesIO(usual)).metadata.row_group(0).column(1).dictionary_page_offset
    )
    header, stop = read_struct(usual, start)
    header[7][1][1] = I32, 3  # of some 40 values
    written = write_struct(header)
    assert len(written) == stop - start
    path = work / "in" / "lies.parquet"
    path.write_bytes(usual[:start] + written + usual[stop:])
    with pytest.raises(CorruptSourceError, match=r"lies.*(of a dictionary of 3|Index not in)"):
        sort_dataset(work / "in", work / "out", by=by, threads=1)
    with pytest.raises(CorruptSourceError, match="lies"):
        check_dataset(work / "in", by="i", against=work / "in")


def test_indices_beyond_a_dictionary_inside_of_other_columns():
    short = pa.DictionaryArray.from_arrays(pa.array([0, 5]), pa.array(["a"]), safe=False)
    nested = [
        pa.StructArray.from_arrays([short], ["x"]),
        pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), short),
        pa.MapArray.from_arrays(pa.array([0, 2], pa.int32()), pa.array(["a", "b"]), short),
    ]
    for array in nested:
        with pytest.raises(IndexError, match="0 to 5 of a dictionary of 1"):
            _check_arrays(pa.table({"c": array}))


# ---------------------------------------------------------------- texts in pages


def pages_of(data, number=0):
    """Return the pages of a column of a file's only row group, and the column chunk."""
    path = Path("/proc/self/fd") / str(os.memfd_create("pages"))
    path.write_bytes(data)
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(number)
    fd = int(path.name)
    return fd, list(read_pages(fd, chunk)), chunk.compression


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("n_nulls", [0, 3, None])
def test_bytes_that_texts_share_are_counted_exactly(codec, version, n_nulls):
    rng = np.random.default_rng(5)
    texts = [long_text(int(n)).decode() for n in rng.integers(0, 300, 500)]
    for i in range(0, 500, 7) if n_nulls else ():
        texts[i : i + n_nulls] = [None] * len(texts[i : i + n_nulls])
    nullable = n_nulls is not None
    schema = pa.schema([pa.field("k", pa.string(), nullable=nullable)])
    data = parquet(
        pa.table({"k": texts}, schema=schema),
        use_dictionary=False,
        column_encoding={"k": "DELTA_BYTE_ARRAY"},
        compression=codec,
        data_page_version=version,
        data_page_size=4000,
        write_batch_size=20,
    )
    fd, pages, compression = pages_of(data)
    assert len(pages) > 3
    shared = at = 0
    for page in pages:
        found = [text for text in texts[at : at + page.n_values] if text is not None]
        # all of them begin as one text does
        shared += sum(min(len(above), len(below)) for above, below in pairwise(found))
        at += page.n_values
    assert at == 500
    assert shared > 5000
    assert longest_repeated(fd, pages, compression, shared, has_levels=nullable) == 0
    longest = max(page.n_bytes for page in pages)
    found = longest_repeated(fd, pages, compression, shared - 1, has_levels=nullable)
    assert found == longest
    os.close(fd)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_the_longest_text_of_a_dictionary_is_found(codec):
    texts = ["a", "bcd", "efghi" * 20] * 100
    fd, pages, compression = pages_of(parquet(pa.table({"k": texts}), compression=codec))
    found = longest_repeated(fd, pages, compression, 29_999, has_levels=True)
    assert found == 100
    assert longest_repeated(fd, pages, compression, 30_000, has_levels=True) == 0
    # a codec that is not known: no text is longer than the dictionary
    assert longest_repeated(fd, pages, "LZO", 29_999, has_levels=True) == pages[0].n_bytes
    os.close(fd)


# ---------------------------------------------------------------- what is read in batches


@pytest.mark.parametrize("base", bases(), ids=lambda base: base.name)
@pytest.mark.parametrize("most_bytes", [150_000, 10_000_000])
def test_little_memory_reads_the_same_rows(tmp_path, base, most_bytes):
    path = tmp_path / "sound.parquet"
    path.write_bytes(base.data)
    source = open_source(path, TUNING.io)
    for piece in cut_pieces(source, 2**30):
        names = source.schema.names
        usual = read_piece(piece, source.schema, names, TUNING.io)
        bounded = read_piece(piece, source.schema, names, TUNING.io, (), most_bytes)
        assert bounded.schema == usual.schema
        assert same_table(bounded, usual)


def test_a_few_long_texts_among_many_short_ones_are_read_in_batches(tmp_path, monkeypatch):
    texts = ["short"] * 3000
    texts[7] = texts[2500] = "long " * 20_000
    table = pa.table({"k": np.arange(3000), "text": texts})
    pq.write_table(table, tmp_path / "x.parquet")
    sizes = []
    iter_batches = pq.ParquetFile.iter_batches

    def spy(self, batch_size, *args, **options):
        sizes.append(batch_size)
        return iter_batches(self, batch_size, *args, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    path = str(tmp_path / "x.parquet")
    with pq.ParquetFile(path) as file:
        found = read_bounded(file, path, [0], ["text", "k"], [], 4 * MIB, TUNING.io)
    assert found.select(["k", "text"]).equals(table)
    assert len(sizes) == 1
    assert 5 < sizes[0] < 20
    sort_dataset(Path(path), tmp_path / "out", by="text,k:desc", threads=1, memory="1GiB")
    assert pq.read_table(tmp_path / "out")["k"].to_pylist()[:3] == [2500, 7, 2999]


def test_a_column_read_in_batches_is_not_taken_for_a_field_of_its_name(tmp_path):
    texts = ["short"] * 3000
    texts[7] = texts[2500] = "long " * 20_000
    table = pa.table({"a": [{"b": 1}] * 3000, "a.b": texts})
    path = str(tmp_path / "x.parquet")
    pq.write_table(table, path)
    with pq.ParquetFile(path) as file:
        found = read_bounded(file, path, [0], ["a.b"], [], 4 * MIB, TUNING.io)
    assert found.column("a.b").to_pylist() == texts
