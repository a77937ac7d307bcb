"""An exchange laid over a Dask frame, with a split that knows nothing of sorting."""

from __future__ import annotations

import pickle
import weakref

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask._collections import new_collection
from distributed import Client, LocalCluster

from dlsort_cluster.exchange import ExchangeError, Slot, Split
from dlsort_cluster.frames.apart import Apart, apart
from dlsort_cluster.frames.expression import exchange_frame
from dlsort_cluster.frames.learn import find, known, learn

META = pd.DataFrame({"k": np.zeros(0, int), "v": np.zeros(0, int)})


def make(i: int) -> pd.DataFrame:
    return pd.DataFrame({"k": np.arange(10) * (i + 1) % 7, "v": np.arange(10) + 10 * i})


def shift(part: pd.DataFrame, by: int = 1) -> pd.DataFrame:
    return part + by


def largest(part: pd.DataFrame, i: int) -> tuple[int, int]:
    assert list(part.columns) == ["k"]
    return i, part["k"].max()


def largest_of_files(reads, i):
    return largest(reads.read(reads.row_groups()), i)


def over_all(found: list[tuple[int, int]]) -> int:
    assert [i for i, _ in found] == list(range(len(found)))
    return max(value for _, value in found)


def split(part: pd.DataFrame, top: int, input_id: int) -> Split:
    """Deal rows out by key: the largest of all goes to partition 0."""
    where = (top - part["k"].to_numpy()) % 4
    order = np.argsort(where, kind="stable")
    starts = np.searchsorted(where[order], np.arange(5))
    rows = part.iloc[order]
    return Split(pa.table({"k": rows["k"].to_numpy(), "v": rows["v"].to_numpy()}), starts)


def merge(shards: list[pa.Table], top: int, slot: Slot) -> pd.DataFrame:
    rows = pa.concat_tables(shards.read_all()).to_pandas()
    assert ((top - rows["k"]) % 4 == slot.part).all()
    return rows


def learned(ddf: dd.DataFrame, *, ahead: bool = False):
    branch = ddf[["k"]].expr
    tasks = {"each": largest, "each_parquet": largest_of_files, "together": over_all}
    return learn(ddf.expr, branch, **tasks, ahead=ahead)


def exchanged(ddf: dd.DataFrame, context=None, **kwargs) -> dd.DataFrame:
    context = learned(ddf) if context is None else context
    options = {"split": split, "merge": merge, "n_parts": 4, "meta": META, **kwargs}
    return new_collection(exchange_frame(ddf.expr, context, **options))


@pytest.fixture(scope="module", params=["local", "client"])
def engine(request):
    if request.param == "local":
        with dask.config.set(scheduler="sync"):
            yield "taskgraph"
        return
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster),
    ):
        yield "p2p"


@pytest.fixture
def ddf():
    return dd.from_map(make, range(5), meta=META)


def rows_of(parts) -> list[int]:
    return sorted(v for part in parts for v in part["v"])


def test_every_row_arrives_once_and_in_input_order(ddf, engine):
    result = exchanged(ddf).optimize()
    assert result.expr._plain_transfer.engine == engine
    parts = dask.compute(*result.to_delayed())
    assert len(parts) == result.npartitions == 4
    assert rows_of(parts) == list(range(50))
    assert all(part["v"].is_monotonic_increasing for part in parts)


def test_only_what_is_asked_for_is_exchanged(ddf, engine):
    whole = dask.compute(*exchanged(ddf).to_delayed())
    some = exchanged(ddf).partitions[[3, 0, 3]].optimize()
    assert some.expr._plain_transfer.parts == [0, 3]
    for part, index in zip(dask.compute(*some.to_delayed()), (3, 0, 3), strict=True):
        pd.testing.assert_frame_equal(part, whole[index])


def test_an_exchange_of_what_was_exchanged(ddf, engine):
    parts = dask.compute(*exchanged(exchanged(ddf).map_partitions(shift)).to_delayed())
    assert rows_of(parts) == list(range(1, 51))


def test_one_partition(engine):
    parts = dask.compute(*exchanged(dd.from_map(make, [0], meta=META)).to_delayed())
    assert rows_of(parts) == list(range(10))


def test_a_frame_with_a_second_reader_is_right_too(ddf, engine):
    shifted = ddf.map_partitions(shift)
    both = exchanged(shifted)["v"].sum() + shifted["v"].sum()
    assert both.compute() == 2 * sum(range(1, 51))


def test_a_task_is_named_after_what_makes_its_partition(engine):
    made = dd.from_map(make, range(5), meta=META).map_partitions(shift, meta=META)
    graph = exchanged(made).optimize().__dask_graph__()
    names = {key[0] for key in graph if isinstance(key, tuple)}
    for prefix in ("dlsort_sample-", "dlsort_split-"):
        assert any(name.startswith(prefix) and "shift" in name for name in names), names


def test_branches_share_no_partition_wise_task(ddf):
    chain = ddf.map_partitions(shift).map_partitions(shift, 2)
    branch = apart(chain[["k"]].expr, chain.expr)
    here = {expr._name for expr in chain.expr.walk()}
    assert not here & {expr._name for expr in branch.walk()}
    part = dask.compute(new_collection(branch), scheduler="sync")[0]
    expected = chain[["k"]].compute(scheduler="sync")
    pd.testing.assert_frame_equal(part, expected)


def test_branches_share_what_is_not_made_partition_by_partition(ddf):
    shuffled = ddf.shuffle("k")
    chain = shuffled.map_partitions(shift)
    branch = apart(chain.expr, chain.expr)
    assert {e._name for e in branch.walk()} & {e._name for e in chain.expr.walk()} == {
        e._name for e in shuffled.expr.walk()
    }


def test_a_context_learned_ahead_is_a_constant_of_the_graph(engine):
    ddf = dd.from_map(make, range(3), meta=META)
    top = find(learned(ddf, ahead=True))
    assert top == 6
    result = exchanged(ddf, known(top, "a token"), divisions=(0, 1, 2, 3, 4))
    assert result.divisions == (0, 1, 2, 3, 4)
    assert not any("sample" in str(key) for key in result.optimize().__dask_graph__())
    parts = dask.compute(*result.to_delayed())
    plain = dask.compute(*exchanged(ddf).to_delayed())
    for part, other in zip(parts, plain, strict=True):
        pd.testing.assert_frame_equal(part, other)
    assert result.partitions[[1, 2]].divisions == (1, 2, 3)


def test_an_engine_that_can_not_run_is_refused():
    ddf = dd.from_map(make, range(3), meta=META)
    with (
        dask.config.set(scheduler="sync"),
        pytest.raises(ExchangeError, match="create one, or leave the choice"),
    ):
        exchanged(ddf, engine="p2p")


class Dropped(weakref.WeakValueDictionary):
    """Expressions of which the last one goes as soon as it has been looked for."""

    def __contains__(self, name):
        there = super().__contains__(name)
        self.pop(name, None)
        return there


def test_an_expression_that_goes_while_it_is_looked_up_is_made_again(monkeypatch):
    before = Apart(dd.from_pandas(META, npartitions=1).expr)
    instances = Dropped(before._instances)
    monkeypatch.setattr(type(before), "_instances", instances, raising=False)
    again = pickle.loads(pickle.dumps(before))
    assert again._name == before._name
    assert instances[before._name] is again
