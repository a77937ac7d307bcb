"""Partitions of numbers under a meta of others: no digit is lost, none refused that fits.

What comes out has the declared dtype if that holds every value of all partitions, else the one
that pandas gives all of them together: in every output partition the same.
"""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from dlsort.errors import KeyTypeError, SchemaMismatchError

local = data.run_locally("sync")
BIG = 2**63 + 5
FINE, COARSE = (pd.ArrowDtype(pa.decimal128(*of)) for of in ((27, 4), (25, 2)))
DECLARED = {
    **{name: name for name in ("int64", "int32", "uint64", "float64", "float32", "bool")},
    **{name: name for name in ("Int64", "UInt64", "Float64")},
    **{name: name for name in ("int64[pyarrow]", "uint64[pyarrow]", "double[pyarrow]")},
    **{str(of): of for of in (FINE, COARSE)},
}
FOUND = {**DECLARED, **{name: name for name in ("int8", "uint32", "boolean", "object")}}
WHOLE = (0, 1, 3, -1, 127, 300, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), BIG, 2**64 - 1)
REAL = (0.0, 1.0, 3.0, 1.5, 0.1, -2.0, 2.0**53, 2.0**63, 1e30, float("inf"))
DIGITS = tuple(map(Decimal, ("0", "1.25", "3", "0.0001", "-2.5", str(2**60))))
_n_frames = itertools.count()


def kind_of(dtype):
    """Return what the values are."""
    name = str(dtype).lower()
    kinds = {"decimal": "decimal", "bool": "boolean", "float": "real", "double": "real"}
    return next((kind for part, kind in kinds.items() if part in name), "whole")


def boxed(values):
    return [None if pd.isna(v) else v for v in values.astype(object)]


def column(values, dtype):
    """Return a column; None where it can't have these values."""
    try:
        made = pd.Series(pd.array(values, dtype=object)).astype(dtype)
    except (TypeError, ValueError, ArithmeticError, pa.ArrowException):
        return None
    return made if boxed(made) == boxed(pd.Series(pd.array(values, dtype=object))) else None


def fits(values, dtype):
    """Return whether a dtype holds a column, its nulls apart if it has none."""
    return column([v for v in boxed(values) if v is not None], dtype) is not None


@st.composite
def frames(draw):
    """Draw a declared dtype, and columns of one other or of several."""
    names = draw(st.lists(st.sampled_from(list(FOUND)), min_size=1, max_size=2))
    columns = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(names))
        of_kind = {"boolean": (True, False), "real": REAL, "decimal": DIGITS, "whole": WHOLE}
        one = st.sampled_from(of_kind[kind_of(name)])
        if name in {"object"} or name[0] in "UIFbd" or "[" in name:
            one = st.one_of(st.none(), one)
        columns.append(column(draw(st.lists(one, max_size=4)), FOUND[name]))
    assume(all(each is not None for each in columns))
    declared = draw(st.sampled_from(list(DECLARED)))
    return DECLARED[declared], columns


def frame_of(declared, columns, *, as_index=False):
    starts = np.cumsum([0, *map(len, columns)])
    parts = [
        pd.DataFrame({"c": each, "row": np.arange(start, start + len(each))})
        for each, start in zip(columns, starts, strict=False)
    ]
    meta = pd.DataFrame({"c": pd.Series([], dtype=declared), "row": np.arange(0)})
    if as_index:
        parts, meta = [part.set_index("c") for part in parts], meta.set_index("c")
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_map(data.same, parts, meta=meta, label=f"found-{next(_n_frames)}")


def joined(columns):
    """Return what pandas makes of columns together; those without a value have no say."""
    filled = [each for each in columns if each.notna().any()] or columns
    return pd.concat(filled, ignore_index=True)


