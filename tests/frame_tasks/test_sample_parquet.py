"""The sample of a Dask frame that is read from Parquet: a few row groups of every partition."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from unittest.mock import patch

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlsort
import frame_data as data
from dlsort.frame_tasks import sample as frame_sample
from dlsort.tuning import TUNING, FrameTuning, SampleTuning, Tuning
from dlsort_cluster.frames.parquet import PartitionReads
from tuning_kit import tuned

N_ROWS, GROUP_ROWS = 20_000, 1_000  # of a file, of a row group

both_readers = pytest.mark.parametrize("filesystem", ["fsspec", "arrow"])


def write(folder, frames, group_rows=GROUP_ROWS, **kwargs):
    for i, frame in enumerate(frames):
        frame.to_parquet(folder / f"{i:02}.parquet", row_group_size=group_rows, **kwargs)
    return pd.concat(frames)


def read(folder, filesystem="fsspec", **kwargs):
    """Return the files as a frame, in the order of their names."""
    kwargs["filesystem"] = pyarrow.fs.LocalFileSystem() if filesystem == "arrow" else filesystem
    return dd.read_parquet(sorted(map(str, folder.iterdir())), **kwargs)


def numbers(n_files=4, seed=0):
    """Return files with a key in no order, one in order, and a payload."""
    rng = np.random.default_rng(seed)
    return [
        pd.DataFrame(
            {
                "mixed": rng.integers(0, 10**9, N_ROWS),
                "time": pd.date_range("2020", periods=N_ROWS, freq="s") + pd.Timedelta(days=i),
                "text": rng.integers(0, 500, N_ROWS).astype(str),
                "row": np.arange(i * N_ROWS, (i + 1) * N_ROWS),
            }
        )
        for i in range(n_files)
    ]


@pytest.fixture
def watched():
    """Count the row groups that are read for samples, by what was asked for."""
    seen = []
    some, every = PartitionReads.read, PartitionReads.read_all

    def read(self, groups):
        seen.append(len(groups))
        return some(self, groups)

    def read_all(self):
        seen.append("all")
        return every(self)

    with (
        patch.object(PartitionReads, "read", read),
        patch.object(PartitionReads, "read_all", read_all),
    ):
        yield seen


@pytest.fixture(autouse=True)
def few_threads():
    with dask.config.set(scheduler="sync", **{"dataframe.parquet.minimum-partition-size": 1}):
        yield


def rows_of(result):
    parts = dask.compute(*result.to_delayed(optimize_graph=True))
    return [part["row"].tolist() for part in parts]


def check(result, expected, bound=1.15):
    parts = rows_of(result)
    assert len(parts) == result.npartitions
    assert [row for part in parts for row in part] == expected["row"].tolist()
    assert max(map(len, parts)) <= bound * len(expected) / len(parts)


@both_readers
def test_a_few_row_groups_of_every_partition_are_read(tmp_path, filesystem, watched):
    whole = write(tmp_path, numbers())
    ddf = read(tmp_path, filesystem=filesystem)
    with patch.object(frame_sample, "rows_needed", lambda n_parts, balance: 2_000 * n_parts):
        check(dlsort.sort_values(ddf, "mixed"), whole.sort_values("mixed", kind="stable"))
    assert watched == [4] * 4


@both_readers
def test_as_many_rows_are_read_as_are_drawn(tmp_path, filesystem, watched):
    whole = write(tmp_path, numbers())
    ddf = read(tmp_path, filesystem=filesystem)
    check(dlsort.sort_values(ddf, "mixed"), whole.sort_values("mixed", kind="stable"))
    drawn = TUNING.frames.oversample * frame_sample.rows_needed(4, TUNING.sample.balance) / 4
    assert watched == [np.ceil(drawn / GROUP_ROWS)] * 4


@both_readers
@pytest.mark.parametrize("by", ["time", ["time", "mixed"]])
def test_row_groups_in_order_are_all_read(tmp_path, filesystem, by, watched):
    whole = write(tmp_path, numbers())
    ddf = read(tmp_path, filesystem=filesystem)
    check(dlsort.sort_values(ddf, by), whole.sort_values(by, kind="stable"))
    assert watched == ["all"] * 4


def test_row_groups_that_only_seem_mixed_are_all_read(tmp_path, watched):
    frames = numbers()
    for frame in frames:
        frame["mixed"] = np.sort(frame["mixed"])
        frame.loc[::GROUP_ROWS, "mixed"] = 0
        frame.loc[1::GROUP_ROWS, "mixed"] = 10**9
    whole = write(tmp_path, frames)
    check(
        dlsort.sort_values(read(tmp_path), "mixed"),
        whole.sort_values("mixed", kind="stable"),
    )
    assert watched[1::2] == ["all"] * 4
    assert "all" not in watched[::2]


@both_readers
def test_filters_and_computed_columns_come_before_the_sample(tmp_path, filesystem, watched):
    whole = write(tmp_path, numbers())
    ddf = read(tmp_path, filesystem=filesystem)
    for frame, expected in (
        (ddf[ddf.mixed % 3 == 0], whole[whole.mixed % 3 == 0]),
        (ddf[ddf.mixed > 10**8], whole[whole.mixed > 10**8]),
        (ddf[ddf.mixed < 0], whole[whole.mixed < 0]),
        (ddf.assign(mixed=-ddf.mixed), whole.assign(mixed=-whole.mixed)),
        (
            ddf.rename(columns={"mixed": "old", "row": "mixed", "text": "row"}),
            whole.rename(columns={"mixed": "old", "row": "mixed", "text": "row"}),
        ),
    ):
        watched.clear()
        with patch.object(
            frame_sample, "rows_needed", lambda n_parts, balance: 2_000 * n_parts
        ):
            check(
                dlsort.sort_values(frame, "mixed"),
                expected.sort_values("mixed", kind="stable"),
                1.3,
            )
        assert watched[0] in (2, 3, 4)


def test_what_depends_on_other_rows_is_read_whole(tmp_path, watched):
    whole = write(tmp_path, [pd.DataFrame({"x": [3, 1, 2, 1], "row": range(4)})] * 2, 1)
    ddf = read(tmp_path)
    result = dlsort.sort_values(ddf.assign(x=ddf.x.cumsum()), "x")
    expected = whole.assign(x=whole.x.cumsum()).sort_values("x", kind="stable")
    check(result, expected, np.inf)
    frame = ddf.map_partitions(
        lambda part: part.assign(x=part.x.rank().astype(int)), meta=ddf._meta
    )
    rows_of(dlsort.sort_values(frame, "x"))
    assert not watched


def test_objects_and_categories_are_read_whole(tmp_path, watched):
    frame = pd.DataFrame(
        {
            "bytes": [None, None, b"b", b"a"],
            "decimal": [Decimal(1), Decimal(2), Decimal("-10.5"), None],
            "date": [dt.date(2020, 1, d) for d in (4, 3, 2, 1)],
            "category": pd.Categorical(["b", "a", "c", "b"]),
            "row": range(4),
        }
    )
    write(tmp_path, [frame], 1)
    with dask.config.set({"dataframe.convert-string": False}):
        ddf = read(tmp_path, categories=["category"])
        assert ddf.dtypes.map(str).tolist()[:3] == ["object"] * 3
        for by in frame.columns[:-1]:
            check(dlsort.sort_values(ddf, by), frame.sort_values(by, kind="stable"))
    assert watched == ["all"] * 4


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # Dask's own
@both_readers
@pytest.mark.parametrize("index", ["stored", "numbered"])
def test_the_index_is_the_key(tmp_path, filesystem, index, watched):
    frames = [frame.set_index("mixed") for frame in numbers(2)]
    if index == "numbered":
        frames = [frame.reset_index(drop=True) for frame in frames]
    whole = write(tmp_path, frames)
    ddf = read(tmp_path, filesystem=filesystem)
    there = ddf.compute()
    result = dlsort.sort_index(ddf, ascending=False)
    check(result, there.sort_index(ascending=False, kind="stable"))
    assert len(whole) == len(there)


# ---------------------------------------------------------------- divisions


@both_readers
def test_divisions_are_those_of_all_rows(tmp_path, filesystem, watched):
    frames = numbers()
    frames[1].loc[N_ROWS - 1, "mixed"] = -5
    frames[2].loc[777, "mixed"] = 2 * 10**9
    whole = write(tmp_path, frames)
    ddf = read(tmp_path, filesystem=filesystem)
    with patch.object(frame_sample, "rows_needed", lambda n_parts, balance: 2_000 * n_parts):
        result = dlsort.set_index(ddf, "mixed")
        assert result.divisions[0] == -5
        assert result.divisions[-1] == 2 * 10**9
    assert "all" not in watched
    assert max(watched) < N_ROWS / GROUP_ROWS
    check(result, whole.sort_values("mixed", kind="stable"))


@pytest.mark.parametrize("nulls", ["a few", "row groups", "a file"])
def test_nulls_are_known_of_row_groups_that_are_not_read(tmp_path, nulls):
    frames = [frame.astype({"mixed": "Int64"}) for frame in numbers()]
    rows = {"a few": [5], "row groups": range(3_000), "a file": range(N_ROWS)}[nulls]
    frames[2].loc[list(rows), "mixed"] = pd.NA
    whole = write(tmp_path, frames)
    with patch.object(frame_sample, "rows_needed", lambda n_parts, balance: 500 * n_parts):
        result = dlsort.set_index(read(tmp_path, dtype_backend="numpy_nullable"), "mixed")
        check(result, whole.sort_values("mixed", kind="stable"), np.inf)
    assert result.divisions[0] == whole["mixed"].min()
    assert result.divisions[-1] == whole["mixed"].max()


@pytest.mark.parametrize("kind", ["uint64", "float64", "str"])
def test_where_footers_may_not_tell_the_ends_all_is_read(tmp_path, kind, watched):
    frames = [frame.assign(mixed=frame["mixed"].astype(kind)) for frame in numbers(2)]
    whole = write(tmp_path, frames)
    result = tuned(dlsort.set_index(read(tmp_path), "mixed"), LARGE)
    assert result.divisions[0] == whole["mixed"].min()
    assert watched == ["all"] * 2


@both_readers
def test_files_in_order_keep_their_partitions(tmp_path, filesystem):
    whole = write(tmp_path, numbers(9))
    ddf = read(tmp_path, filesystem=filesystem)[["time", "row"]]
    result = dlsort.set_index(ddf, "time")
    days = whole["time"].iloc[::N_ROWS].tolist()
    assert list(result.divisions) == [*days, whole["time"].iloc[-1]]
    check(result, whole)
    assert rows_of(result.partitions[7:]) == [frame["row"].tolist() for frame in numbers(9)[7:]]
    third = result.loc[days[3] : days[4] - pd.Timedelta(seconds=1)]
    assert third.compute()["row"].tolist() == numbers(9)[3]["row"].tolist()


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # Dask's own
@both_readers
def test_a_nested_column_of_the_same_path_is_another(tmp_path, filesystem):
    frames = numbers(3)
    frames[0].loc[15_100, "mixed"] = 2 * 10**9
    for i, frame in enumerate(frames):
        inner = pa.StructArray.from_arrays([pa.array(frame["row"] % 9)], ["b"])
        table = pa.table({"a": inner, "a.b": frame["mixed"], "row": frame["row"]})
        pq.write_table(table, tmp_path / f"{i}.parquet", row_group_size=300)
    whole = pd.concat(frames)
    with patch.object(frame_sample, "rows_needed", lambda n_parts, balance: 500 * n_parts):
        ddf = read(tmp_path, filesystem=filesystem)[["a.b", "row"]]
        result = dlsort.set_index(ddf, "a.b")
        assert result.divisions[-1] == 2 * 10**9
        check(result, whole.sort_values("mixed", kind="stable"), np.inf)


def test_rows_that_are_numbered_file_by_file_are_so_wherever_they_are_read(tmp_path):
    write(tmp_path, numbers(5))
    ddf = read(tmp_path, filesystem="arrow")
    result = dlsort.sort_index(ddf)
    parts = dask.compute(*result.to_delayed())
    assert max(map(len, parts)) < 1.15 * N_ROWS
    firsts = [part.index[0] for part in parts]
    assert list(result.divisions) == [*firsts, N_ROWS - 1]
    assert len(result.loc[N_ROWS // 2].compute()) == 5


def test_filters_that_leave_nothing(tmp_path):
    write(tmp_path, numbers(2))
    ddf = read(tmp_path, filters=[("mixed", ">", 10**10)])
    assert dlsort.sort_values(ddf, "time").compute().columns.tolist() == list(ddf.columns)
    assert len(dlsort.sort_values(ddf, "time")[["row"]].compute()) == 0
    assert len(dlsort.set_index(ddf, "time").compute()) == 0


# ---------------------------------------------------------------- large sources


LARGE = Tuning(sample=SampleTuning(large_bytes=1))


@pytest.mark.parametrize("by", ["time", "mixed", "text"])
def test_of_a_large_source_a_tenth_is_read(tmp_path, by, watched):
    whole = write(tmp_path, numbers(40))
    ddf = read(tmp_path)
    result = tuned(dlsort.sort_values(ddf, by), LARGE)
    check(result, whole.sort_values(by, kind="stable"))
    assert sum(watched) <= 0.1 * 40 * N_ROWS / GROUP_ROWS


def test_partitions_that_are_not_read_borrow_keys(tmp_path, watched):
    """Each file is one row group: no tenth of it can be read."""
    whole = write(tmp_path, numbers(40), N_ROWS)
    ddf = read(tmp_path)
    tuning = dataclasses.replace(LARGE, frames=FrameTuning(fewest_partitions=8))
    result = tuned(dlsort.sort_values(ddf, "time"), tuning)
    check(result, whole.sort_values("time", kind="stable"))
    assert len(watched) <= 16
    assert set(watched) == {"all"}


def test_a_large_source_whose_divisions_are_wanted(tmp_path, watched):
    whole = write(tmp_path, numbers(6))
    result = tuned(dlsort.set_index(read(tmp_path), "mixed"), LARGE)
    assert result.divisions[0] == whole["mixed"].min()
    check(result, whole.sort_values("mixed", kind="stable"))


# ---------------------------------------------------------------- anything

# What Parquet has no type for, or pandas does not read back; categories are each file's own.
NOT_STORED = (
    *("object", "sparse", "period", "category", "float16", "arrow halffloat"),
    *("arrow dictionary", "arrow fixed_size_binary", "arrow time32", "arrow null"),
)
STORED = [n for n in data.KEYS if n not in data.VIEWS and not n.startswith(NOT_STORED)]


@st.composite
def datasets(draw):
    keys = draw(st.lists(st.sampled_from(STORED), min_size=1, max_size=2))
    lengths = draw(st.lists(st.integers(0, 60), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    parts = data.partitions(rng, keys, lengths)
    if draw(st.booleans()):
        by_first = {"by": [parts[0].columns[0]], "ascending": True, "na_position": "last"}
        parts = [part.iloc[data.order_of(part, **by_first)] for part in parts]
    by = [f"c{i} {name}" for i, name in enumerate(keys)]
    return [part.reset_index(drop=True) for part in parts], by, draw(st.integers(1, 20))


@settings(
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    dataset=datasets(),
    filesystem=st.sampled_from(["fsspec", "arrow"]),
    ascending=st.booleans(),
    na_position=st.sampled_from(["first", "last"]),
    n_sampled=st.sampled_from([1, 20, 1000]),
    large=st.booleans(),
    filtered=st.booleans(),
)
def test_no_difference_from_pandas(
    tmp_path_factory,
    dataset,
    filesystem,
    ascending,
    na_position,
    n_sampled,
    large,
    filtered,
):
    parts, by, group_rows = dataset
    folder = tmp_path_factory.mktemp("files")
    for i, part in enumerate(parts):
        table = pa.Table.from_pandas(part)
        # Dask reads all statistics with that reader, and Python has no year above 9999.
        statistics = filesystem == "fsspec"
        pq.write_table(
            table,
            folder / f"{i}.parquet",
            row_group_size=group_rows,
            write_statistics=statistics,
        )
    # That reader ignores what pandas wrote beside the columns of their dtypes.
    backend = {"dtype_backend": "numpy_nullable"} if filesystem == "arrow" else {}
    ddf = read(folder, filesystem=filesystem, **backend)
    if filtered:
        ddf = ddf[ddf["row"] % 3 > 0]
    whole = pd.concat(dask.compute(*ddf.to_delayed(optimize_graph=False)))
    expected = whole["row"].iloc[
        data.order_of(whole, by, ascending=ascending, na_position=na_position)
    ]
    tuning = Tuning(sample=SampleTuning(large_bytes=1 if large else 2**40))
    with patch.object(frame_sample, "rows_needed", lambda n_parts, balance: n_sampled):
        result = dlsort.sort_values(ddf, by, ascending=ascending, na_position=na_position)
        result = tuned(result, tuning)
        got = dask.compute(*result.to_delayed())
    assert [row for part in got for row in part["row"]] == expected.tolist()
