"""The switch puts dlsort's methods on Dask's classes, and takes them away again."""

from __future__ import annotations

import pickle
import threading
from inspect import Parameter, signature
from types import MethodType

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import dlsort
import frame_data as data
from dlsort.frames import index_methods
from patience import PATIENCE_S

ORIGINALS = {
    (owner, name): vars(owner).get(name)
    for owner, name in [
        (dd.DataFrame, "sort_values"),
        (dd.DataFrame, "set_index"),
        (dd.DataFrame, "sort_index"),
        (dd.Series, "sort_values"),
        (dd.Series, "sort_index"),
    ]
}


def is_enabled() -> bool:
    """Return whether all methods are dlsort's; some of them never are."""
    found = [vars(owner).get(name) is getattr(dlsort, name) for owner, name in ORIGINALS]
    assert len(set(found)) == 1, dict(zip(ORIGINALS, found, strict=True))
    return found[0]


@pytest.fixture(autouse=True)
def originals_are_back():
    yield
    dlsort.disable()
    assert {key: vars(key[0]).get(key[1]) for key in ORIGINALS} == ORIGINALS


# ---------------------------------------------------------------- the switch


def test_it_is_off_until_asked_for():
    assert not is_enabled()


def test_on_and_off():
    dlsort.enable()
    assert is_enabled()
    dlsort.disable()
    assert not is_enabled()


def test_off_once_is_enough_after_on_twice():
    dlsort.enable()
    dlsort.enable()
    dlsort.disable()
    assert not is_enabled()


def test_off_without_on_does_nothing():
    dlsort.disable()
    dlsort.disable()
    assert not is_enabled()


def test_blocks_in_blocks():
    with dlsort.enabled():
        with dlsort.enabled():
            assert is_enabled()
        assert is_enabled()
    assert not is_enabled()


def test_a_block_leaves_what_was_on_before_on():
    dlsort.enable()
    with dlsort.enabled():
        assert is_enabled()
    assert is_enabled()


def test_an_exception_ends_a_block():
    def fail() -> None:
        with dlsort.enabled():
            msg = "within"
            raise KeyError(msg)

    with pytest.raises(KeyError, match="within"):
        fail()
    assert not is_enabled()
    dlsort.enable()
    with pytest.raises(KeyError, match="within"):
        fail()
    assert is_enabled()


def test_off_within_a_block_ends_it():
    with dlsort.enabled(), dlsort.enabled():
        dlsort.disable()
        assert not is_enabled()
    assert not is_enabled()


def test_on_within_a_block_outlasts_it():
    with dlsort.enabled():
        dlsort.enable()
    assert is_enabled()


def test_it_decorates_a_function():
    @dlsort.enabled()
    def found() -> bool:
        return is_enabled()

    assert found()
    assert found()
    assert not is_enabled()


