"""Which of Dask's and pandas' tests do not hold for dlsort, by name and reason.

A name stands for the test with all its parameters, with brackets for one set
of them, and with a star at its end for all that begin so. What is listed has to
be so: :mod:`upstream.plugin` sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from dlsort.errors import KeyTypeError, UnknownColumnError


@dataclass(frozen=True)
class Failure:
    """Tests that fail for one reason.

    Parameters
    ----------
    reason : str
        What the tests want, and what dlsort does instead.
    error : type
        With what they fail.
    tests : tuple of str
    """

    reason: str
    error: type[BaseException]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Differences:
    """What is different in one file of tests.

    Parameters
    ----------
    failures : tuple of Failure
    left : dict of str to tuple of str
        Calls that dlsort refuses and pandas answers itself, so that the rest of
        the test runs: tests by kind of call, see
        :func:`upstream.pandas_calls.kinds_of`.
    no_call : tuple of str
        pandas' tests that sort nothing.
    """

    failures: tuple[Failure, ...] = ()
    left: dict[str, tuple[str, ...]] = field(default_factory=dict)
    no_call: tuple[str, ...] = ()


def is_listed(name: str, listed: Iterable[str]) -> bool:
    """Return whether a list has a test, or all that begin like it.

    >>> is_listed("test_a[1-x]", ["test_a"]), is_listed("test_a[1-x]", ["test_a[1-*"])
    (True, True)
    >>> is_listed("test_a[1-x]", ["test_a[2-*"]), is_listed("test_ab", ["test_a"])
    (False, False)
    """
    names = (name, name.partition("[")[0])
    return any(
        name.startswith(entry[:-1]) if entry.endswith("*") else entry in names
        for entry in listed
    )


# ---------------------------------------------------------------- Dask's

OPTIONS = "max_branch is to change what Dask's own shuffle by tasks does: dlsort ignores it"

DASK = Differences(
    (
        Failure(OPTIONS, AssertionError, ("test_set_index_names[tasks]",)),
        Failure(
            "Dask's divisions may lie between values; dlsort's are values of the index",
            AssertionError,
            ("test_set_index_interpolate[pandas]",),
        ),
        Failure(
            "the partitions of a sorted frame are those that Dask would make, 1, 3 and 2 rows; "
            "dlsort's are even",
            AssertionError,
            ("test_compute_current_divisions_nan_partition",),
        ),
    )
)

DASK_EXPR = Differences(
    (
        Failure(
            OPTIONS,
            IndexError,
            ("test_set_index_sort_values_shuffle_options",),
        ),
        Failure(
            "Dask refuses labels that are no strings; for dlsort there is just no column 1",
            UnknownColumnError,
            ("test_sort_values",),
        ),
        Failure(
            "Dask refuses an index with nulls that are no numbers; dlsort puts them last",
            pytest.fail.Exception,
            ("test_index_nulls",),
        ),
        Failure(
            "head and tail are to be Dask's NFirst and NLast; dlsort's own are stable",
            AssertionError,
            (
                "test_sort_head_nlargest",
                "test_sort_tail_nsmallest",
                "test_sort_values_conflicting_ascending_head_tail",
                "test_set_index_head_nlargest",
            ),
        ),
        Failure(
            "expressions are to be of Dask's own classes",
            AssertionError,
            ("test_sort_values_avoid_overeager_filter_pushdown",),
        ),
        Failure(
            "it looks into Dask's cache of divisions; dlsort has its own",
            AssertionError,
            ("test_set_index_triggers_calc_when_accessing_divisions",),
        ),
        Failure(
            "it compares a simplified expression with one that is not; dlsort fixes the number "
            "of partitions when it simplifies",
            AssertionError,
            ("test_shuffle_filter_pushdown[sort_values]", "test_set_index_filter_pushdown"),
        ),
        Failure(
            "npartitions is to be final before divisions are known; dlsort says what was asked "
            "for, as it computes nothing for it",
            AssertionError,
            ("test_set_index_npartitions_changes",),
        ),
        Failure(
            "a frame of one partition is to keep its divisions when it is sorted by a column",
            AssertionError,
            ("test_set_index_sort_values_one_partition",),
        ),
    )
)

# ---------------------------------------------------------------- pandas'

WARNING = Failure(
    "pandas warns wherever inplace is named; inplace=False is nothing to warn of for dlsort",
    AssertionError,
    ("test_sort_values_inplace_depr",),
)
INDEX_WARNING = Failure(WARNING.reason, WARNING.error, ("test_sort_index_inplace_depr",))

PANDAS_FRAME_VALUES = Differences(
    failures=(WARNING,),
    left={
        "axis=1": (
            "TestDataFrameSortValues::test_sort_values",
            "TestDataFrameSortValues::test_sort_values_inplace",
            "TestDataFrameSortValues::test_sort_values_nan",
            "TestDataFrameSortValues::test_sort_values_reshaping",
            "TestDataFrameSortKey::test_sort_values_inplace_key",
            "TestDataFrameSortKey::test_sort_values_key_dict_axis",
            "TestSortValuesLevelAsStr::test_sort_column_level_and_index_label",
        ),
        "inplace=True": (
            "TestDataFrameSortValues::test_sort_values_inplace",
            "TestDataFrameSortValues::test_sort_values_frame_column_inplace_sort_exception",
            "TestDataFrameSortValues::test_sort_values_ignore_index",
            "TestDataFrameSortValues::test_sort_values_no_by_inplace",
            "TestDataFrameSortKey::test_sort_values_inplace_key",
        ),
    },
)

PANDAS_FRAME_INDEX = Differences(
    failures=(
        INDEX_WARNING,
        Failure(
            "whole numbers with nulls, in a level of several, come back as floats",
            AssertionError,
            (
                "TestDataFrameSortIndex::test_sort_index_nan_multiindex",
                "TestDataFrameSortIndexKey::test_sort_index_na_position",
            ),
        ),
        Failure(
            "a result is to share memory with its input; dlsort's rows may come from elsewhere",
            AssertionError,
            ("TestDataFrameSortIndex::test_sort_index_level_monotonic_no_copy",),
        ),
    ),
    left={
        "axis=1": (
            "TestDataFrameSortIndex::test_sort_index",
            "TestDataFrameSortIndex::test_sort_index_inplace",
            "TestDataFrameSortIndex::test_sort_index_and_reconstruction",
            "TestDataFrameSortIndex::test_sort_index_level_mixed",
            "TestDataFrameSortIndex::test_sort_index_multilevel_repr_8017",
            "TestDataFrameSortIndexKey::test_sort_multi_index_key_level_name[1]",
            "test_axis_columns_ignore_index",
            "test_axis_columns_ignore_index_ascending_false",
            "test_sort_index_axis1_multiindex_reordered_level_keeps_nan",
        ),
        "inplace=True": (
            "TestDataFrameSortIndex::test_sort_index_inplace",
            "TestDataFrameSortIndex::test_sort_index_ignore_index",
            "TestDataFrameSortIndex::test_respect_ignore_index",
            "TestDataFrameSortIndex::test_sort_index_ignore_index_multi_index",
            "TestDataFrameSortIndex::test_sort_index_level2",
        ),
    },
    no_call=("TestDataFrameSortIndex::test_sort_index_intervalindex",),
)

PANDAS_SERIES_VALUES = Differences(
    failures=(WARNING,),
    left={
        "inplace=True": (
            "TestSeriesSortValues::test_sort_values",
            "TestSeriesSortValues::test_sort_values_ignore_index",
            "TestSeriesSortValues::test_sort_values_ignore_index_on_already_sorted",
        ),
    },
)

PANDAS_SERIES_INDEX = Differences(
    failures=(
        INDEX_WARNING,
        Failure(
            "intervals can't be keys",
            KeyTypeError,
            ("TestSeriesSortIndex::test_sort_index_intervals",),
        ),
    ),
    left={
        "axis=1": ("TestSeriesSortIndex::test_sort_index",),
        "inplace=True": (
            "TestSeriesSortIndex::test_sort_index_inplace",
            "TestSeriesSortIndex::test_sort_index_ignore_index",
        ),
    },
)

# By the file's place in site-packages.
DIFFERENCES = {
    "dask/dataframe/tests/test_shuffle.py": DASK,
    "dask/dataframe/dask_expr/tests/test_shuffle.py": DASK_EXPR,
    "pandas/tests/frame/methods/test_sort_values.py": PANDAS_FRAME_VALUES,
    "pandas/tests/frame/methods/test_sort_index.py": PANDAS_FRAME_INDEX,
    "pandas/tests/series/methods/test_sort_values.py": PANDAS_SERIES_VALUES,
    "pandas/tests/series/methods/test_sort_index.py": PANDAS_SERIES_INDEX,
}
