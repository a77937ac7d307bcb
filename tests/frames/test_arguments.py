"""Every argument of the frame doors that can’t be used is refused by name, by one class."""

from __future__ import annotations

import functools
import warnings
from decimal import Decimal
from inspect import signature

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas import testing

import dlsort
import frame_data as data
from dlsort import OptionIgnoredWarning
from dlsort.errors import BadOptionError, DlsortError, KeyTypeError
from dlsort.frames import notices
from dlsort_cluster.exchange import ExchangeError, SpillFullError

FRAME = pd.DataFrame(
    {
        "k": [3, 1, 2, 1],
        "t": pd.date_range("2020", periods=4),
        "s": pd.array(list("dbca"), dtype="string[pyarrow]"),
    },
    index=pd.Index([7, 5, 6, 8], name="i"),
)


class Awkward:
    """Has no text."""

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


ODD = {
    "a list": [object()],
    "a dict": {"a": 1},
    "a set": {1},
    "an array": np.arange(2),
    "a series": pd.Series([1, 2]),
    "a frame": pd.DataFrame({"x": [1]}),
    "a Dask array": da.ones(3, chunks=2),
    "text": "nonsense",
    "bytes": b"k",
    "a number": 2.5,
    "a large number": 10**400,
    "not a number": float("nan"),
    "a complex number": 1j,
    "a class": dict,
    "an object": object(),
    "an object without text": Awkward(),
    "objects without text": [Awkward(), Awkward()],
    "one object without text": [Awkward()],
}
# What is right for some parameter, whatever it looks like.
RIGHT = {
    *((name, "a class") for name in ("key", "sort_function")),
    ("partition_size", "a number"),
    ("upsample", "a number"),
    ("sort_function_kwargs", "a dict"),
}
CALLS = {
    "sort_values": (dlsort.sort_values, {"by": "k"}),
    "sort_index": (dlsort.sort_index, {}),
    "set_index": (dlsort.set_index, {"other": "k"}),
    "sorted": (dlsort.set_index, {"other": "t", "sorted": True}),
    "unsorted": (dlsort.set_index, {"other": "t", "sort": False}),
}
UNUSED = {"sorted": {"partition_size"}, "unsorted": {"partition_size"}}


@functools.cache
def ddf() -> dd.DataFrame:
    return dd.from_pandas(FRAME, npartitions=2, sort=False)


def wrong() -> list[tuple[str, str, str]]:
    return [
        (call, name, odd)
        for call, (door, _) in CALLS.items()
        for name in signature(door).parameters
        for odd in ODD
        if name not in {"ddf", "options", *UNUSED.get(call, ())} and (name, odd) not in RIGHT
    ]


@pytest.fixture(autouse=True)
def nothing_was_told(monkeypatch):
    monkeypatch.setattr(notices, "_told", set())


@pytest.mark.parametrize(("call", "name", "odd"), wrong())
def test_a_wrong_type_is_refused_by_name(call, name, odd):
    door, options = CALLS[call]
    options = {**options, name: ODD[odd]}
    if name == "sort_function_kwargs":
        options["sort_function"] = pd.DataFrame.sort_values
    with pytest.raises(DlsortError) as caught:
        door(ddf(), **options)
    message = str(caught.value)
    assert len(message) < 400
    assert "\n" not in message
    assert message.endswith(".")
    if name in {"by", "other"}:
        assert f"{name} " in message or "no column " in message
    else:
        assert name in message


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("door", [dlsort.sort_values, dlsort.sort_index])
def test_a_series_refuses_what_a_frame_does(door, odd):
    for name in ("ascending", "na_position", "npartitions", "ignore_index", "inplace", "axis"):
        with pytest.raises(DlsortError, match=name):
            door(ddf()["k"], **{name: ODD[odd]})


