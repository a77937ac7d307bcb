"""That rows were left out on purpose, and no others."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest

from dlsort.errors import RowsLostError
from dlsort.keys import parse_by
from dlsort.proof.left_out import check_cut, check_same_keys
from dlsort.tuning import TUNING

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "last", "is_lost"),
    [
        ([1, 1, 2, 3, 3], [1, 2, 4], False),
        ([1, 2, 2, 3, 3], [1, 2, 4], True),
        ([1.0, 1.0, 2.0, None, NAN], [1, 2, 4], False),
        ([1.0, 1.0, 2.0, 3.0, NAN], [1, 2, 4], True),
        (["a", "a", "b", "c", "cc"], [1, 2, 4], True),
    ],
    ids=str,
)
def test_rows_of_a_group_have_one_key(values, last, is_lost):
    table = pa.table({"k": pa.array(values, from_pandas=False)})
    with pytest.raises(RowsLostError) if is_lost else nullcontext():
        check_same_keys(table, np.array([0, 2, 3]), np.array(last), parse_by("k"), TUNING.order)


@pytest.mark.parametrize("by", ["k", "k:desc"])
@pytest.mark.parametrize("left_out", [[], [4], [5], [6]], ids=str)
def test_no_row_before_the_last_kept_one_is_left_out(by, left_out):
    kept, rest = (pa.table({"k": pa.array(v, pa.int64())}) for v in ([5], left_out))
    is_lost = left_out == ([6] if by.endswith("desc") else [4])
    with pytest.raises(RowsLostError) if is_lost else nullcontext():
        check_cut(kept, rest, parse_by(by), TUNING.order)
