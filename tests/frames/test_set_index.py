"""set_index on a Dask frame: as pandas sorts, values together, divisions learned when asked."""

from __future__ import annotations

import asyncio
import itertools
import pickle
from contextlib import nullcontext
from unittest.mock import patch

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from dlsort.errors import BadKeyError, BadOptionError, KeyTypeError, UnknownColumnError
from dlsort.frame_tasks import sample as frame_sample
from dlsort.tuning import TUNING
from tuning_kit import bands_of, tuned

# Values that make no index: pandas can't compare them, or Dask can't look one up.
NO_INDEX = {"sparse", "sparse uint8", "object large int", "float16"}
KEYS = [name for name in data.KEYS if name not in data.VIEWS | NO_INDEX]


@pytest.fixture(scope="module", params=["sync", "cluster"])
def run(request):
    if request.param == "cluster":
        with data.two_workers():
            yield data.run_on_cluster
    else:
        yield data.run_locally(request.param)


def where_it_runs(run):
    """Return what makes divisions be learned where partitions are computed."""
    on_cluster = run is data.run_on_cluster
    return nullcontext() if on_cluster else dask.config.set(scheduler="sync")


def check(run, parts, by, tuning=TUNING, **kwargs):
    with where_it_runs(run):
        result = tuned(dlsort.set_index(data.frame_of(parts), by, **kwargs), tuning)
        divisions = result.divisions
        got = run(result)
    assert len(got) == result.npartitions == len(divisions) - 1
    whole = pd.concat(parts)
    order = data.order_of(whole, [by], ascending=True, na_position="last")
    assert [row for part in got for row in part["row"]] == whole["row"].iloc[order].tolist()
    drop = kwargs.get("drop", True)
    assert list(got[0].columns) == [c for c in whole.columns if not drop or c != by]
    expected = data.listed(whole[by])
    keys = [value for part in got for value in data.listed(part.index)]
    assert keys == [expected[i] for i in order]
    assert {part.index.name for part in got} == {by}
    check_divisions(got, divisions)
    return got


def check_divisions(got, divisions):
    """Every partition's values are from its first to below the next one's first."""
    found = [part.index[~part.index.isna()] for part in got]
    found = [keys[[value == value for value in keys]] for keys in found]  # Arrow's NaN
    dtype = got[0].index.dtype
    is_category = isinstance(dtype, pd.CategoricalDtype)
    if is_category and not dtype.categories.is_monotonic_increasing:
        assert set(divisions) == {None}  # Dask would look values up by their own order
        return
    if not any(map(len, found)):
        assert set(divisions) == {None}
        return
    where = {value: i for i, keys in enumerate(found) for value in keys}
    for i, keys in enumerate(found):
        assert all(where[value] == i for value in keys)  # equal values together
        if len(keys) and i:
            assert keys[0] == divisions[i]
    firsts = [keys[0] for keys in found if len(keys)]
    assert firsts[0] == divisions[0]
    assert found[-1][-1] == divisions[-1]
    assert not any(pd.isna(d) for d in divisions)


@pytest.mark.parametrize("name", KEYS)
def test_every_dtype_is_an_index(run, name):
    parts = data.partitions(np.random.default_rng(0), [name], [40, 0, 25, 1])
    check(run, parts, f"c0 {name}")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(KEYS),
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
    n_parts=st.none() | st.integers(1, 9),
    drop=st.booleans(),
    n_sampled=st.sampled_from([1, 10, 1000]),
    n_rows=st.sampled_from([1, 8, 1000]),
)
def test_no_difference_from_pandas(run, name, lengths, seed, n_parts, drop, n_sampled, n_rows):
    parts = data.partitions(np.random.default_rng(seed), [name, "int8"], lengths)
    sampled = patch.object(frame_sample, "rows_needed", lambda *_: n_sampled)
    with sampled:
        check(run, parts, f"c0 {name}", bands_of(n_rows), npartitions=n_parts, drop=drop)


# ---------------------------------------------------------------- partitions