@pytest.mark.parametrize(
    ("found", "hint"),
    [
        (FRAME, r"from_pandas\(.*dlsort\.sort_table"),
        (FRAME["k"], r"from_pandas\(.*dlsort\.sort_table"),
        (pa.table({"k": [1]}), r"dlsort\.sort_table takes it"),
        (da.ones(3, chunks=2), "an Array; expected a Dask DataFrame"),
        (None, "a NoneType; expected a Dask DataFrame"),
        ("k", "a str; expected a Dask DataFrame"),
        (dask.delayed(FRAME), "a Delayed.*; expected a Dask DataFrame"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_dask_frame(found, hint):
    for door, options in CALLS.values():
        with pytest.raises(BadOptionError, match=hint):
            door(found, **options)


@pytest.mark.parametrize("door", [dlsort.argsort, dlsort.rank, dlsort.is_sorted])
def test_doors_of_this_process_say_that_a_dask_collection_is_elsewhere(door):
    said = r"^cannot sort a Dask {} in this process; (sort it on its cluster .*)?call \.compute"
    for keys in (ddf()["k"], [ddf()["k"], ddf()["t"]]):
        with pytest.raises(KeyTypeError, match=said.format("Series")):
            door(keys)
    with pytest.raises(KeyTypeError, match=said.format("DataFrame")):
        door(ddf())
    with pytest.raises(KeyTypeError, match=said.format("Array")):
        door(da.ones(3, chunks=2))


def test_doors_for_tables_say_that_a_dask_frame_is_elsewhere():
    said = r"^cannot sort a Dask DataFrame in this process; sort it .* dlsort\.sort_values, or"
    for frame_or_index in (ddf(), dlsort.set_index(ddf(), "k")):
        with pytest.raises(KeyTypeError, match=said):
            dlsort.sort_table(frame_or_index, "k")
        with pytest.raises(KeyTypeError, match=said):
            dlsort.top_k(frame_or_index, 2, "k")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (ddf(), "a Dask DataFrame; .* dlsort.sort_values."),
        (FRAME, "a pandas DataFrame; .* dlsort.sort_table."),
        (pa.table({"k": [1]}), "a pyarrow Table; .* dlsort.sort_table."),
    ],
    ids=["dask", "pandas", "arrow"],
)
def test_doors_for_files_name_the_kind_of_data_that_they_get(tmp_path, data, said):
    source = rf"the source \(src\) is {said}$"
    with pytest.raises(BadOptionError, match=source):
        dlsort.check_dataset(data, by="k")
    with pytest.raises(BadOptionError, match=source):
        dlsort.sort_dataset(data, tmp_path / "out", by="k")
    kind = said.partition(";")[0]
    with pytest.raises(BadOptionError, match=rf"\(dst\) is {kind}; expected the path [^.]*\.$"):
        dlsort.sort_dataset(tmp_path, data, by="k")


@pytest.mark.parametrize(
    ("other", "divisions"),
    [
        ("k", ["a", "b"]),
        ("k", [1, None]),
        ("k", [1.5, 2.5]),
        ("k", [1, 2**70]),
        ("k", ["1", "2"]),
        ("k", [1]),
        ("k", []),
        ("k", [1, 1, 2]),
        ("t", [1, 2]),
        ("t", ["one", "two"]),
        ("s", [1, 2]),
    ],
)
def test_divisions_that_are_no_values_of_the_index(other, divisions):
    with pytest.raises(BadOptionError, match=r"divisions is .*expected"):
        dlsort.set_index(ddf(), other, divisions=divisions)


@pytest.mark.parametrize("kind", [str, pd.Timestamp, np.datetime64])
def test_divisions_of_times(kind):
    divisions = [kind(day) for day in ("2020-01-01", "2020-01-03", "2020-01-04")]
    result = dlsort.set_index(ddf(), "t", divisions=divisions)
    assert result.divisions == tuple(map(pd.Timestamp, divisions))
    assert all(isinstance(each, pd.Timestamp) for each in result.divisions)
    with dask.config.set(scheduler="sync"):
        assert result.loc["2020-01-03":].compute().k.tolist() == [2, 1]


def test_an_index_that_is_said_to_be_sorted_and_is_not():
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(BadOptionError, match="not in order by 'k'; leave it out"),
    ):
        dlsort.set_index(dd.from_pandas(FRAME.iloc[:3], 3, sort=False), "k", sorted=True)
    with pytest.raises(
        BadOptionError, match="the divisions make 1 of partitions, of which the frame has 2"
    ):
        dlsort.set_index(ddf(), "k", sorted=True, divisions=[1, 3])


def test_numpys_scalars_are_taken_where_pythons_are():
    with dask.config.set(scheduler="sync"):
        found = dlsort.sort_values(
            ddf(),
            np.str_("k"),
            npartitions=np.int64(3),
            ascending=np.bool_(False),
            partition_size=np.float32(100),
            upsample=np.int8(2),
            ignore_index=np.bool_(True),
            axis=np.int64(0),
            inplace=np.bool_(False),
        )
        expected = FRAME.sort_values("k", ascending=False, kind="stable", ignore_index=True)
        testing.assert_frame_equal(found.compute(), expected)
        found = dlsort.sort_index(ddf(), level=np.int64(0), sort_remaining=np.bool_(True))
        testing.assert_frame_equal(found.compute(), FRAME.sort_index())
        found = dlsort.set_index(
            ddf(), "k", drop=np.bool_(False), sorted=np.bool_(False), sort=np.int8(1)
        )
        expected = FRAME.set_index("k", drop=False).sort_index(kind="stable")
        testing.assert_frame_equal(found.compute(), expected)
        found = dlsort.sort_values(ddf(), ["k", "s"], ascending=[np.int64(1), np.bool_(0)])
        expected = FRAME.sort_values(["k", "s"], ascending=[True, False])
        testing.assert_frame_equal(found.compute(), expected)


