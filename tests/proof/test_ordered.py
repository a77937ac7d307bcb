"""The order across pieces of rows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dlsort.keys import SortKey
from dlsort.proof.ordered import first_break
from dlsort.tuning import TUNING


@pytest.mark.parametrize(
    ("edges", "descending", "want"),
    [
        ([], False, -1),
        ([[]], False, -1),
        ([[1, 2], [2, 2], [], [3]], False, -1),
        ([[1, 2], [], [1, 3]], False, 2),
        ([[1, 5], [5, 9], [8, 10], [2, 3]], False, 2),
        ([[3], [2], [2, 1]], True, -1),
        ([[3], [2], [5, 1]], True, 2),
        ([[], [4, 3]], False, 1),
    ],
    ids=str,
)
def test_the_first_piece_that_begins_before_one_above_it_ends(edges, descending, want):
    tables = [pa.table({"k": pa.array(ends, pa.int64())}) for ends in edges]
    assert first_break(tables, [SortKey("k", descending=descending)], TUNING.order) == want


def test_pieces_with_dictionaries_of_their_own():
    tables = [
        pa.table({"k": pa.array(ends).dictionary_encode()}) for ends in (["b", "c"], ["a", "d"])
    ]
    assert first_break(tables, [SortKey("k")], TUNING.order) == 1
    assert first_break(tables[::-1][1:], [SortKey("k")], TUNING.order) == -1