def frame(n=100, n_parts=5, seed=0):
    rng = np.random.default_rng(seed)
    whole = pd.DataFrame({"k": rng.integers(0, 50, n), "v": np.arange(n) * 1.0})
    return whole, dd.from_pandas(whole, npartitions=n_parts, sort=False)


@pytest.fixture
def sync():
    with dask.config.set(scheduler="sync"):
        yield


def test_as_many_partitions_as_asked_while_there_are_values(sync):
    _, ddf = frame()
    for n_parts in (1, 3, 20):
        result = dlsort.set_index(ddf, "k", npartitions=n_parts)
        assert result.npartitions == n_parts
        assert len(result.divisions) == n_parts + 1
        assert len(set(result.divisions[:-1])) == n_parts
        assert result.npartitions == n_parts


def test_too_few_values_make_fewer_partitions(sync):
    whole, ddf = frame()
    few = ddf.assign(k=ddf["k"] % 3)
    result = dlsort.set_index(few, "k")
    assert result.divisions == (0, 1, 2, 2)
    assert result.npartitions == 3
    expected = whole.assign(k=whole["k"] % 3).set_index("k").sort_index(kind="stable")
    pd.testing.assert_frame_equal(result.compute(), expected)


def test_too_few_values_are_no_trouble_to_what_counts_partitions(sync):
    ddf = data.frame_of([pd.DataFrame({"k": [1, 1], "v": [i, i]}) for i in range(4)])
    for follow in (
        lambda f: f.repartition(npartitions=1),
        lambda f: f.partitions[0],
        lambda f: f + 1,
    ):
        result = follow(dlsort.set_index(ddf, "k"))
        assert result.compute()["v"].tolist() in (
            [0, 0, 1, 1, 2, 2, 3, 3],
            [1, 1, 2, 2, 3, 3, 4, 4],
        )


def test_partitions_in_order_are_sorted_where_they_are(sync):
    made = pd.DataFrame({"k": [2, 1, 3, 5, 4, 9, 9, 7], "v": range(8)})
    expected = made.set_index("k").sort_index(kind="stable")
    ddf = data.frame_of([made[:3], made[3:5], made[5:]])
    for result in (
        dlsort.set_index(ddf, "k"),
        dlsort.sort_index(ddf.set_index("k", sort=False)),
    ):
        assert not any("split" in str(key) for key in result.optimize().__dask_graph__())
        assert result.divisions == (1, 4, 7, 9)
        pd.testing.assert_frame_equal(result.compute(), expected)
    assert dlsort.set_index(ddf, "k", npartitions=2).npartitions == 2


