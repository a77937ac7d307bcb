"""Encodings chosen from a part's own rows, and that every choice reads back as it was."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import KEY_TYPES, column
from dlsort.arrow.transport import to_transport
from dlsort.io.parquet.encoded_sizes import Runs, changes_of, delta_bytes, distinct_values
from dlsort.io.parquet.encodings import Encodings, encodings_of_part
from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import PARTS, make_folders
from dlsort.options.arguments import COMPRESSIONS
from dlsort.tuning import TUNING

N = 1 << 17
ROW_GROUP = 1 << 16
NOTHING_TOLD = Encodings((), {})
DELTA, SPLIT = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"
DELTA_LENGTH, DELTA_TEXT = "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"


def chosen(
    values: object,
    told: Encodings = NOTHING_TOLD,
    compression: str = "snappy",
    row_group_rows: int = ROW_GROUP,
) -> str:
    found = encodings_of_part(
        pa.table({"v": values}),
        told,
        TUNING.io,
        row_group_rows=row_group_rows,
        compression=compression,
    )
    if "v" in found.dictionary:
        assert "v" not in found.other
        return "DICTIONARY"
    return found.other.get("v", "PLAIN")


def random_words(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(-(2**63), 2**63 - 1, n)


def letters(rng: np.random.Generator, n: int) -> pa.Array:
    return pa.array(
        [row.tobytes().decode() for row in rng.integers(97, 123, (n, 12), np.uint8)]
    )


def sentences(rng: np.random.Generator, n: int) -> pa.Array:
    """Sorted texts, each of which begins much as the one before."""
    words = [
        text.as_py()[:size]
        for text, size in zip(letters(rng, 40), rng.integers(3, 10, 40), strict=True)
    ]
    return pa.array(
        sorted(" ".join(words[i] for i in row) for row in rng.integers(0, 40, (n, 6)))
    )


CHARACTERISTIC: dict[str, tuple[Callable[[np.random.Generator], object], str]] = {
    "few far integers": (
        lambda rng: random_words(rng, 100)[rng.integers(0, 100, N)],
        "DICTIONARY",
    ),
    "thousands of far integers": (
        lambda rng: random_words(rng, 5000)[rng.integers(0, 5000, N)],
        "DICTIONARY",
    ),
    "one integer": (lambda rng: np.full(N, 7), "DICTIONARY"),
    "a sequence": (lambda rng: np.arange(N), DELTA),
    "a sorted key": (lambda rng: np.sort(rng.integers(0, 10**9, N)), DELTA),
    "near integers, distinct": (lambda rng: rng.permutation(N), DELTA),
    "random integers": (lambda rng: random_words(rng, N), "PLAIN"),
    "dates": (lambda rng: pa.array(np.arange(N, dtype=np.int32)).cast(pa.date32()), DELTA),
    "date64": (
        lambda rng: pa.array(np.arange(N, dtype=np.int32)).cast(pa.date32()).cast(pa.date64()),
        DELTA,
    ),
    "prices": (
        lambda rng: pa.array(
            [Decimal(v).scaleb(-2) for v in rng.integers(0, 10**7, N).tolist()],
            pa.decimal128(15, 2),
        ),
        DELTA,
    ),
    "discounts": (
        lambda rng: pa.array(
            [Decimal(v).scaleb(-2) for v in rng.integers(0, 11, N).tolist()],
            pa.decimal128(15, 2),
        ),
        "DICTIONARY",
    ),
    "wide decimals": (
        lambda rng: pa.array([Decimal(v) for v in range(N)], pa.decimal128(38, 0)),
        "PLAIN",
    ),
    "random floats": (lambda rng: rng.normal(size=N), "PLAIN"),
    "few floats": (lambda rng: rng.integers(0, 50, N) / 4, "DICTIONARY"),
    "whole floats": (lambda rng: rng.integers(0, 10**6, N).astype(np.float64), SPLIT),
    "NaN only": (lambda rng: pa.array(np.full(N, np.nan)), "DICTIONARY"),
    "flags": (lambda rng: pa.array(["A", "N", "R"]).take(rng.integers(0, 3, N)), "DICTIONARY"),
    "flags, sorted": (lambda rng: pa.array(["A"] * (N // 2) + ["R"] * (N // 2)), "DICTIONARY"),
    "random letters": (lambda rng: letters(rng, N), DELTA_LENGTH),
    "random bytes": (lambda rng: letters(rng, N).cast(pa.binary()), DELTA_LENGTH),
    "text with prefixes": (lambda rng: sentences(rng, N), "PLAIN"),
    "booleans": (lambda rng: rng.random(N) < 0.5, "PLAIN"),
    "all null": (lambda rng: pa.nulls(N, pa.int64()), "PLAIN"),
    "null type": (lambda rng: pa.nulls(N), "PLAIN"),
}


@pytest.mark.parametrize("name", CHARACTERISTIC)
def test_what_the_rows_show_decides(name):
    make, expected = CHARACTERISTIC[name]
    values = make(np.random.default_rng(0))
    assert chosen(values) == expected
    told = Encodings(("v",), {})
    if expected != "PLAIN" or name.startswith(("random", "wide")):
        assert chosen(values, told) == expected


def test_nulls_do_not_hide_an_order():
    mask = np.random.default_rng(0).random(N) < 0.4
    assert chosen(pa.array(np.arange(N) * 1000, mask=mask)) == DELTA


@pytest.mark.parametrize("n", [0, 1, TUNING.io.encoding_rows - 1])
def test_a_small_part_keeps_what_the_footers_told(n):
    rows = pa.table({"v": np.zeros(n, np.int64)})
    told = Encodings((), {"v": DELTA})
    assert (
        encodings_of_part(rows, told, TUNING.io, row_group_rows=10, compression="snappy")
        is told
    )


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, False] * (N // 2)),
        pa.nulls(N, pa.string()),
        pa.array(["a", "b"] * (N // 2)).dictionary_encode(),
        pa.array([[1]] * N),
        pa.array([{"x": 1}] * N),
        pa.array(["x" * 1000] * TUNING.io.encoding_rows),
    ],
    ids=lambda values: str(values.type),
)
@pytest.mark.parametrize("told", [Encodings(("v", "v.x"), {}), Encodings((), {"v": DELTA})])
def test_what_rows_say_nothing_of_stays_as_told(values, told):
    found = encodings_of_part(
        pa.table({"v": values}), told, TUNING.io, row_group_rows=ROW_GROUP, compression="snappy"
    )
    assert found == told


def test_a_path_that_names_two_columns_stays_as_told():
    rows = pa.table({"a.b": np.arange(N), "a": pa.array([{"b": "text"}] * N)})
    found = encodings_of_part(
        rows, NOTHING_TOLD, TUNING.io, row_group_rows=ROW_GROUP, compression="snappy"
    )
    assert found == NOTHING_TOLD


def test_a_dictionary_that_grew_in_this_part_is_dropped():
    values = np.random.default_rng(0).permutation(10 * N)[:N]
    assert chosen(values, Encodings(("v",), {})) == DELTA


def test_sorting_brings_values_together():
    rng = np.random.default_rng(0)
    values = random_words(rng, 120_000)[rng.integers(0, 120_000, 24 * N)]
    # each row group has nearly all of them, more than a dictionary page holds
    assert chosen(values, row_group_rows=4 * N) == "PLAIN"
    assert chosen(np.sort(values), row_group_rows=4 * N) == "DICTIONARY"


@pytest.mark.parametrize(
    ("compression", "expected"),
    [("snappy", "PLAIN"), ("zstd", DELTA_TEXT), ("none", DELTA_TEXT)],
)
def test_shared_prefixes_are_left_out_where_that_is_worth_its_time(compression, expected):
    assert chosen(sentences(np.random.default_rng(0), N), compression=compression) == expected


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_codec_can_be_tried(compression):
    rng = np.random.default_rng(0)
    assert chosen(np.arange(N), compression=compression) == DELTA
    flags = pa.array(["A", "N", "R"]).take(rng.integers(0, 3, N))
    assert chosen(flags, compression=compression) == "DICTIONARY"
    chosen(letters(rng, N), compression=compression)


def test_a_slice_and_chunks_are_the_same_rows():
    rng = np.random.default_rng(0)
    rows = pa.table(
        {
            "text": letters(rng, N),
            "n": pa.array(rng.integers(0, 9, N), mask=rng.random(N) < 0.1),
            "x": rng.normal(size=N),
        }
    )
    sliced = pa.concat_tables([rows.slice(0, 1), rows, rows.slice(3)]).slice(1, N)
    chunked = pa.concat_tables([rows.slice(i, 999) for i in range(0, N, 999)])
    options = {"row_group_rows": ROW_GROUP, "compression": "snappy"}
    found = [
        encodings_of_part(t, NOTHING_TOLD, TUNING.io, **options)
        for t in (rows, sliced, chunked)
    ]
    assert found[0] == found[1] == found[2]


# ------------------------------------------------------------ estimates


def sampled(values: np.ndarray, n_runs: int = 16) -> tuple[np.ndarray, Runs]:
    starts = np.linspace(0, len(values) - 129, n_runs).astype(int)
    rows = (starts[:, None] + np.arange(129)).ravel()
    return values[rows], Runs(np.repeat(np.arange(n_runs, dtype=np.int32), 129))


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("n_distinct", [1, 3, 100, 5_000, 60_000])
def test_different_values_are_counted_about_right(n_distinct, is_sorted):
    values = np.random.default_rng(0).integers(0, n_distinct, 10 * N)
    values = np.sort(values) if is_sorted else values
    some, runs = sampled(values)
    code = pa.array(some).dictionary_encode().indices.to_numpy()
    found = distinct_values(code, changes_of(code, runs), runs, N)
    truth = len(np.unique(values[:N]))
    # where order brought values together, one change seen in 2,048 stands for 64 of N
    low, high = (0, 3 * truth + 200) if is_sorted else (0.7 * truth, 1.4 * truth)
    assert low <= found <= high


@pytest.mark.parametrize("power", [1.1, 1.5, 2.0])
def test_a_long_tail_of_rare_values_is_not_overlooked(power):
    values = np.minimum(np.random.default_rng(0).zipf(power, 10 * N), 2**40)
    some, runs = sampled(values)
    code = pa.array(some).dictionary_encode().indices.to_numpy()
    found = distinct_values(code, changes_of(code, runs), runs, N)
    truth = len(np.unique(values[:N]))
    assert truth / 2 <= found <= 2 * truth


@pytest.mark.parametrize("bits", [1, 7, 31, 40, 63])
def test_delta_packed_size_is_what_pyarrow_writes(bits):
    values = np.random.default_rng(0).integers(0, 2**bits, N, dtype=np.int64, endpoint=False)
    size = written(pa.table({"v": values}), "none", Encodings((), {"v": DELTA})) / N
    assert delta_bytes(*sampled(values)) == pytest.approx(size, rel=0.1, abs=0.06)


# ------------------------------------------------------------ what is written


def written(rows: pa.Table, compression: str, encodings: Encodings | None) -> int:
    """Return the size of the one column's chunks; as pyarrow writes them, if not told."""
    sink = io.BytesIO()
    options = {}
    if encodings is not None:
        options = {
            "use_dictionary": list(encodings.dictionary) or False,
            "column_encoding": encodings.other or None,
        }
    pq.write_table(
        rows,
        sink,
        compression=compression,
        row_group_size=ROW_GROUP,
        store_decimal_as_integer=True,
        **options,
    )
    footer = pq.ParquetFile(sink).metadata
    groups = [footer.row_group(i).column(0) for i in range(footer.num_row_groups)]
    return sum(group.total_compressed_size for group in groups)


