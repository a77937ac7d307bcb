import csv
import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort_kernels import last_row_end
from dlsort_kernels.row_ends import _end_by_pairs, _last_row_end

COMMA, QUOTE, BACKSLASH = map(ord, ',"\\')


def as_bytes(data):
    return np.frombuffer(bytes(data), np.uint8)


@given(st.lists(st.lists(st.text('a,"\n\r', max_size=4), min_size=2, max_size=3), max_size=8))
def test_rows_end_where_the_writer_has_ended_them(rows):
    text, ends = io.StringIO(newline=""), [0]
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        writer.writerow(row)
        ends.append(len(text.getvalue()))
    data = text.getvalue().encode()
    for cut in range(0, len(data) + 1, 3):
        expected = max(end for end in ends if end <= cut)
        # the last sign may be a quote whose second is missing: no line feed follows it
        assert last_row_end(as_bytes(data[:cut]), COMMA, QUOTE) == expected


@given(st.text('a,"\n\r', max_size=30))
def test_pairs_say_the_same_or_nothing(text):
    data = as_bytes(text.encode())
    found = _end_by_pairs(data, COMMA, QUOTE)
    assert found in (-1, _last_row_end(data, COMMA, QUOTE, -1))


@given(st.lists(st.text('a"', max_size=3), min_size=1, max_size=9))
def test_a_cut_changes_nothing_that_arrow_reads(fields):
    """Quotes inside of fields are signs like others."""
    data = "".join(f"{field},x\n" for field in fields).encode()

    def read(part):
        options = pa_csv.ReadOptions(column_names=["a", "b"], use_threads=False)
        how = pa_csv.ParseOptions(newlines_in_values=True)
        return pa_csv.read_csv(
            pa.BufferReader(part), options, how,
            pa_csv.ConvertOptions(column_types={"a": pa.string(), "b": pa.string()}),
        ).to_pylist()  # fmt: skip

    try:
        whole = read(data)
    except pa.ArrowInvalid:
        return
    half = len(data) // 2
    end = last_row_end(as_bytes(data[:half]), COMMA, QUOTE)
    parts = [part for part in (data[:end], data[end:]) if part]
    assert [row for part in parts for row in read(part)] == whole


@pytest.mark.parametrize(
    ("text", "escape", "end"),
    [
        (b"", -1, 0),
        (b"a", -1, 0),
        (b"a\n", -1, 2),
        (b'"a\n', -1, 0),
        (b'a"b\nc', -1, 4),
        (b'"a""\n"\nx', -1, 7),
        (b'"a\\"\n"\nx', BACKSLASH, 7),
        (b"a\\\nb\nc", BACKSLASH, 5),
        (b'a\r"b\n"\n', -1, 7),
    ],
)
def test_ends_by_hand(text, escape, end):
    assert last_row_end(as_bytes(text), COMMA, QUOTE, escape) == end