def test_some_partitions_of_those_in_order(sync):
    made = pd.DataFrame({"k": np.arange(40) // 2, "v": range(40)})
    ddf = dd.from_pandas(made, npartitions=4, sort=False)
    result, whole = dlsort.set_index(ddf, "k"), made.set_index("k")
    parts = [result.partitions[i] for i in range(4)]
    assert [part.divisions for part in parts] == list(itertools.pairwise(result.divisions))
    pd.testing.assert_frame_equal(pd.concat([part.compute() for part in parts]), whole)
    pd.testing.assert_frame_equal(result.loc[15:15].compute(), whole.loc[15:15])
    pd.testing.assert_frame_equal(result.loc[3:12].compute(), whole.loc[3:12])
    later = result[result["v"] > 3].assign(w=1).partitions[2]
    assert later.compute()["v"].tolist() == parts[2].compute()["v"].tolist()
    pd.testing.assert_series_equal(result["v"].loc[7:15].compute(), whole["v"].loc[7:15])


@pytest.mark.parametrize("drop", [True, False])
def test_filters_that_see_the_label_stay_behind_the_sort(sync, drop):
    whole, ddf = frame()
    result = dlsort.set_index(ddf, "k", drop=drop)
    expected = whole.set_index("k", drop=drop).sort_index(kind="stable")
    expected = expected[expected.index > 30]
    by_row = result.apply(lambda row: row.name > 30, axis=1, meta=(None, "bool"))
    pd.testing.assert_frame_equal(result[by_row].compute(), expected)
    pd.testing.assert_frame_equal(result[result.eval("index > 30")].compute(), expected)


@pytest.mark.parametrize(
    "keys",
    [
        [[1, 2], [2, 3], [4, 5]],  # a value in two partitions
        [[4, 5], [1, 2], [7, 8]],
        [[1, None], [2, 3], [4, 5]],
        [[1, 2], [], [3, 4]],
        [[1, 2], [None, None], [3, 4]],
        [[1, 9], [2, 3], [4, 5]],
    ],
)
def test_partitions_not_in_order_are_not_taken_for_it(sync, keys):
    parts = [
        pd.DataFrame({"k": np.array(each, float), "v": each}, dtype=float) for each in keys
    ]
    result = dlsort.set_index(data.frame_of(parts), "k")
    assert any("split" in str(key) for key in result.optimize().__dask_graph__())
    expected = pd.concat(parts).set_index("k").sort_index(kind="stable")
    pd.testing.assert_frame_equal(result.compute(), expected)


def test_files_that_dask_reads_as_one_for_the_sample_are_still_several(tmp_path, sync):
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame({"k": rng.integers(0, 99, 50), **{f"x{j}": 0.0 for j in range(20)}})
        for _ in range(2)
    ]
    for i, part in enumerate(parts):
        part.to_parquet(tmp_path / f"{i}.parquet")
    result = dlsort.set_index(dd.read_parquet(tmp_path), "k")
    assert len(result.divisions) == result.npartitions + 1 == 3
    expected = pd.concat(parts).set_index("k").sort_index(kind="stable")
    pd.testing.assert_frame_equal(result.compute(), expected)


def test_a_heavy_value_does_not_waste_partitions(sync):
    rng = np.random.default_rng(0)
    n = 20_000
    keys = np.where(rng.random(n) < 0.6, 500, rng.integers(0, 1000, n))
    ddf = dd.from_pandas(pd.DataFrame({"k": keys}), npartitions=8, sort=False)
    result = dlsort.set_index(ddf, "k", npartitions=8)
    lengths = result.map_partitions(len).compute().to_numpy()
    heavy = lengths.argmax()
    others = np.delete(lengths, heavy)
    assert result.divisions[heavy] == 500
    assert others.max() <= 1.2 * others.mean()


def test_no_rows_and_no_values(sync):
    whole = pd.DataFrame({"k": [1.0, np.nan], "v": [1, 2]})
    for found in (whole.iloc[:0], whole.assign(k=np.nan)):
        result = dlsort.set_index(data.frame_of([found, found]), "k")
        assert result.divisions[0] is None
        expected = pd.concat([found, found]).set_index("k")
        pd.testing.assert_frame_equal(result.compute(), expected)


def test_nulls_are_in_the_last_partition(sync):
    whole = pd.DataFrame({"k": [3.0, np.nan, 1.0, 2.0, np.nan, 0.0], "v": range(6)})
    result = dlsort.set_index(data.frame_of([whole.iloc[:3], whole.iloc[3:]]), "k")
    assert result.known_divisions
    assert not any(map(pd.isna, result.divisions))
    expected = whole.set_index("k").sort_index(kind="stable")
    pd.testing.assert_frame_equal(result.compute(), expected)
    assert result.partitions[-1].compute().index.isna().sum() == 2


def test_given_divisions_are_taken(sync):
    whole, ddf = frame()
    expected = whole.set_index("k").sort_index(kind="stable")
    for divisions in ([0, 10, 20, 50], (-5, 10, 100), [20, 30]):
        result = dlsort.set_index(ddf, "k", divisions=divisions)
        assert result.divisions == tuple(divisions)
        pd.testing.assert_frame_equal(result.compute(), expected)
        for i, part in enumerate(dask.compute(*result.to_delayed())):
            low = divisions[i] if i else -1000
            high = divisions[i + 1] if i + 2 < len(divisions) else 1000
            assert part.index.to_series().between(low, high, inclusive="left").all()


def test_given_divisions_of_objects(sync):
    whole = pd.DataFrame({"k": pd.Series(list("hgfedcba"), dtype=object), "v": range(8)})
    ddf = data.frame_of([whole.iloc[:3], whole.iloc[3:]])
    result = dlsort.set_index(ddf, "k", divisions=["a", "c", "h"])
    parts = dask.compute(*result.to_delayed())
    assert ["".join(part.index) for part in parts] == ["ab", "cdefgh"]


# ---------------------------------------------------------------- what it takes


def test_a_series_becomes_the_index(sync):
    whole, ddf = frame()
    for other, key in ((ddf["k"] + 1, whole["k"] + 1), (ddf["v"], whole["v"])):
        expected = whole.set_index(key).sort_index(kind="stable")
        pd.testing.assert_frame_equal(dlsort.set_index(ddf, other).compute(), expected)


def test_the_index_itself_changes_nothing(sync):
    _, ddf = frame()
    assert dlsort.set_index(ddf, ddf.index) is ddf
    named = dlsort.set_index(ddf, "k")
    assert dlsort.set_index(named, "k") is named


def test_without_sorting_it_is_dasks_own(sync):
    whole, ddf = frame()
    result = dlsort.set_index(ddf, "k", sort=False)
    pd.testing.assert_frame_equal(result.compute(), whole.set_index("k"))
    result = dlsort.set_index(ddf, "v", sorted=True)
    assert result.known_divisions
    pd.testing.assert_frame_equal(result.compute(), whole.set_index("v"))
    result = dlsort.set_index(ddf, "k", sort=False, append=True)
    assert result.compute().index.nlevels == 2


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ({"other": "x"}, UnknownColumnError, "no column 'x'"),
        ({"other": None}, UnknownColumnError, "no column None"),
        ({"other": np.arange(3)}, BadKeyError, "other is a ndarray; expected"),
        ({"other": ["k", "v"]}, NotImplementedError, "not yet support multi-indexes"),
        ({"other": "k", "append": True}, BadOptionError, "append=True"),
        ({"other": "k", "inplace": True}, BadOptionError, "inplace=True"),
        ({"other": "k", "kind": "stable"}, BadOptionError, "unexpected 'kind'"),
        ({"other": "k", "upsample": 0}, BadOptionError, "upsample is 0"),
        ({"other": "k", "shuffle_method": "x"}, BadOptionError, "shuffle_method is 'x'"),
        ({"other": "k", "npartitions": 2, "sorted": True}, BadOptionError, "Specifying np"),
        ({"other": "k", "divisions": [3, 1]}, BadOptionError, "must be sorted"),
        ({"other": "k", "divisions": [1, 3], "npartitions": 4}, BadOptionError, "one of the t"),
        ({"other": "k", "divisions": 3}, BadOptionError, "divisions is 3; expected a list"),
    ],
)
def test_a_bad_request_is_refused_at_once(args, error, message):
    _, ddf = frame()
    with pytest.raises(error, match=message):
        dlsort.set_index(ddf, **args)