@pytest.mark.parametrize("compression", ["snappy", "zstd"])
@pytest.mark.parametrize("name", CHARACTERISTIC)
def test_no_larger_than_pyarrows_default(name, compression):
    rows = pa.table({"v": CHARACTERISTIC[name][0](np.random.default_rng(0))})
    found = encodings_of_part(
        rows, NOTHING_TOLD, TUNING.io, row_group_rows=ROW_GROUP, compression=compression
    )
    default = written(rows, compression, None)
    assert written(rows, compression, found) <= 1.05 * default + 2000


def part_writer(folder: object, rows: pa.Table, compression: str) -> Writer:
    make_folders(str(folder))
    return Writer(
        str(folder), rows.schema, (), NOTHING_TOLD, compression, ROW_GROUP, rows.nbytes, TUNING
    )


def write_part(writer: Writer, rows: pa.Table, part: int) -> None:
    with writer.open(part, 2, rows.num_rows) as file:
        file.write(rows)
        file.close()


def decoded(values: pa.ChunkedArray) -> pa.Array:
    kind = values.type
    return values.cast(
        kind.value_type if pa.types.is_dictionary(kind) else kind
    ).combine_chunks()


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(KEY_TYPES)),
    seed=st.integers(0, 2**32 - 1),
    nulls=st.sampled_from([0.0, 0.3, 0.97, 1.0]),
    distinct=st.sampled_from([None, 1, 50]),
    is_sorted=st.booleans(),
    compression=st.sampled_from(["snappy", "zstd", "none"]),
)
def test_whatever_is_chosen_reads_back_equal(
    tmp_path_factory, name, seed, nulls, distinct, is_sorted, compression
):
    rng = np.random.default_rng(seed)
    values = column(rng, name, 400, nulls=nulls, distinct=distinct)
    rows = to_transport(pa.table({"v": values}))
    order = rng.integers(0, 400, TUNING.io.encoding_rows + 7)
    rows = rows.take(np.sort(order) if is_sorted else order)
    folder = tmp_path_factory.mktemp("parts")
    writer = part_writer(folder, rows, compression)
    write_part(writer, rows, 0)
    write_part(writer, pa.concat_tables([rows.slice(0, 5), rows.slice(5)]), 1)
    first, second = sorted((folder / PARTS).iterdir())
    assert first.read_bytes() == second.read_bytes()
    read, wanted = decoded(pq.read_table(first)["v"]), decoded(rows["v"])
    if pa.types.is_floating(read.type):  # NaN, and the sign of zero
        assert read.is_null().equals(wanted.is_null())
        bits = [np.asarray(array.drop_null()).tobytes() for array in (read, wanted)]
        assert bits[0] == bits[1]
    else:  # of date64 Parquet makes date32
        assert read.cast(wanted.type).equals(wanted)