def test_other_threads_see_it():
    found = []
    with dlsort.enabled():
        thread = threading.Thread(target=lambda: found.append(is_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


def test_a_block_lasts_though_one_that_was_open_before_ends_in_another_thread():
    second_is_open, first_has_ended = threading.Event(), threading.Event()
    found = []

    def second() -> None:
        with dlsort.enabled():
            second_is_open.set()
            first_has_ended.wait(PATIENCE_S)
            found.append(is_enabled())
        found.append(is_enabled())

    thread = threading.Thread(target=second)
    with dlsort.enabled():
        thread.start()
        assert second_is_open.wait(PATIENCE_S)
    first_has_ended.set()
    thread.join()
    assert found == [True, False]


def test_many_threads_open_and_end_blocks():
    start = threading.Barrier(8)
    found = []

    def work() -> None:
        start.wait()
        for _ in range(200):
            with dlsort.enabled():
                found.append(vars(dd.DataFrame)["sort_values"] is dlsort.sort_values)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8 * 200
    assert not is_enabled()


def test_what_another_library_put_there_comes_back(monkeypatch):
    def theirs(self, by):
        return "theirs"

    monkeypatch.setattr(dd.DataFrame, "sort_values", theirs)
    monkeypatch.setattr(dd.Series, "sort_values", theirs, raising=False)
    with dlsort.enabled():
        assert is_enabled()
    assert vars(dd.DataFrame)["sort_values"] is vars(dd.Series)["sort_values"] is theirs


def test_all_or_none(monkeypatch):
    monkeypatch.delattr(index_methods, "sort_index")
    with pytest.raises(AttributeError, match="sort_index"):
        dlsort.enable()
    assert {key: vars(key[0]).get(key[1]) for key in ORIGINALS} == ORIGINALS


# ---------------------------------------------------------------- signatures


def parameters(function) -> dict[str, Parameter]:
    """Return a function's parameters but for the first."""
    return dict(list(signature(function).parameters.items())[1:])


@pytest.mark.parametrize("name", ["sort_values", "set_index"])
def test_it_can_be_called_as_dasks_method(name):
    """A parameter that is new in Dask has to be taken, or refused, by dlsort too."""
    theirs = parameters(ORIGINALS[dd.DataFrame, name])
    ours = parameters(getattr(dlsort, name))
    shared = [name for name, p in ours.items() if p.kind is not Parameter.KEYWORD_ONLY]
    assert shared == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].kind is parameter.kind
        if parameter.default is not Parameter.empty:
            assert ours[name].default == parameter.default


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("sort_values", pd.DataFrame),
        ("sort_values", pd.Series),
        ("sort_index", pd.DataFrame),
        ("sort_index", pd.Series),
    ],
)
def test_it_takes_what_pandas_method_takes(name, owner):
    ours = parameters(getattr(dlsort, name))
    theirs = parameters(getattr(owner, name))
    assert set(theirs) <= set(ours)
    for shared in ("ascending", "na_position", "ignore_index", "key", "axis"):
        assert ours[shared].default == theirs[shared].default


def test_methods_have_the_doors_signatures():
    with dlsort.enabled():
        for owner, name in ORIGINALS:
            door = signature(getattr(dlsort, name))
            assert signature(getattr(owner, name)) == door


# ---------------------------------------------------------------- what it sorts

TABLE = pd.DataFrame(
    {
        "x": [3.0, None, 1.0, 2.0, None, 1.0, 7.0, 3.0],
        "t": pd.date_range("2020-01-01", periods=8, freq="h"),
        "y": range(8),
    }
)


@pytest.fixture
def ddf():
    return dd.from_pandas(TABLE, npartitions=4)


def together(result: dd.DataFrame | dd.Series) -> pd.DataFrame | pd.Series:
    """Compute a collection a partition at a time, and join the partitions."""
    return pd.concat(data.run_locally("sync")(result))


def test_frames(ddf):
    with dlsort.enabled():
        by_value = ddf.sort_values("x", ascending=False, na_position="first")
        by_index = by_value.sort_index()
        indexed = ddf.set_index("y")
    expected = TABLE.sort_values("x", ascending=False, na_position="first", kind="stable")
    pd.testing.assert_frame_equal(together(by_value), expected)
    pd.testing.assert_frame_equal(together(by_index), TABLE)
    pd.testing.assert_frame_equal(together(indexed), TABLE.set_index("y"))
    assert indexed.known_divisions


def test_series(ddf):
    with dlsort.enabled():
        by_value = ddf["x"].sort_values(na_position="first")
        by_index = by_value.sort_index(ascending=False)
    expected = TABLE["x"].sort_values(na_position="first", kind="stable")
    pd.testing.assert_series_equal(together(by_value), expected)
    pd.testing.assert_series_equal(together(by_index), TABLE["x"][::-1])


def test_a_sort_outlives_the_block_in_which_it_was_built(ddf):
    with dlsort.enabled():
        result = ddf.sort_values("x", na_position="first")
    expected = TABLE.sort_values("x", na_position="first", kind="stable")
    pd.testing.assert_frame_equal(together(result), expected)
    assert ddf.sort_values("x").expr.__module__ != result.expr.__module__