def test_what_pandas_has_no_index_of_is_refused():
    made = pd.DataFrame({"k": np.zeros(1, "float16")})
    with pytest.raises(KeyTypeError, match="no index of float16"):
        dlsort.set_index(data.frame_of([made]), "k")


def test_frames_and_lists_of_series_are_refused():
    _, ddf = frame()
    with pytest.raises(NotImplementedError, match="expected one column"):
        dlsort.set_index(ddf, ddf)
    with pytest.raises(KeyTypeError, match="List"):
        dlsort.set_index(ddf, [ddf["k"], ddf["v"]])
    twice = data.frame_of([pd.DataFrame([[1, 2]], columns=["a", "a"])])
    with pytest.raises(BadKeyError, match="named"):
        dlsort.set_index(twice, "a")


# ---------------------------------------------------------------- lazy

CALLS: list[tuple[int, tuple[str, ...]]] = []
META = pd.DataFrame({"k": np.zeros(0, int), "v": np.zeros(0, int)})


def make(i, columns=("k", "v")):
    CALLS.append((i, tuple(columns)))
    rng = np.random.default_rng(i)
    part = pd.DataFrame({"k": rng.integers(0, 99, 50), "v": np.arange(50) + 50 * i})
    return part[list(columns)]


@pytest.fixture
def source(sync):
    CALLS.clear()
    return dd.from_map(make, range(4), meta=META)


