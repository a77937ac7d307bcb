"""An input that is made twice, for the sample and for the sort, is told of once."""

from __future__ import annotations

import warnings
from collections import Counter, OrderedDict
from pathlib import Path

import dask
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import wait

import dlsort
import frame_data as data
from dlsort import ComputedTwiceWarning
from dlsort.frames import notices
from dlsort.frames import set_index as frame_set_index

CALLS: Counter[int] = Counter()
FRAME = pd.DataFrame({"k": np.arange(40) * 7 % 20, "v": np.arange(40)})
META = FRAME.iloc[:0]

pytestmark = pytest.mark.filterwarnings("error::dlsort.ComputedTwiceWarning")


@pytest.fixture(autouse=True)
def nothing_was_told(monkeypatch):
    monkeypatch.setattr(notices, "_told", set())
    monkeypatch.setattr(frame_set_index, "_learned", OrderedDict())
    CALLS.clear()


@pytest.fixture(autouse=True)
def here():
    with dask.config.set(scheduler="sync"):
        yield


# ---------------------------------------------------------------- what counts its calls


def make(i: int) -> pd.DataFrame:
    CALLS[i] += 1
    return FRAME.iloc[10 * i : 10 * i + 10]


def work(part: pd.DataFrame) -> pd.DataFrame:
    if len(part):
        CALLS[int(part["v"].iloc[0]) // 10] += 1
    return part


def at_hand() -> dd.DataFrame:
    return dd.from_pandas(FRAME, npartitions=4, sort=False)


def records(i: int) -> list[dict[str, int]]:
    return make(i).to_dict("records")


COUNTED = {
    "from_map": lambda: dd.from_map(make, range(4), meta=META),
    "columns that come after": lambda: dd.from_map(make, range(4), meta=META).assign(w=7),
    "from_delayed": lambda: dd.from_delayed(
        [dask.delayed(make)(i) for i in range(4)], meta=META
    ),
    "map_partitions": lambda: at_hand().map_partitions(work, meta=META),
    "map_overlap": lambda: at_hand().map_overlap(work, 0, 0, meta=META),
    "a bag": lambda: db.from_sequence(range(4)).map(records).flatten().to_dataframe(META),
    "a shuffle": lambda: dd.from_map(make, range(4), meta=META).shuffle("v"),
    "a join": lambda: dd.from_map(make, range(4), meta=META).merge(FRAME[["v"]], on="v"),
}


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("door", [dlsort.sort_values, dlsort.set_index])
def test_what_is_computed_twice_is_told(door, name):
    ddf = COUNTED[name]()
    CALLS.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        got = data.run_locally("sync")(door(ddf, "k"))
    assert sum(map(len, got)) == 40
    categories = [each.category for each in told]
    assert CALLS.keys() == set(range(4))
    assert categories == ([ComputedTwiceWarning] if max(CALLS.values()) > 1 else [])
    # What Dask can't make partition by partition is made once for both, in one graph.
    is_once = door is dlsort.sort_values and name in {
        *("from_delayed", "a bag", "a shuffle", "a join")
    }
    assert max(CALLS.values()) == (1 if is_once else 2)


def of_parquet(tmp_path: Path) -> dd.DataFrame:
    FRAME.to_parquet(tmp_path / "a.parquet", row_group_size=10)
    return dd.read_parquet(tmp_path, split_row_groups=True)


def filtered(ddf: dd.DataFrame) -> dd.DataFrame:
    return ddf[ddf.v > 3]


CHEAP = {
    "pandas": lambda _: at_hand(),
    "an array": lambda _: dd.from_array(FRAME.to_numpy(), columns=["k", "v"], chunksize=10),
    "parquet": of_parquet,
    "parquet, filtered": lambda path: filtered(of_parquet(path)),
    "parquet, not row by row": lambda path: of_parquet(path).dropna(),
    "columns of pandas": lambda _: at_hand().assign(w=lambda ddf: ddf.k + np.sqrt(ddf.v)),
    "persisted": lambda _: COUNTED["from_map"]().persist(),
    "persisted, filtered": lambda _: (lambda ddf: ddf[ddf.v > 3])(
        COUNTED["a join"]().persist()
    ),
    "pandas, in other partitions": lambda _: at_hand().repartition(npartitions=2),
}


@pytest.mark.parametrize("name", CHEAP)
def test_nothing_is_told_of_what_costs_little(name, tmp_path):
    ddf = CHEAP[name](tmp_path)
    CALLS.clear()
    for door in (dlsort.sort_values, dlsort.set_index):
        data.run_locally("sync")(door(ddf, "k"))
    assert not CALLS


@pytest.mark.parametrize("door", [dlsort.sort_values, dlsort.set_index])
def test_nothing_is_told_of_what_a_cluster_holds(door):
    with data.two_workers() as client, dask.config.set(scheduler=None):
        held = COUNTED["from_map"]().persist()
        # Before Python 3.12 Dask's scheduler, which lays the tasks in a thread of this
        # process, and we would wait for locks of cached properties that the other has.
        wait(held)
        data.run_on_cluster(door(held, "k"))
        futures = client.scatter([FRAME, FRAME])
        data.run_on_cluster(door(dd.from_delayed(futures, meta=META), "k"))


def test_a_key_function_is_no_input():
    data.run_locally("sync")(dlsort.sort_values(at_hand(), "k", key=lambda values: -values))


def test_it_is_told_when_it_is_computed_and_only_once():
    ddf = COUNTED["from_map"]()
    by_value, by_index = dlsort.sort_values(ddf, "k"), dlsort.set_index(ddf, "v")
    for result in (by_value, by_index):
        assert "k" in repr(result) or "v" in repr(result)
        assert result.npartitions == 4
    by_value.head(3)
    with pytest.warns(ComputedTwiceWarning, match=r"'make' can't be .*persist\(\)") as told:
        assert by_index.divisions[0] == 0
    assert [each.filename for each in told] == [__file__]
    by_index.compute()
    by_value.compute()


def test_divisions_that_are_given_need_no_sample():
    result = dlsort.set_index(COUNTED["from_map"](), "k", divisions=[0, 10, 19])
    assert len(result.compute()) == 40
    assert set(CALLS.values()) == {1}


def test_a_program_can_leave_it_out():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dlsort.DlsortWarning)
        dlsort.sort_values(COUNTED["from_map"](), "k").compute()
