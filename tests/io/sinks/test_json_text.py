"""JSON text: what Python's json reads of it is what the column holds."""

from __future__ import annotations

import datetime
import decimal
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort.errors import BadOptionError
from dlsort.io.sinks.json_text import json_lines, json_text
from dlsort.io.sinks.pour import check_sink
from dlsort.io.sinks.sink import sink_of

NAIVE = datetime.datetime(2024, 1, 2, 3, 4, 5, 600)

TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
INNER = pa.struct([("a", pa.int64()), ('q"', pa.list_(pa.string()))])
TYPE = pa.struct([("s", pa.string()), ("f", pa.float64()), ("l", pa.list_(INNER))])
VALUES = st.none() | st.fixed_dictionaries(
    {
        "s": st.none() | TEXT,
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "l": st.none()
        | st.lists(
            st.none()
            | st.fixed_dictionaries(
                {
                    "a": st.none() | st.integers(-(2**63), 2**63 - 1),
                    'q"': st.none() | st.lists(st.none() | TEXT, max_size=3),
                }
            ),
            max_size=3,
        ),
    }
)


@settings(max_examples=150, deadline=None)
@given(values=st.lists(VALUES, max_size=8), start=st.integers(0, 4))
def test_any_nested_value_is_read_again_as_it_is(values, start):
    column = pa.array(values, TYPE)[start:]
    assert [json.loads(text) for text in json_text(column).to_pylist()] == values[start:]
    batch = pa.RecordBatch.from_arrays([column], ["c"])
    lines = json_lines(batch).to_pybytes().decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == [{"c": value} for value in values[start:]]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1.0, -2.5, float("nan"), float("inf")]), [1.0, -2.5, None, None]),
        (pa.array([1.5, None], pa.float32()).cast(pa.float16()), [1.5, None]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
        (pa.array([True, False, None]), [True, False, None]),
        (pa.nulls(2), [None, None]),
        (pa.array([decimal.Decimal("1.50"), None]), ["1.50", None]),
        (pa.array([datetime.date(2024, 1, 2), None]), ["2024-01-02", None]),
        (pa.array([NAIVE], pa.timestamp("us")), ["2024-01-02T03:04:05.000600"]),
        (pa.array([NAIVE], pa.timestamp("us", "Asia/Tokyo")), ["2024-01-02T03:04:05.000600Z"]),
        (pa.array([datetime.time(1, 2, 3)], pa.time32("s")), ["01:02:03"]),
        (pa.array([90, None], pa.duration("s")), [90, None]),
        (pa.array(["é", None, "é"]).dictionary_encode(), ["é", None, "é"]),
        (pa.array(["a\\n", None], pa.string_view()), ["a\\n", None]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None]),
        (pa.array([[1, None], []], pa.large_list(pa.int8())), [[1, None], []]),
        (
            pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8()))[0:3],
            [[{"key": "k", "value": 1}], None, []],
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_value_has_the_form_of_its_type(column, expected):
    assert [json.loads(text) for text in json_text(column).to_pylist()] == expected
    assert [json.loads(text) for text in json_text(column[1:]).to_pylist()] == expected[1:]


def test_a_float_is_a_float_again():
    assert json_text(pa.array([3.0, 1e300, 5e-324])).to_pylist() == ["3.0", "1e+300", "5e-324"]


@pytest.mark.parametrize("output_format", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "kind", [pa.binary(), pa.list_(pa.binary(3)), pa.month_day_nano_interval()], ids=str
)
def test_what_text_has_no_form_for_is_refused(output_format, kind):
    schema = pa.schema([("good", pa.int8()), ("bad", kind)])
    with pytest.raises(BadOptionError, match=r"'bad' has .*no form for. Leave it out"):
        check_sink(schema, sink_of("x", output_format))
    check_sink(schema, sink_of("x", "arrow"))