def must_sort(declared, columns):
    """Return whether there is no reason to refuse a column."""
    filled = [each for each in columns if each.notna().any()]
    kinds = {kind_of(each.dtype) for each in filled} | {kind_of(declared)}
    one = len({each.dtype for each in filled}) <= 1

    def holds(values):
        nulls = not values.isna().any() or column([None], declared) is not None
        # What pandas makes of a file with nulls; other dtypes that have nulls keep them.
        return fits(values, declared) and (nulls or values.dtype in (np.float64, object))

    if any(each.dtype == object for each in filled):
        return all(map(holds, filled)) and kinds == {"whole"}
    if len(kinds) == 1 or (kind_of(declared) == "real" and kinds == {"real", "whole"}):
        return one or all(map(holds, filled))
    return False


def check_refusal(error, declared, columns):
    """Assert that a message names dtypes that are there, and no other."""
    if "holds objects of several types" in str(error):
        assert any(each.dtype == object for each in columns)
        return
    message = re.sub(r"joined they would be \S+", "", str(error))
    real = {str(each.dtype) for each in columns} | {str(declared)}
    one = r"[uU]?[iI]nt\d+|[fF]loat\d+|double|bool|boolean|decimal128\(\d+, \d+\)|object"
    named = re.findall(rf"(?<![\w'])(?:{one})(?:\[pyarrow\])?(?!\w)", message)
    assert set(named) & real, message
    assert set(named) <= real | {"float", "int", "bool"}, message


def check(parts, declared, columns, order):
    """Assert that the values are those of the input, and the dtype that of all partitions."""
    parts = [part for part in parts if len(part)] or parts
    got = pd.concat(parts)
    assert got["row"].tolist() == order
    exact = [v for each in columns for v in boxed(each)]
    if all(v is None for v in exact):
        assert got["c"].isna().all()
        return
    values = boxed(got["c"])
    columns = [each for each in columns if len(each)]
    try:
        loses = pd.concat(columns, ignore_index=True)  # what it can't keep, nobody has to
        whole = joined(columns)
    except pa.ArrowInvalid:
        assert values == [exact[row] for row in order]
        return
    as_pandas = boxed(loses)
    assert values in ([exact[row] for row in order], [as_pandas[row] for row in order])
    has_gaps = any(each.isna().any() for each in columns)
    plain = pd.Series([], dtype=declared)

    def nullable(dtype):
        is_numpy = isinstance(dtype, np.dtype)
        return pd.Series([], dtype=dtype).convert_dtypes().dtype if is_numpy else dtype

    if all(fits(each, declared) for each in columns):
        gaps = {
            *map(nullable, (plain.dtype, whole.dtype)),
            whole.dtype,
            np.dtype("float64"),
            np.dtype(object),
        }
        assert got["c"].dtype in ({declared, plain.dtype} | (gaps if has_gaps else set()))
    else:
        objects = [c.convert_dtypes() if c.dtype == object else c for c in columns]
        wanted = {whole.dtype, loses.dtype, joined(objects).dtype}
        if values == [exact[row] for row in order]:
            wanted.add(plain.dtype)  # pandas refuses some casts that lose nothing
        assert got["c"].dtype in wanted | ({nullable(whole.dtype)} if has_gaps else set())
    if not has_gaps:
        assert len({part["c"].dtype for part in parts}) == 1


def sorted_rows(columns, *, ascending):
    """Return the stable order: Python compares numbers of all kinds by their exact values."""
    values = [v for each in columns for v in boxed(each)]
    rows = [row for row, v in enumerate(values) if v is not None]
    rows.sort(key=values.__getitem__, reverse=not ascending)
    return rows + [row for row, v in enumerate(values) if v is None]


