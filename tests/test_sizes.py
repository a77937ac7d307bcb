"""Sizes as people write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsort.errors import BadOptionError
from dlsort.sizes import GIB, MIB, parse_bytes, parse_count

DECIMAL = {
    "": 1,
    "B": 1,
    "k": 10**3,
    "K": 10**3,
    "MB": 10**6,
    "m": 10**6,
    "GB": 10**9,
    "tb": 10**12,
}
BINARY = {"KiB": 2**10, "MiB": 2**20, "mib": 2**20, "GiB": 2**30, "TIB": 2**40}


@pytest.mark.parametrize("unit", [*DECIMAL, *BINARY])
@pytest.mark.parametrize("space", ["", " "])
def test_every_unit(unit, space):
    assert parse_bytes(f"3{space}{unit}", "memory") == 3 * {**DECIMAL, **BINARY}[unit]


@given(st.integers(1, 2**50))
def test_a_number_is_bytes(n):
    assert parse_bytes(n, "memory") == parse_bytes(str(n), "memory") == n


def test_fractions():
    assert parse_bytes("1.5KiB", "memory") == 1536
    assert parse_bytes("0.25 GiB", "memory") == GIB // 4
    assert parse_bytes(".5MiB", "memory") == MIB // 2
    assert parse_bytes("1e3", "memory") == 1000


@pytest.mark.parametrize(
    "text",
    ["", " ", "MiB", "lots", "12XB", "4PB", "1,5GB", "3 apples", "GiB4", "4iB", "0x10", "--1"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(BadOptionError) as caught:
        parse_bytes(text, "partition_size")
    assert str(caught.value).startswith(f"partition_size is {text!r}; expected ")


@pytest.mark.parametrize("value", [None, True, False, [1], b"1", float("nan")])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(BadOptionError, match="memory is "):
        parse_bytes(value, "memory")


@pytest.mark.parametrize(
    "value", [0, -1, "0", "-1MiB", "0.5", "nan", "inf", "-inf", "1e30", 2**63, "9999999999TiB"]
)
def test_sizes_that_cannot_be_are_refused(value):
    with pytest.raises(BadOptionError, match="memory is "):
        parse_bytes(value, "memory")


@pytest.mark.parametrize(
    "size", [True, b"1MiB", [1], np.array([1]), int, float("nan"), 10**400]
)
def test_what_is_neither_text_nor_number_is_refused(size):
    with pytest.raises(BadOptionError, match="memory is"):
        parse_bytes(size, "memory")


def test_a_size_may_be_any_number():
    assert [parse_bytes(n, "memory") for n in (5, np.int8(5), np.float32(5.5), 5.5)] == [5] * 4


# ---------------------------------------------------------------- counts


@given(n=st.integers(0, 10**6), unit=st.sampled_from(["", "k", "M", "G", "t"]))
def test_counts_as_people_write_them(n, unit):
    most = 10**30
    value = n * {**DECIMAL, "M": 10**6, "G": 10**9, "t": 10**12}[unit]
    for text in (f"{n}{unit}", f" {n:_}{unit.upper()} ", f"{n}.0{unit}", f"{n}e0{unit}"):
        assert parse_count(text, "n", most=most) == value
    assert parse_count(np.int64(n), "n") == n


def test_counts_are_exact_and_whole():
    assert parse_count("1e8", "n") == 10**8
    assert parse_count("0.123456789123456789e18", "n") == 123456789123456789
    assert parse_count(str(2**128 - 1), "n", most=2**128 - 1) == 2**128 - 1
    for wrong in (
        "",
        "x",
        "-1",
        "1.5",
        "1e-1",
        "1e999",
        "10%",
        "0x10",
        "\N{ARABIC-INDIC DIGIT ONE}",
        True,
        1.0,
        None,
    ):
        with pytest.raises(BadOptionError, match=r"n is .*whole number from 0 to 100,"):
            parse_count(wrong, "n", most=100)
