"""Arithmetic codes sort as the values do."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsort_kernels import code_text, fit_text_code, prefix_words

texts = st.lists(
    st.binary(max_size=80)
    | st.text("ab \0\xff", max_size=80).map(lambda text: text.encode("latin-1")),
    max_size=40,
)


def arrow(values: list[bytes], dtype: type = np.int32) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, values)]).astype(dtype)
    return offsets, np.frombuffer(b"".join(values), np.uint8)


@given(values=texts, prefix=st.binary(max_size=4), fitted=texts, wide=st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_lower_code_is_a_lower_value(values, prefix, fitted, wide):
    code = fit_text_code(*arrow(fitted), np.arange(len(fitted), dtype=np.uint32), 0)
    offsets, data = arrow([prefix + value for value in values], np.int64 if wide else np.int32)
    words = code_text(offsets, data, len(prefix), code).tolist()
    for (a, left), (b, right) in itertools.combinations(zip(values, words, strict=True), 2):
        if left != right:
            assert (a < b) == (left < right)
        elif a != b:  # both long enough to use the range up
            assert min(len(a), len(b)) >= 3


def test_every_context_gives_every_byte_a_range():
    for values in ([], [b"ab" * 1000], [bytes(range(256)) * 3]):
        code = fit_text_code(*arrow(values), np.arange(len(values), dtype=np.uint32), 0)
        assert (np.diff(code.astype(np.int64), axis=1) >= 1).all()
        assert code[:, 0].max() == 0
        assert code[:, -1].max() <= 2**16


def test_likely_text_is_told_apart_where_8_bytes_are_not_enough():
    rng = np.random.default_rng(5)
    words = [b"carefully ", b"furiously ", b"quickly ", b"requests ", b"deposits ", b"ironic "]
    values = [b"".join(words[i] for i in rng.integers(0, 6, 6)) for _ in range(20_000)]
    offsets, data = arrow(values)
    code = fit_text_code(offsets, data, np.arange(0, 20_000, 20, dtype=np.uint32), 0)
    assert len(np.unique(prefix_words(offsets, data, 0))) < 100
    assert len(np.unique(code_text(offsets, data, 0, code))) > 0.99 * len(set(values))