def test_an_array_of_directions_is_taken_where_a_list_is():
    directions = np.array([False, True])
    with dask.config.set(scheduler="sync"):
        found = dlsort.sort_values(ddf(), ["k", "s"], ascending=directions)
        expected = FRAME.sort_values(["k", "s"], ascending=[False, True])
        testing.assert_frame_equal(found.compute(), expected)
        found = dlsort.sort_index(ddf(), ascending=directions[:1])
        testing.assert_frame_equal(found.compute(), FRAME.sort_index(ascending=False))
        found = dlsort.sort_values(ddf()["k"], ascending=directions[:1])
        assert found.compute().tolist() == [3, 2, 1, 1]
    with pytest.raises(DlsortError, match=r"Length of ascending \(2\)"):
        dlsort.sort_values(ddf(), "k", ascending=directions)


@pytest.mark.parametrize(
    ("door", "wrong", "right"),
    [
        ("sort_values", "ascendng", "ascending"),
        ("sort_values", "npartition", "npartitions"),
        ("sort_values", "ignoreindex", "ignore_index"),
        ("set_index", "division", "divisions"),
        ("set_index", "max_branches", "max_branch"),
        ("sort_index", "ascendng", "ascending"),
        ("sort_index", "sort_remainin", "sort_remaining"),
    ],
)
def test_a_misspelt_name_is_told_the_right_one(door, wrong, right):
    call, options = CALLS[door]
    with pytest.raises(BadOptionError, match=f"{wrong!r}: .* Did you mean {right!r}"):
        call(ddf(), **options, **{wrong: 1})
    if door != "set_index":
        with pytest.raises(BadOptionError, match=f"{wrong!r}: .* Did you mean {right!r}"):
            getattr(ddf()["k"].dlsort, door)(**{wrong: 1})


def test_none_is_false_as_dask_has_it():
    found = dlsort.sort_values(ddf(), "k", ignore_index=None)
    with dask.config.set(scheduler="sync"):
        testing.assert_frame_equal(found.compute(), FRAME.sort_values("k", kind="stable"))


# ---------------------------------------------------------------- what Dask takes


HINTS = {"max_branch": 4, "shuffle": "tasks", "compute": True}


@pytest.mark.parametrize("name", HINTS)
@pytest.mark.parametrize("door", ["sort_values", "set_index", "sort_index"])
def test_what_is_right_for_dask_is_told_to_be_ignored_once(door, name):
    with dlsort.enabled():
        method = getattr(ddf(), door)
        _, options = CALLS[door]
        with pytest.warns(OptionIgnoredWarning, match=f"{name}=.* is ignored: ") as told:
            result = method(**options, **{name: HINTS[name]})
        assert [each.filename for each in told] == [__file__]
        method(**options, **{name: HINTS[name]})
    with dask.config.set(scheduler="sync"):
        assert result.compute().shape[0] == 4


def test_each_option_is_told():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            dlsort.sort_values(ddf(), "k", **HINTS)
    assert [str(each.message).partition("=")[0] for each in told] == list(HINTS)


def test_compute_false_is_what_happens_anyway():
    dlsort.set_index(ddf(), "k", compute=False)
    dlsort.set_index(ddf(), "k", compute=None)
    dlsort.sort_values(ddf(), "k", compute=False)


# ---------------------------------------------------------------- when it is computed


def fail_for_space(*_: object) -> None:
    msg = "no space left."
    raise SpillFullError(msg)


def test_errors_of_the_exchange_are_dlsorts():
    assert issubclass(ExchangeError, DlsortError)
    key = data.frame_of([FRAME]).map_partitions(fail_for_space, meta=FRAME.iloc[:0])
    result = dlsort.sort_values(key, "k")
    with data.two_workers(), pytest.raises(DlsortError, match=r"no space left\."):
        result.compute()


@pytest.mark.parametrize(
    "values", [[1, "a"], [{}, {}], [b"x", Decimal(1)], [(1,), (2,)]], ids=str
)
def test_objects_that_are_no_key(values):
    made = data.frame_of([pd.DataFrame({"k": pd.Series(values, dtype=object), "v": [1, 2]})])
    with dask.config.set(scheduler="sync"):
        for result in (
            dlsort.sort_values(made, "k"),
            dlsort.set_index(made, "k"),
            dlsort.sort_values(made["k"]),
            dlsort.set_index(made, "k", divisions=["a", "b"]),
        ):
            with pytest.raises(DlsortError, match="cannot sort by"):
                result.compute()
        with pytest.raises(DlsortError, match="cannot sort by"):
            dlsort.sort_values(made, "k").head(1)


def test_an_engine_that_can_not_run():
    result = dlsort.sort_values(ddf(), "k", shuffle_method="p2p")
    with pytest.raises(DlsortError, match=r"needs a distributed\.Client"):
        result.compute()
