"""What sort_values refuses on a Dask frame, and when."""

from __future__ import annotations

import functools

import pandas as pd
import pyarrow as pa
import pytest

import dlsort
import frame_data as data
from dlsort.errors import (
    BadKeyError,
    BadOptionError,
    KeyTypeError,
    SchemaMismatchError,
    UnknownColumnError,
)


@functools.cache
def ddf():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [1j, 2]})
    frame["i"] = pd.interval_range(0, 2)
    frame["l"] = pd.array([[1], [2]], dtype=pd.ArrowDtype(pa.list_(pa.int8())))
    frame.index.name = "idx"
    return data.frame_of([frame, frame])


@pytest.mark.parametrize(
    ("by", "options", "error", "message"),
    [
        ("aa", {}, UnknownColumnError, "no column 'aa'. Did you mean 'a'?"),
        ("A", {}, UnknownColumnError, "no column 'A'. Did you mean 'a'?"),
        (["IDX"], {}, UnknownColumnError, "no column 'IDX'. Did you mean 'idx'?"),
        ("a:desc", {}, UnknownColumnError, r"'a:desc'. On .*: by='a', ascending=False\. The"),
        ("a,b", {}, UnknownColumnError, r"'a,b'. On .* or a list: by=\['a', 'b'\]\. The"),
        (
            "a:nulls_first,b:desc:nulls_first",
            {},
            UnknownColumnError,
            r"by=\['a', 'b'\], ascending=\[True, False\], na_position='first'\.",
        ),
        ("a:down", {}, UnknownColumnError, "no column 'a:down'. The columns"),
        ([], {"ignore_index": True}, BadKeyError, "names no column"),
        (["a", ["b"]], {}, BadKeyError, "by holds a list"),
        (["a"], {"ascending": [True, False]}, BadKeyError, r"Length of ascending \(2\) != le"),
        ("a", {"ascending": "no"}, BadOptionError, "expected type bool, received type str"),
        ("a", {"na_position": "top"}, BadOptionError, "invalid na_position: top"),
        ("a", {"npartitions": 0}, BadOptionError, "npartitions is 0"),
        ("a", {"npartitions": "many"}, BadOptionError, "npartitions is 'many'"),
        (
            "a",
            {"npartitions": "auto", "partition_size": 0},
            BadOptionError,
            "partition_size is",
        ),
        ("a", {"axis": 1}, BadOptionError, "axis is 1"),
        ("a", {"inplace": True}, BadOptionError, "inplace=True is not possible"),
        ("a", {"kind": "bogo"}, BadOptionError, "kind is 'bogo'"),
        ("a", {"key": 3}, BadOptionError, "key is 3"),
        ("a", {"upsample": -1}, BadOptionError, "upsample is -1"),
        ("a", {"shuffle_method": "mail"}, BadOptionError, "shuffle_method is 'mail'"),
        ("a", {"max_brunch": 3}, BadOptionError, "unexpected 'max_brunch'.* 'max_branch'?"),
        ("a", {"sort_function_kwargs": {}}, BadOptionError, "needs a sort_function"),
        (None, {}, BadKeyError, "names no column"),
        ("c", {}, KeyTypeError, r"by 'c': its dtype is complex128.*\(here: a, b, l\)"),
        ("i", {}, KeyTypeError, "by 'i': its dtype is interval"),
    ],
)
def test_a_bad_request_is_refused_at_once(by, options, error, message):
    with pytest.raises(error, match=message):
        dlsort.sort_values(ddf(), by, **options)


def test_what_is_not_a_dask_frame_is_refused_at_once():
    with pytest.raises(BadOptionError, match="expected a Dask DataFrame"):
        dlsort.sort_values(pd.DataFrame({"a": [1]}), "a")
    with pytest.raises(BadKeyError, match="by is 'a'; a Series is sorted by its values"):
        dlsort.sort_values(ddf()["a"], "a")
    with pytest.raises(BadOptionError, match="sort_function is for a DataFrame"):
        dlsort.sort_values(ddf()["a"], sort_function=sorted)
    with pytest.raises(BadKeyError, match="by holds a Series"):
        dlsort.sort_values(ddf(), ddf()["a"])


def test_columns_of_one_name_are_refused_at_once():
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(BadKeyError, match=r"named \['a'\]"):
        dlsort.sort_values(data.frame_of([frame]), "a")


def compute(*parts: pd.DataFrame, by="k", **options):
    return data.run_locally("sync")(dlsort.sort_values(data.frame_of(parts), by, **options))


def object_frame(*values):
    return pd.DataFrame({"k": pd.Series(values, dtype=object)})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([[1, "a"]], "int in partition 0, str in partition 0"),
        ([[None], [1], ["a"]], "int in partition 1, str in partition 2"),
        ([[[1]]], "holds list objects"),
    ],
)
def test_objects_that_are_no_key_are_refused_by_name(parts, message):
    with pytest.raises(KeyTypeError, match=f"cannot sort by 'k': .*{message}"):
        compute(*[object_frame(*values) for values in parts])


def categories(values, *, ordered=False):
    dtype = pd.CategoricalDtype(values, ordered=ordered)
    return pd.DataFrame({"k": pd.Categorical(["a"], dtype=dtype), "v": [1]})


def test_ordered_categories_that_differ_are_no_key():
    one, two = categories(["a", "b"], ordered=True), categories(["b", "a"], ordered=True)
    with pytest.raises(KeyTypeError, match="categories differ between partitions 0 and 1"):
        compute(one, two)
    with pytest.raises(SchemaMismatchError, match="ordered categories of 'k' differ"):
        compute(one, two, by="v", npartitions=1)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"k": ["x"]}, "partition 1: column 'k' is str, but the frame says int64"),
        ({"k": ["x", None]}, "partition 1: column 'k' is str, but the frame says int64"),
        ({"k": [True, None]}, "partition 1: column 'k' is object, but the frame says int64"),
        ({"x": [1]}, r"partition 1 has not the columns .* lacks 'k' and has also 'x'"),
    ],
)
def test_a_partition_that_is_not_what_the_frame_declares_is_named(other, message):
    with pytest.raises(SchemaMismatchError, match=message):
        compute(pd.DataFrame({"k": [1]}), pd.DataFrame(other))


def test_errors_of_tasks_arrive_as_they_are_from_a_cluster():
    ddf = data.frame_of([object_frame(1), object_frame("a")])
    with data.two_workers():
        result = dlsort.sort_values(ddf, "k").persist()
        with pytest.raises(KeyTypeError, match="objects of several types"):
            result.compute()
