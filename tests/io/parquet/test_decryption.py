"""Encrypted files are read with the keys that a function gives, and no key is written down."""

from __future__ import annotations

import threading
import uuid

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlsort.io.parquet.bounded_read as bounded_read
import encryption_kit as kit
from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, SourceUnsupportedError
from dlsort.io.find import UnsupportedFileError
from dlsort.io.parquet.decryption import opening
from dlsort.io.parquet.reader import read_piece
from dlsort.io.parquet.source import open_source
from dlsort.io.source import cut_pieces
from dlsort.tuning import TUNING
from encryption_kit import encrypt

#: How a file is encrypted: which columns, and whether the footer is plain.
HOW = {
    "columns": (["name", "s.x", "price"], True),
    "footer and columns": (["name", "s.x", "price"], False),
    "footer and all by one key": ([], False),
    "all by one key": ([], True),
}


@pytest.fixture
def work(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def table(n_rows, seed):
    random = np.random.default_rng(seed)
    k = random.integers(0, 50, n_rows)
    names = [None if i % 7 == 0 else f"name {i % 13}" for i in k]
    return pa.table(
        {
            "k": k,
            "name": names,
            "price": random.normal(size=n_rows).round(1),
            "s": [None if i == 3 else {"x": int(i), "y": "y" * int(i % 5)} for i in k],
            "tags": [[str(i)] * int(i % 3) for i in k],
            "at": pa.array(random.integers(0, 10**9, n_rows), pa.timestamp("us", "UTC")),
            "row": np.arange(n_rows) + seed * 10**6,
        }
    )


def sorted_by_pandas(tables, by):
    frame = pd.DataFrame(pa.concat_tables(tables).to_pylist())
    return frame.sort_values(by, kind="stable", na_position="last")["row"].tolist()


def write(work, how, n_rows=400):
    """Write two files that are encrypted and a plain one between them."""
    tables = [table(n_rows, seed) for seed in range(3)]
    for seed in (0, 2):
        columns, is_plain = HOW[how]
        encrypt(
            work / f"in/{seed}.parquet",
            tables[seed],
            columns,
            plaintext_footer=is_plain,
            row_group_size=90,
        )
    pq.write_table(tables[1], work / "in" / "1.parquet")
    return tables


@pytest.mark.parametrize("by", [["k"], ["name", "price"]])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("how", HOW)
def test_rows_are_sorted_as_pandas_sorts_them(work, how, threads, by):
    tables = write(work, how)
    done = sort_dataset(
        work / "in",
        work / "out",
        by=",".join(by),
        threads=threads,
        partitions=3,
        decryption=kit.all_keys,
    )
    assert done.decrypted_files == 2
    assert "encrypted  2 files of the source; the result is not encrypted\n" in done.to_text()
    found = pq.read_table(work / "out")  # without keys
    assert found["row"].to_pylist() == sorted_by_pandas(tables, by)
    whole = pa.concat_tables(tables)
    rows = {row["row"]: row for row in whole.to_pylist()}
    assert found.to_pylist() == [rows[row] for row in found["row"].to_pylist()]
    assert check_dataset(
        work / "out", against=work / "in", decryption="encryption_kit:all_keys"
    ).ok
    assert check_dataset(work / "out").ok


@pytest.mark.parametrize("how", HOW)
def test_a_copy_is_what_one_of_plain_files_is(work, how):
    tables = write(work, how)
    sort_dataset(work / "in", work / "out", by="k", threads=1, decryption=kit.all_keys)
    (work / "plain").mkdir()
    for seed, each in enumerate(tables):
        pq.write_table(each, work / f"plain/{seed}.parquet")
    sort_dataset(work / "plain", work / "same", by="k", threads=1)
    one, other = (pq.read_table(work / name) for name in ("out", "same"))
    assert one.schema.equals(other.schema, check_metadata=True)
    assert one.equals(other)


@pytest.mark.parametrize("how", HOW)
def test_worker_processes_ask_for_the_keys_themselves(work, how):
    tables = write(work, how)
    sort_dataset(
        work / "in",
        work / "out",
        by="name",
        workers=2,
        partitions=2,
        decryption="encryption_kit:all_keys",
    )
    found = pq.read_table(work / "out")
    assert found["row"].to_pylist() == sorted_by_pandas(tables, ["name"])


def test_keys_are_asked_for_once_in_a_process(work, monkeypatch):
    def all_keys():
        called.append(threading.get_ident())
        return kit._properties(kit.Kms)

    called = []
    all_keys.__module__, all_keys.__qualname__ = "encryption_kit", "all_keys"
    monkeypatch.setattr(kit, "all_keys", all_keys)
    write(work, "columns")
    for _ in range(2):
        sort_dataset(
            work / "in", work / "out", by="k", threads=3, overwrite=True, decryption=all_keys
        )
    assert len(called) == 1


def test_no_key_and_no_name_of_a_function_is_written(work):
    write(work, "footer and columns")
    done = sort_dataset(work / "in", work / "out", by="k", decryption=kit.all_keys)
    written = b"".join(path.read_bytes() for path in (work / "out").rglob("*.*"))
    for said in (written, done.to_json().encode()):
        assert b"encryption_kit" not in said
        assert b"all_keys" not in said


# ---------------------------------------------------------------- keys that don't open


WRONG = {
    "no_keys": r"keys don't open it \(PermissionError\)",
    "other_keys": r"keys don't open it \(",
    "fails": r"gives no keys: ValueError\. Expected",
    "nothing": r"gives no keys: TypeError\. Expected a function",
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("keys", WRONG)
def test_wrong_keys_are_told_by_the_file_and_without_secrets(work, keys, how):
    write(work, how)
    for use in (
        lambda decryption: sort_dataset(
            work / "in", work / "out", by="k", decryption=decryption
        ),
        lambda decryption: check_dataset(work / "in", by="name", decryption=decryption),
    ):
        with pytest.raises(SourceUnsupportedError, match=WRONG[keys]) as error:
            use(f"encryption_kit:{keys}")
        assert "0.parquet" in str(error.value)
        assert "secret" not in str(error.value)
        assert "corrupt" not in str(error.value)
    assert not (work / "out").exists()


@pytest.mark.parametrize("workers", [None, 1])
@pytest.mark.parametrize("how", ["columns", "footer and columns"])
def test_a_column_whose_key_is_kept_from_us_is_told_when_it_is_read(work, how, workers):
    write(work, how)
    keys = "encryption_kit:keys_of_footers"
    assert check_dataset(work / "in", by="row", decryption=keys).ok
    with pytest.raises(
        SourceUnsupportedError, match=r"0\.parquet: it is encrypted.*Permission"
    ):
        sort_dataset(work / "in", work / "out", by="name", workers=workers, decryption=keys)
    assert not (work / "out").exists()


def test_without_keys_the_option_is_named(work):
    write(work, "columns")
    with pytest.raises(SourceUnsupportedError, match=r"decryption \(--decryption\)"):
        sort_dataset(work / "in", work / "out", by="k")
    write(work, "footer and columns")
    with pytest.raises(SourceUnsupportedError, match=r"decryption \(--decryption\)"):
        check_dataset(work / "in", by="k")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("encryption_kit", "expected a function that can be imported"),
        ("encryption_kit:absent", "module encryption_kit has no function absent"),
        ("absent_kit:keys", "No module named 'absent_kit'"),
        (":keys", "expected a function"),
        (lambda: None, "expected a function that can be imported"),
        (5, "decryption is 5; expected a function"),
    ],
)
def test_what_no_process_could_import_is_refused(work, given, why):
    for use in (
        lambda: sort_dataset(work / "in", work / "out", by="k", decryption=given),
        lambda: check_dataset(work / "in", by="k", decryption=given),
    ):
        with pytest.raises(BadOptionError, match=why):
            use()


