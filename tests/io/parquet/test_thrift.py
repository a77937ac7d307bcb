"""Thrift's compact protocol, of bytes that may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.io.parquet.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    ThriftError,
    field_of,
    read_struct,
)
from parquet_mutations import write_struct

i32 = st.integers(-(2**31), 2**31 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
flat = st.one_of(
    st.tuples(st.just(I32), i32),
    st.tuples(st.just(I64), i64),
    st.tuples(st.just(BINARY), st.binary(max_size=20)),
    st.tuples(st.just(LIST), st.tuples(st.just(I64), st.lists(i64, max_size=20))),
    st.tuples(st.just(1), st.booleans()),
)
fields = st.dictionaries(st.integers(1, 200), flat, max_size=6)
structs = st.dictionaries(
    st.integers(1, 200),
    st.one_of(
        flat,
        st.tuples(st.just(STRUCT), fields),
        st.tuples(st.just(LIST), st.tuples(st.just(STRUCT), st.lists(fields, max_size=4))),
    ),
    max_size=6,
)


@given(structs, st.binary(max_size=5))
def test_what_is_written_is_read(struct, after):
    written = write_struct(struct)
    assert read_struct(b"xy" + written + after, 2) == (struct, len(written) + 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_struct_or_refused(data):
    try:
        _, stop = read_struct(data)
    except ThriftError:
        return
    assert 0 < stop <= len(data)


@given(structs, st.data())
def test_the_beginning_of_a_struct_is_none(struct, data):
    written = write_struct(struct)
    with pytest.raises(ThriftError):
        read_struct(written[: data.draw(st.integers(0, len(written) - 1))])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "middle of a struct"),
        (b"\x15\x02\x05\x02\x02\x00", "field 1 is there twice"),
        (b"\x1f\x02\x00", "no kind 15"),
        (b"\x15" + b"\xff" * 11, "has no end"),
        (b"\x15" + b"\xff" * 5 + b"\x01\x00", "does not fit 32 bits"),
        (b"\x19\xfc\xff\xff\xff\xff\x0f", "4,294,967,295 bytes or elements"),
        (b"\x18\xff\xff\xff\xff\x0f", "4,294,967,295 bytes or elements"),
        (b"\x1c" * 100, "structs lie inside of one another"),
        (b"\x19" * 100, "lists lie inside of one another"),
        (b"\x1b" + b"\x01\xbb" * 100, "maps lie inside of one another"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_struct(data, why):
    with pytest.raises(ThriftError, match=why):
        read_struct(data)


def test_a_field_of_another_kind_is_told():
    struct, _ = read_struct(bytes([0x15, 0x0E, 0]))
    assert field_of(struct, 1, I32) == 7
    assert field_of(struct, 2, I32) is None
    with pytest.raises(ThriftError, match="field 1 is of kind 5"):
        field_of(struct, 1, BINARY)