def whole():
    made = pd.concat([make(i) for i in range(4)])
    return made.set_index("k").sort_index(kind="stable")


def test_building_and_looking_reads_nothing(source):
    result = dlsort.set_index(source, "k")
    assert "SetIndex" in repr(result)
    assert "v" in result._repr_html_()
    assert "Dask DataFrame" in repr(result)
    assert result.npartitions == 4
    assert result.columns.tolist() == ["v"]
    assert result.index.name == "k"
    assert not CALLS


def test_divisions_are_learned_once_from_the_sample(source):
    result = dlsort.set_index(source, "k")
    divisions = result.divisions
    assert len(CALLS) == 4
    assert result.divisions == divisions
    assert str(divisions[1]) in repr(result)
    (result + 1).divisions  # noqa: B018 - asks
    dlsort.set_index(source, "k").divisions  # noqa: B018
    assert len(CALLS) == 4
    parts = dask.compute(*result.to_delayed())
    assert len(CALLS) == 8
    check_divisions(parts, divisions)
    pd.testing.assert_frame_equal(pd.concat(parts), whole())


def test_it_survives_being_sent(source):
    result = pickle.loads(pickle.dumps(dlsort.set_index(source, "k")))
    pd.testing.assert_frame_equal(result.compute(), whole())
    assert type(result).__name__ == "DataFrame"


def test_what_is_chosen_afterwards_is_read_alone(tmp_path, sync):
    made = pd.DataFrame({"k": [3, 1, 2], "v": [1, 2, 3], "w": [4, 5, 6]})
    made.to_parquet(tmp_path / "x.parquet")
    result = dlsort.set_index(dd.read_parquet(tmp_path), "k")["v"]
    read = [e.columns for e in data.walk(result) if "Parq" in str(type(e))]
    assert read == [["k", "v"]]
    assert result.compute().tolist() == [2, 3, 1]


def test_columns_chosen_afterwards_do_not_make_it_learn_again(source):
    result = dlsort.set_index(source, "v")
    divisions = result.divisions
    chosen = result["k"]
    assert chosen.divisions == divisions
    assert len(CALLS) == 4
    assert chosen.optimize().divisions == divisions
    assert len(CALLS) == 4


def test_a_series_as_the_index_lets_columns_be_chosen_before(tmp_path, sync):
    made = pd.DataFrame({"k": [3, 1, 2], "v": [1, 2, 3], "w": [4, 5, 6]})
    made.to_parquet(tmp_path / "x.parquet")
    ddf = dd.read_parquet(tmp_path)
    result = dlsort.set_index(ddf, ddf["k"])["v"]
    read = [e.columns for e in data.walk(result) if "Parq" in str(type(e))]
    assert all("w" not in columns for columns in read)
    assert result.compute().tolist() == [2, 3, 1]
    with pytest.raises(BadKeyError, match=r"other partitions \(2\) than the frame \(1\)"):
        dlsort.set_index(ddf, frame(n_parts=2)[1]["k"])


def test_filters_go_before_the_sort(source):
    result = dlsort.set_index(source, "k")
    result = result[result["v"] > 100]
    assert type(result.optimize(fuse=False).expr).__name__ == "Exchanged"
    pd.testing.assert_frame_equal(result.compute(), whole().query("v > 100"))