@pytest.mark.parametrize("how", ["footer and all by one key", "all by one key"])
@pytest.mark.parametrize("place", ["a page", "the footer"])
def test_a_file_that_was_changed_is_not_sorted(work, how, place):
    write(work, how)
    path = work / "in" / "0.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) - 60 if place == "the footer" else len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceUnsupportedError, match=r"0\.parquet: it is encrypted.* changed"):
        sort_dataset(work / "in", work / "out", by="k", decryption=kit.all_keys)
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError("no"), UnsupportedFileError),
        (ConnectionRefusedError(111, "refused"), UnsupportedFileError),
        (LookupError("f"), UnsupportedFileError),
        (pa.ArrowInvalid("signature of the AAD"), UnsupportedFileError),
        (FileNotFoundError(2, "gone", "a.parquet"), FileNotFoundError),
        (OSError("unexpected end of stream"), OSError),
        (MemoryError(), MemoryError),
    ],
)
def test_what_is_wrong_with_the_file_is_not_said_of_the_keys(error, expected):
    with pytest.raises(expected) as found, opening("kit:keys"):
        raise error
    assert isinstance(found.value, UnsupportedFileError) == (expected is UnsupportedFileError)
    with pytest.raises(type(error)), opening(None):
        raise error


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("piece_bytes", [1, 5_000, 10**9])
def test_slices_are_the_rows_of_the_row_groups(work, how, piece_bytes):
    tables = write(work, how)
    keys = "encryption_kit:all_keys"
    source = open_source(work / "in", TUNING.io, decryption=keys)
    source = source.within(4_000, max(500, piece_bytes))
    assert any(group.first_row is not None for group in source.row_groups)
    pieces = cut_pieces(source, piece_bytes)
    read = [source.read(piece, source.schema.names) for piece in pieces]
    whole = pa.concat_tables(tables)
    assert pa.concat_tables(read).to_pylist() == whole.to_pylist()