@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
@given(frames(), st.booleans())
def test_no_digit_is_lost_and_no_false_word_said(drawn, ascending):
    declared, columns = drawn
    order = sorted_rows(columns, ascending=ascending)
    n = len(order)
    ddf = frame_of(declared, columns)
    by_key = dlsort.sort_values(ddf, "c", ascending=ascending)
    carried = dlsort.sort_values(ddf, "row", ascending=False)

    def first_rows():
        with dask.config.set(scheduler="sync"):
            return [by_key.head(max(n, 1), npartitions=-1)]

    for run, expected in (
        (lambda: local(by_key), order),
        (lambda: local(carried), list(range(n))[::-1]),
        (first_rows, order),
    ):
        refused = None
        try:
            check(run(), declared, columns, expected)
        except (KeyTypeError, SchemaMismatchError) as error:
            refused = error
        if refused:
            assert not must_sort(declared, columns), refused
            check_refusal(refused, declared, columns)


def columns_of(dtype, *values):
    return [pd.Series(pd.array(each, dtype=object)).astype(dtype) for each in values]


ONE_DTYPE = [
    ("int64", columns_of("uint64", [BIG, 3], [1, 2])),
    ("uint64", columns_of("int64", [2, 3], [-1, 2**62 + 1])),
    ("int32", columns_of("uint64", [BIG, 3], [1, 2])),
    ("Int64", columns_of("uint64", [BIG, 3], [1, 2])),
    ("Int64", columns_of("UInt64", [BIG, None], [1, 2])),
    ("int64[pyarrow]", columns_of("uint64[pyarrow]", [BIG, 3], [1, None])),
    (COARSE, columns_of(FINE, [Decimal("1.2345"), None], [Decimal("3.25"), Decimal("1")])),
    ("float64", columns_of("int64", [2**53 + 1, 2**53], [1, 2])),
    ("float32", columns_of("float64", [0.1, 3.0], [1.0, 2.0])),
    ("int8", columns_of("int64", [300, 3], [1, 2])),
]


@pytest.mark.parametrize(("declared", "columns"), ONE_DTYPE)
def test_partitions_of_one_dtype_come_out_as_one(declared, columns):
    for turn in (1, -1):
        found = columns[::turn]
        exact = joined(found)
        by_value = sorted_rows(found, ascending=True)
        ddf = frame_of(declared, found)
        for by, order in (("c", by_value), ("row", list(range(4)))):
            result = dlsort.sort_values(ddf, by)
            with dask.config.set(scheduler="sync"):
                head = result.head(4, npartitions=-1)
            for parts in (local(result), [head]):
                got = pd.concat(parts)
                assert got["row"].tolist() == order
                assert boxed(got["c"]) == [boxed(exact)[row] for row in order]
                assert {part["c"].dtype for part in parts} == {exact.dtype}
        indexed = pd.concat(local(dlsort.set_index(ddf, "row")))
        assert boxed(indexed["c"]) == boxed(exact)
        assert indexed["c"].dtype == exact.dtype


@pytest.mark.parametrize("where", ["sort_index", "set_index"])
def test_an_index_of_another_dtype(where):
    for columns in (columns_of("uint64", [BIG, 3], [1, 2]), columns_of("uint64", [1], [BIG])):
        order = sorted_rows(columns, ascending=True)
        if where == "sort_index":
            ddf = frame_of("int64", columns, as_index=True)
            got = pd.concat(local(dlsort.sort_index(ddf)))
        else:
            got = pd.concat(local(dlsort.set_index(frame_of("int64", columns), "c")))
        assert got["row"].tolist() == order
        assert got.index.tolist() == [joined(columns)[row] for row in order]
        assert got.index.dtype == "uint64"


def test_nulls_as_objects_do_not_make_floats_of_integers():
    columns = [pd.Series([2**53 + 1, 3]), pd.Series([None, None], dtype=object)]
    for found in (columns, columns[::-1]):
        ddf = frame_of("int64", found)
        for by in ("c", "row"):
            result = dlsort.sort_values(ddf, by)
            with dask.config.set(scheduler="sync"):
                head = result.head(4, npartitions=-1)
            for parts in (local(result), [head]):
                got = pd.concat(parts)
                assert got["c"].dtype == "Int64"
                assert sorted(got["c"].dropna()) == [3, 2**53 + 1]
        indexed = pd.concat(local(dlsort.set_index(ddf, "row")))
        assert sorted(v for v in indexed["c"] if not pd.isna(v)) == [3, 2**53 + 1]