def test_known_divisions_hold_for_what_is_made_of_it(source):
    result = dlsort.set_index(source, "k")
    divisions = result.divisions
    chosen = result[result["v"] > 20].partitions[1]
    found = chosen.compute()
    assert found.index.min() >= divisions[1]
    assert found.index.max() < divisions[2]


def test_the_first_and_last_rows_need_no_exchange(source):
    result = dlsort.set_index(source, "k")
    graph = result.head(3, compute=False).optimize().__dask_graph__()
    assert not any("split" in str(key) for key in graph)
    pd.testing.assert_frame_equal(result.head(3), whole().head(3))
    pd.testing.assert_frame_equal(result.tail(3), whole().tail(3))


def test_an_asynchronous_client_learns_with_the_sort():
    async def sort():
        async with (
            LocalCluster(
                n_workers=2,
                processes=False,
                asynchronous=True,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            ) as cluster,
            Client(cluster, asynchronous=True) as client,
        ):
            made, ddf = frame(seed=9)  # that no other test has learned of
            result = dlsort.set_index(ddf, "k")
            assert not result.known_divisions
            found = await client.compute(result)
            expected = made.set_index("k").sort_index(kind="stable")
            pd.testing.assert_frame_equal(found, expected)
            up = await client.compute(dlsort.sort_values(ddf, "k"))
            pd.testing.assert_frame_equal(up, made.sort_values("k", kind="stable"))

    asyncio.run(sort())


# ---------------------------------------------------------------- what needs divisions


def events(n=200, n_parts=4):
    rng = np.random.default_rng(1)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10_000, n), "s")
    made = pd.DataFrame({"at": at, "v": rng.normal(size=n)})
    ddf = dd.from_pandas(made, npartitions=n_parts, sort=False)
    return made.set_index("at").sort_index(kind="stable"), dlsort.set_index(ddf, "at")


def test_loc(run):
    with where_it_runs(run):
        expected, indexed = events()
        middle = expected.index[100]
        pd.testing.assert_frame_equal(indexed.loc[middle:].compute(), expected.loc[middle:])
        pd.testing.assert_frame_equal(indexed.loc[:middle].compute(), expected.loc[:middle])
        pd.testing.assert_frame_equal(indexed.loc[[middle]].compute(), expected.loc[[middle]])


def test_time_series(run):
    with where_it_runs(run):
        expected, indexed = events()
        pd.testing.assert_frame_equal(
            indexed.resample("10min").sum().compute(),
            expected.resample("10min").sum(),
            check_freq=False,
        )
        pd.testing.assert_frame_equal(
            indexed.rolling("5min").mean().compute(), expected.rolling("5min").mean()
        )
        pd.testing.assert_frame_equal(
            indexed.map_overlap(lambda f: f.diff(), 1, 0).compute(), expected.diff()
        )
        pd.testing.assert_frame_equal(indexed.shift(1).compute(), expected.shift(1))


@pytest.mark.filterwarnings("ignore:The 'lsuffix'")  # Dask's join
def test_joins_by_the_index(run):
    with where_it_runs(run):
        one, ddf_one = frame(seed=1)
        two, ddf_two = frame(n=60, n_parts=3, seed=2)
        left, right = dlsort.set_index(ddf_one, "k"), dlsort.set_index(ddf_two, "k")
        found = left.join(right, rsuffix="_r", how="inner").compute()
        expected = one.set_index("k").join(two.set_index("k"), rsuffix="_r", how="inner")
        by = ["k", "v", "v_r"]
        pd.testing.assert_frame_equal(
            found.reset_index().sort_values(by, ignore_index=True),
            expected.reset_index().sort_values(by, ignore_index=True),
        )
        unique = dlsort.set_index(ddf_two.drop_duplicates("k"), "k")
        asof = dd.merge_asof(left, unique, left_index=True, right_index=True).compute()
        expected = pd.merge_asof(
            one.set_index("k").sort_index(kind="stable"),
            two.drop_duplicates("k").set_index("k").sort_index(),
            left_index=True,
            right_index=True,
        )
        pd.testing.assert_frame_equal(asof, expected)