@pytest.mark.parametrize("how", HOW)
def test_a_row_group_takes_the_memory_that_there_is_and_no_more(work, how, monkeypatch):
    """One long text stands for all rows: in the file it is there once."""
    columns, is_plain = HOW[how]
    text = "t" * 100_000
    rows = pa.table({"k": range(2000), "name": [text] * 2000, "price": [1.0] * 2000})
    columns = [name for name in columns if name in rows.column_names]
    path = work / "in" / "0.parquet"
    encrypt(path, rows, columns, plaintext_footer=is_plain, row_group_size=2000)
    source = open_source(path, TUNING.io, decryption="encryption_kit:all_keys")
    (piece,) = cut_pieces(source, 2**27)
    seen = []
    count = bounded_read.count_bytes
    monkeypatch.setattr(
        bounded_read, "count_bytes", lambda table: (seen.append(count(table)), seen[-1])[1]
    )
    how = piece, source.schema, ["k", "name"], TUNING.io, ()
    with pytest.raises(SourceUnsupportedError, match=r"unpacks to .* memory for 20"):
        read_piece(*how, 20 * 2**20)
    assert sum(seen) < 2 * 20 * 2**20
    found = read_piece(*how, 2**30)
    assert found["name"].unique().to_pylist() == [text]
    assert found["k"].to_pylist() == list(range(2000))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("factor", [1, 1000])
def test_old_timestamps_are_looked_at_as_ever(work, how, factor):
    columns, is_plain = HOW[how]
    times = pa.array([3 * factor, factor, 2 * factor], pa.timestamp("ns"))
    encrypt(
        work / "in" / "0.parquet",
        pa.table({"name": times, "row": [0, 1, 2]}),
        columns and ["name"],
        plaintext_footer=is_plain,
        use_deprecated_int96_timestamps=True,
    )
    if factor == 1:
        with pytest.raises(SourceUnsupportedError, match="fractions of a microsecond"):
            sort_dataset(work / "in", work / "out", by="name", decryption=kit.all_keys)
    else:
        sort_dataset(work / "in", work / "out", by="name", decryption=kit.all_keys)
        assert pq.read_table(work / "out")["row"].to_pylist() == [1, 2, 0]


# ---------------------------------------------------------------- doors and places


@pytest.mark.parametrize("how", HOW)
def test_files_in_a_store_are_read_too(work, how):
    tables = write(work, how)
    url = f"memory://{uuid.uuid4().hex}"
    store = fsspec.filesystem("memory")
    try:
        store.put(f"{work}/in", f"{url}/in", recursive=True)
        sort_dataset(f"{url}/in", work / "out", by="name", decryption=kit.all_keys)
    finally:
        store.rm(url, recursive=True)
    found = pq.read_table(work / "out")
    assert found["row"].to_pylist() == sorted_by_pandas(tables, ["name"])


def test_the_command_names_the_function_and_says_that_the_result_is_plain(work):
    tables = write(work, "footer and columns")
    keys = ["--decryption", "encryption_kit:all_keys"]
    places = [str(work / name) for name in ("in", "out")]
    result = command("sort", *places, "--by", "name", *keys, "--no-progress")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "note: the result is not encrypted.\n"
    found = pq.read_table(work / "out")
    assert found["row"].to_pylist() == sorted_by_pandas(tables, ["name"])
    assert command("check", places[1], "--against", places[0], *keys).exit_code == 0
    result = command("check", places[0], "--by", "k")
    assert result.exit_code == 2
    assert "Give its keys by --decryption." in result.stderr
