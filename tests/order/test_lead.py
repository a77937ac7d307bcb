"""Text keys that get an arithmetic code sort as ever."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrow_data import oracle
from dlsort.keys import SortKey
from dlsort.order import lead
from dlsort.order.argsort import argsort
from dlsort.order.words import BytesColumn
from dlsort.tuning import TUNING, OrderTuning

CODED = OrderTuning(coded_rows=1, coded_ties=-1.0)

values = st.none() | st.text("ab\0\xe9", max_size=30) | st.text(max_size=12)


@given(
    rows=st.lists(st.tuples(values, st.integers(0, 2)), max_size=60),
    prefix=st.sampled_from(["", "https://"]),
    kind=st.sampled_from([pa.string(), pa.large_string(), pa.binary()]),
    flags=st.tuples(*[st.booleans()] * 4),
    first=st.booleans(),
    threads=st.sampled_from([1, 3]),
)
@settings(deadline=None, max_examples=200)
def test_coded_columns_sort_as_their_values(rows, prefix, kind, flags, first, threads):
    texts = [None if text is None else prefix + text for text, _ in rows]
    columns = [
        pa.array(texts, pa.string()).cast(kind),
        pa.array([n for _, n in rows], pa.int8()),
    ]
    if not first:
        columns.reverse()
    table = pa.table(columns, names=["a", "b"])
    keys = (SortKey("a", *flags[:2]), SortKey("b", *flags[2:]))
    order = argsort(table, keys, CODED, threads=threads)
    assert order.tolist() == oracle(table, keys)


@pytest.mark.parametrize(
    ("make", "is_coded"),
    [
        (lambda rng, row: f"ironic requests {rng.integers(0, 10**12)}", False),
        (lambda rng, row: " ".join(rng.choice(["carefully", "ironic", "bold"], 5)), True),
    ],
)
def test_a_code_is_fitted_where_eight_bytes_would_tie(make, is_coded):
    rng = np.random.default_rng(1)
    n = TUNING.order.coded_rows
    array = pa.array([make(rng, row) + " and more" for row in range(n)])
    column = BytesColumn(
        *(np.frombuffer(b, t) for b, t in zip(array.buffers()[1:], ("i4", "u1"), strict=True)),
        None,
    )
    code = lead.fit_lead([column], [SortKey("a")], TUNING.order, to_sort=True)
    assert (code.codes[0].text is not None) == is_coded
    assert lead.fit_lead([column], [SortKey("a")], TUNING.order).codes[0].text is None
