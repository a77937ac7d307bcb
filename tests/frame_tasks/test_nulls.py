"""Whole numbers and booleans with nulls, where Dask says that there are none."""

from __future__ import annotations

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import dlsort
from dlsort.frame_tasks.nulls import as_nullable, as_pandas_reads

# Dask's own reader
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

FILES = (
    {"i": [3, None, 1, 2], "b": [True, None, False, True], "u": [2**40, 5, None, 7]},
    {"i": [2, 5, 4, 0], "b": [False, False, True, True], "u": [3, 4, 2, 1]},
    {"i": [None, None, None, None], "b": [None] * 4, "u": [None] * 4},
)
SCHEMA = pa.schema([("i", pa.int64()), ("b", pa.bool_()), ("u", pa.uint64())])


@pytest.fixture(params=["fsspec", "arrow"])
def ddf(request, tmp_path):
    """As a program that is not pandas has written it: without pandas' metadata."""
    for i, columns in enumerate(FILES):
        columns = {**columns, "row": list(range(4 * i, 4 * i + 4))}
        schema = SCHEMA.append(pa.field("row", pa.int64()))
        pq.write_table(pa.table(columns, schema), tmp_path / f"{i}.parquet", row_group_size=2)
    arrow = pyarrow.fs.LocalFileSystem()
    return dd.read_parquet(
        sorted(map(str, tmp_path.iterdir())),
        filesystem=arrow if request.param == "arrow" else "fsspec",
    )


def whole():
    columns = {name: [v for file in FILES for v in file[name]] for name in FILES[0]}
    dtypes = {"i": "Int64", "b": "boolean", "u": "UInt64"}
    return pd.DataFrame({**columns, "row": range(12)}).astype(dtypes)


def compute(result):
    return dask.compute(*result.to_delayed(), scheduler="sync")


@pytest.mark.parametrize("by", ["i", "b", "u", "row", ["b", "i"]])
@pytest.mark.parametrize("na_position", ["first", "last"])
def test_such_a_column_is_sorted_and_carried(ddf, by, na_position):
    assert ddf.dtypes["i"] == np.int64
    parts = compute(dlsort.sort_values(ddf, by, na_position=na_position))
    expected = whole().sort_values(by, kind="stable", na_position=na_position)
    got = pd.concat(part.astype(expected.dtypes) for part in parts)
    pd.testing.assert_frame_equal(got.reset_index(drop=True), expected.reset_index(drop=True))
    kinds = {False: ("int64", "bool"), True: ("float64", "object")}
    for part in parts:
        for column, place in (("i", 0), ("b", 1)):
            assert part[column].dtype == kinds[bool(part[column].isna().any())][place]


def test_its_first_rows(ddf):
    expected = whole().sort_values("i", kind="stable", na_position="first")
    got = dlsort.sort_values(ddf, "i", na_position="first").head(8)
    assert got["row"].tolist() == expected["row"].tolist()[:8]
    assert got["i"].dtype == np.float64
    assert dlsort.sort_values(ddf, "i").head(3)["i"].dtype == np.int64


def test_it_becomes_the_index(ddf):
    with dask.config.set(scheduler="sync"):
        result = dlsort.set_index(ddf, "i")
        assert (result.divisions[0], result.divisions[-1]) == (0, 5)
        expected = whole().sort_values("i", kind="stable")["row"].tolist()
        assert [row for part in compute(result) for row in part["row"]] == expected


def test_the_index_has_nulls_already():
    frames = [pd.DataFrame({"row": [0, 1]}, index=index) for index in ([2, 1], [0.0, np.nan])]
    ddf = dd.from_map(lambda i: frames[i], [0, 1], meta=frames[0].iloc[:0])
    parts = compute(dlsort.sort_index(ddf, ascending=False))
    index = [value for part in parts for value in part.index]
    assert index[:3] == [2, 1, 0]
    assert np.isnan(index[3])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([2.0**63, None], "int64"),
        ([2.0**64, None], "uint64"),
        ([-1.0, None], "uint8"),
        ([256.0, None], "uint8"),
        ([0.5, None], "int64"),
        ([np.inf, None], "int64"),
        ([True, None], "int64"),
        ([1, None], "bool"),
        (["x", None], "int64"),
        ([1.0, 2.0], "int64"),
        ([1.0, None], "float32"),
    ],
)
def test_what_it_can_not_hold_or_need_not(values, dtype):
    assert as_nullable(pd.Series(values), np.dtype(dtype)) is None


def test_what_it_holds_comes_back():
    for values, dtype in (
        ([-(2.0**63), None, 2.0**62], "int64"),
        ([255.0, None, 0.0], "uint8"),
        ([None, None], "int32"),
        ([True, None], "bool"),
    ):
        series = pd.Series(values)
        nullable = as_nullable(series, np.dtype(dtype))
        again = as_nullable(pd.Series(nullable), np.dtype(dtype))
        assert again.equals(nullable)
        found = pd.Series(as_pandas_reads(nullable))
        assert found.isna().tolist() == series.isna().tolist()
        assert found.dropna().tolist() == series.dropna().tolist()