def test_nulls_of_several_dtypes_have_no_say():
    columns = [pd.Series([None], dtype=dtype) for dtype in ("boolean", "uint64[pyarrow]")]
    for by in ("c", "row"):
        got = pd.concat(local(dlsort.sort_values(frame_of("int64", columns), by)))
        assert got["row"].tolist() == [0, 1]
        assert got["c"].isna().all()


def test_booleans_with_nulls_as_objects():
    columns = [pd.Series([True, False]), pd.Series([None, True], dtype=object)]
    got = pd.concat(local(dlsort.sort_values(frame_of("bool", columns), "c")))
    assert got["row"].tolist() == [1, 0, 3, 2]
    assert got["c"].tolist() == [False, True, True, None]


def test_a_carried_column_has_one_dtype_whichever_rows_a_partition_gets():
    """What one output partition holds would fit, what another holds does not."""
    parts = [
        pd.DataFrame({"k": [0, 5], "c": np.array([1, BIG], np.uint64)}),
        pd.DataFrame({"k": [1, 6], "c": np.array([2, 3], np.uint64)}),
    ]
    meta = pd.DataFrame({"k": [0], "c": [0]}).iloc[:0]
    ddf = dd.from_map(data.same, parts, meta=meta, label=f"found-{next(_n_frames)}")
    result = dlsort.sort_values(ddf, "k", npartitions=2)
    with data.two_workers():
        on_cluster = data.run_on_cluster(result)
    for got in (local(result), on_cluster):
        assert [part["c"].dtype for part in got] == ["uint64"] * 2
        assert [v for part in got for v in part["c"].tolist()] == [1, 2, BIG, 3]


def test_small_ones_do_not_stand_in_the_way_of_large_ones():
    """Cast to the declared dtype they would make floats of what pandas keeps."""
    columns = [*columns_of("uint32", [1, 2]), *columns_of("uint64", [BIG, 3])]
    for by, order in (("c", [0, 1, 3, 2]), ("row", [0, 1, 2, 3])):
        got = pd.concat(local(dlsort.sort_values(frame_of("int64", columns), by)))
        assert got["c"].dtype == "uint64"
        assert got["c"].tolist() == [[1, 2, BIG, 3][row] for row in order]


def test_dtypes_that_have_none_in_common_are_refused_by_their_names():
    columns = [*columns_of("int64", [-1, 2**53 + 1]), *columns_of("uint64", [BIG, 3])]
    ddf = frame_of("int64", columns)
    with pytest.raises(KeyTypeError, match="its partitions are int64 and uint64"):
        local(dlsort.sort_values(ddf, "c"))
    with pytest.raises(SchemaMismatchError, match="'c' are int64, uint64"):
        local(dlsort.sort_values(ddf, "row", npartitions=1))


def test_numbers_that_dask_made_text_are_told_as_such():
    parts = [pd.DataFrame({"k": pd.Series([3, 1], dtype=object)})] * 2
    meta = pd.DataFrame({"k": [0]}).iloc[:0]
    ddf = dd.from_map(data.same, parts, meta=meta, label=f"found-{next(_n_frames)}")
    with pytest.raises(SchemaMismatchError, match=r"but the frame says int64.*convert-string"):
        local(dlsort.sort_values(ddf, "k"))
    columns = [pd.Series(["1"], dtype="string")]
    with (
        dask.config.set({"dataframe.convert-string": False}),
        pytest.raises(SchemaMismatchError, match="but the frame says int64, which") as caught,
    ):
        local(dlsort.sort_values(frame_of("int64", columns), "c"))
    assert "convert-string" not in str(caught.value)
