"""Orders of text: as Python's own functions have them, value by value."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlsort.key_expressions import natural
from dlsort.key_expressions.casefold import casefold
from dlsort.key_expressions.natural import natural_keys
from dlsort.key_expressions.numeric import numeric_keys

#: Half characters are in no Arrow text.
SIGNS = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.none() | st.text(SIGNS) | st.text("0019aß\0\1\2\3ǅ"), max_size=30)
KINDS = st.sampled_from([pa.string(), pa.large_string()])


def natural_key(text: str) -> list[Any]:
    """Return text and numbers in turn, which Python compares."""
    parts = re.split("([0-9]+)", text)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def leading_number(text: str) -> Decimal | None:
    """Return the number that a text begins with, if any."""
    form = r"[\t\n\f\r ]*([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,18})?)"
    found = re.match(form, text)
    return Decimal(found[1]) if found else None


def same_order(keys: pa.Array, values: list[Any]) -> None:
    """Check that keys compare as values do, each with each."""
    keys = keys.to_pylist()
    assert [key is None for key in keys] == [value is None for value in values]
    both = [(k, v) for k, v in zip(keys, values, strict=True) if v is not None]
    both.sort(key=lambda each: each[0])
    for (key, value), (next_key, next_value) in pairwise(both):
        assert (key == next_key) == (value == next_value), (value, next_value)
        assert value <= next_value


@given(TEXTS, KINDS, st.integers(0, 5))
@example(["0", "5", "05", "", "a0", "0a"], pa.string(), 0)
def test_natural_order_is_that_of_numbers_and_text_in_turn(texts, kind, skip):
    array = pa.array(["x1", None, "", "00", "9"][:skip] + texts, kind)[skip:]
    keys = natural_keys(array)
    keys.validate(full=True)
    assert keys.type == pa.large_binary()
    same_order(keys, [None if text is None else natural_key(text) for text in texts])


def test_numbers_of_more_digits_than_a_byte_counts():
    texts = [
        f"a{'0' * zeros}{'7' * n}"
        for n in (1, 254, 255, 256, 509, 510, 600)
        for zeros in (0, 3)
    ]
    same_order(natural_keys(pa.array(texts)), [natural_key(text) for text in texts])


def test_blocks_are_joined(monkeypatch):
    texts = [f"file{i % 37}" + "x" * (i % 11) for i in range(500)] + [None, ""]
    whole = natural_keys(pa.array(texts))
    monkeypatch.setattr(natural, "_BLOCK_BYTES", 16)
    assert natural_keys(pa.array(texts)).equals(whole)


NUMBERS = st.from_regex(
    r"[ \t]?[-+]?[0-9]{0,4}\.?[0-9]{0,4}([eE][-+]?[0-9]{1,3})?[a-z0.]?", fullmatch=True
)


@given(st.lists(st.none() | NUMBERS | st.text(), max_size=30))
@example(["-0", "0.0", "1", "-1", "-1.5", "1.50", "10", "1e1", "0.1", "0.01", "-0.01", ".5"])
@example(["1e5", "1e+5", "1e-5", "1e+-5", "1e", "-1e5", "-1e-5", "0e9"])
@example(["9007199254740993", "9007199254740992", "1" * 40, "1" * 41])
def test_numeric_order_is_exact(texts):
    texts = [None if t is None else t.encode("utf-8", "ignore").decode() for t in texts]
    keys = numeric_keys(pa.array(texts, pa.string()))
    keys.validate(full=True)
    same_order(keys, [None if text is None else leading_number(text) for text in texts])


@given(TEXTS, KINDS, st.integers(0, 3))
def test_case_is_folded_as_python_folds_it(texts, kind, skip):
    array = pa.array(["Ä", None, "b"][:skip] + texts, kind)[skip:]
    found = casefold(array)
    assert found.type == kind
    assert found.to_pylist() == [None if text is None else text.casefold() for text in texts]


icu = pytest.importorskip("icu")


@given(TEXTS, st.sampled_from(["de_DE", "sv_SE", "de@collation=phonebook", "root", "ja"]))
def test_a_collation_is_icus_own(texts, locale):
    from functools import cmp_to_key

    from dlsort.key_expressions.collation import collation_keys

    compare = icu.Collator.createInstance(icu.Locale(locale)).compare
    values = [None if text is None else cmp_to_key(compare)(text) for text in texts]
    keys = collation_keys(pa.array(texts, pa.string()), locale).to_pylist()
    rows = [i for i, text in enumerate(texts) if text is not None]
    assert sorted(rows, key=keys.__getitem__) == sorted(rows, key=values.__getitem__)


def test_a_collation_compares_numbers_by_their_value():
    from dlsort.key_expressions.collation import collation_keys, with_numbers

    keys = collation_keys(pa.array(["b10", "B9", "a"]), with_numbers("de_DE")).to_pylist()
    assert np.argsort(np.array(keys, object)).tolist() == [2, 1, 0]