@pytest.mark.parametrize("on_index", [False, True])
def test_dasks_own_merge_asof_still_works(ddf, on_index):
    other = pd.DataFrame({"t": TABLE["t"] - pd.Timedelta("10min"), "z": range(8)})
    left, right = TABLE.drop(columns="x"), other[other["z"] % 2 == 0]
    expected = pd.merge_asof(left, right, on="t")
    with dlsort.enabled():
        dleft = dd.from_pandas(left, npartitions=3)
        dright = dd.from_pandas(right, npartitions=2)
        if on_index:
            dleft, dright = dleft.set_index("t", sorted=True), dright.set_index("t")
            expected = expected.set_index("t")
            result = dd.merge_asof(dleft, dright, left_index=True, right_index=True)
        else:
            result = dd.merge_asof(dleft, dright, on="t")
        got = result.compute()
    if not on_index:
        got, expected = got.reset_index(drop=True), expected.reset_index(drop=True)
    pd.testing.assert_frame_equal(got, expected[got.columns], check_freq=False)


def test_what_needs_divisions_works_on_a_new_index(ddf):
    shuffled = TABLE.sample(frac=1, random_state=0)
    indexed = TABLE.set_index("t")
    with dlsort.enabled():
        result = dd.from_pandas(shuffled, npartitions=4, sort=False).set_index("t")
        found = [
            result.loc["2020-01-01 03:00":"2020-01-01 05:00"],
            result.resample("2h").sum(),
            result.rolling(3).sum(),
            result.y.map_overlap(lambda part: part.diff(), 1, 0),
            result.merge(result[["y"]], left_index=True, right_index=True),
            result.repartition(npartitions=2),
        ]
        got = [collection.compute() for collection in found]
    expected = [
        indexed.loc["2020-01-01 03:00":"2020-01-01 05:00"],
        indexed.resample("2h").sum(),
        indexed.rolling(3).sum(),
        indexed.y.diff(),
        indexed.merge(indexed[["y"]], left_index=True, right_index=True),
        indexed,
    ]
    for one, other in zip(got, expected, strict=True):
        assert len(one) == len(other)
        np.testing.assert_array_equal(one.to_numpy(), other.to_numpy())
        np.testing.assert_array_equal(one.index.to_numpy(), other.index.to_numpy())


# ---------------------------------------------------------------- the accessor


@pytest.mark.parametrize("name", ["sort_values", "set_index", "sort_index"])
def test_the_accessor_is_the_door(ddf, name):
    method = getattr(ddf.dlsort, name)
    assert isinstance(method, MethodType)
    assert method.__func__ is getattr(dlsort, name)
    assert list(signature(method).parameters) == list(parameters(getattr(dlsort, name)))


def test_the_accessor_needs_no_switch(ddf):
    result = ddf.dlsort.sort_values(["x", "y"], ascending=[True, False])
    expected = TABLE.sort_values(["x", "y"], ascending=[True, False])
    pd.testing.assert_frame_equal(together(result), expected)
    pd.testing.assert_frame_equal(together(result.dlsort.sort_index()), TABLE)
    pd.testing.assert_frame_equal(together(ddf.dlsort.set_index("y")), TABLE.set_index("y"))
    assert not is_enabled()


def test_the_accessor_of_a_series(ddf):
    result = ddf["x"].dlsort.sort_values()
    pd.testing.assert_series_equal(together(result), TABLE["x"].sort_values(kind="stable"))
    pd.testing.assert_series_equal(together(result.dlsort.sort_index()), TABLE["x"])
    assert not hasattr(ddf["x"].dlsort, "set_index")


def test_the_accessor_is_listed_and_does_not_weigh_on_its_frame(ddf):
    assert "dlsort" in dir(ddf)
    size = len(pickle.dumps(ddf))
    assert ddf.dlsort is ddf.dlsort
    assert len(pickle.dumps(ddf)) == size
