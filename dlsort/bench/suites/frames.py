"""The suite ``frames``: persist → sort_values → persist on a Dask cluster, by dlsort and Dask.

The input is persisted once, in columns of Arrow's dtypes: Dask sorts decimals that are Python
objects as text.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.bench.engines import Outcome, Work, said
from dlsort.bench.inputs import MADE, make_once, write_made
from dlsort.bench.rounds import Take, Turn
from dlsort.bench.suites.race import Asked, Race
from dlsort.bench.suites.sort import measured_size, work_of_data
from dlsort.bench.suites.usage import with_usage
from dlsort.bench.watch import SAMPLE_S, watch
from dlsort.errors import BadOptionError
from dlsort.io.storage import open_to_read
from dlsort.keys import format_by
from dlsort.proof.checksum import Proof, prove, total
from dlsort.tuning import TUNING
from dlsort_cluster.peer import collect, persisted, plain_cluster

__all__ = ["SORTS", "frames_suite", "persist_files", "summaries", "take_turn", "verdict"]

Sort = Callable[[Any, list[str]], Any]

NOTES = (
    "The input is persisted once, and sorted by each in turn into a persisted frame. Before "
    "each turn the workers free what the one before has left.",
    "Columns have Arrow's dtypes: Dask sorts decimals that are Python objects as text.",
    "Row count, a checksum of all rows and the order of each result were checked outside the "
    "time.",
)
_SETTLE_S = 1.0  # until the workers have given back what they freed


def _by_dlsort(frame: Any, by: list[str]) -> Any:
    from dlsort.frames.methods import sort_values

    return sort_values(frame, by)


def _by_dask(frame: Any, by: list[str]) -> Any:
    return frame.sort_values(by)


SORTS: dict[str, Sort] = {"dlsort": _by_dlsort, "dask": _by_dask}


class Summary(NamedTuple):
    """What a partition holds: rows and their checksum, first and last key, and its order."""

    proof: Proof
    first: Any
    last: Any
    in_order: bool


def frames_suite(asked: Asked) -> Iterator[Race]:
    """Give the races of the suite.

    Raises
    ------
    DlsortError
        If the user's data can't be read, or have no such key.
    """
    names = ["dlsort", *(name for name in asked.against if name in SORTS)]
    if asked.data is not None:
        work = work_of_data(asked.data, asked.by)
        if any(key.descending or key.nulls_first for key in work.keys):
            msg = f"by is {asked.by!r}: the suite frames sorts ascending, with nulls last."
            raise BadOptionError(msg)
        jobs = [(f"{asked.data} by {format_by(work.keys)}", "Your data.", work)]
    else:
        jobs = []
        for name, make in itertools.islice(MADE.items(), 2):
            write = partial(write_made, make=make, n_rows=asked.rows)
            folder = make_once(asked.inputs / f"{name}-{asked.rows}", write)
            jobs.append((f"frame, {name}", f"The table {name}.", Work.of(folder, "key")))
    for title, about, work in jobs:
        resources = dict.fromkeys(names, asked.cluster)
        takers = _takers(asked, work, names)
        yield Race(title, about, measured_size(work), resources, takers, NOTES, names)


@contextmanager
def _takers(asked: Asked, work: Work, names: Sequence[str]) -> Iterator[Mapping[str, Take]]:
    share = asked.share
    by = [key.column for key in work.keys]
    with (
        plain_cluster(
            share.threads,
            scheduler=share.scheduler,
            memory_bytes=share.memory_bytes,
            temp_dir=share.temp_dir,
        ) as client,
        with_usage(share.scheduler) as asking,
    ):
        frame = persist_files(work.files)
        before = summaries(frame, by)

        def take(number: int, name: str) -> Turn:
            collect(client)
            time.sleep(_SETTLE_S)
            with watch(os.getpid()) as peak:
                turn = take_turn(SORTS[name], frame, by, before)
            # What came after was the check.
            seen = [
                each for each in peak.samples if each.at_s <= turn.outcome.seconds + SAMPLE_S
            ]
            most = max((each.memory_bytes for each in seen), default=peak.total)
            return turn._replace(round=number, peak_bytes=most, samples=seen)

        yield {name: asking(partial(take, name=name)) for name in names}


def persist_files(files: Sequence[str | Path]) -> Any:
    """Return a persisted Dask frame of Arrow columns, a partition a file."""
    import dask
    import dask.dataframe as dd

    like = _read(files[0]).iloc[:0]
    with dask.config.set({"dataframe.convert-string": False}):
        return persisted(dd.from_map(_read, files, meta=like))


def _read(path: str | Path) -> pd.DataFrame:
    """Return a file as a frame of Arrow columns."""
    with open_to_read(str(path)) as opened:
        table = pq.ParquetFile(opened).read()
    for i, field in enumerate(table.schema):
        if field.type == pa.string_view():  # pandas can't work with these
            table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def _summary(part: pd.DataFrame, by: list[str]) -> Summary:
    proof = prove(pa.Table.from_pandas(part, preserve_index=False), TUNING.proof)
    if not len(part):
        return Summary(proof, None, None, in_order=True)
    keys = part[by].reset_index(drop=True)
    order = keys.sort_values(by, kind="stable").index
    first, last = keys.iloc[:1], keys.iloc[-1:]
    return Summary(proof, first, last, bool(order.is_monotonic_increasing))


def summaries(frame: Any, by: list[str]) -> list[Summary]:
    """Return the summary of every partition."""
    from dask.base import compute
    from dask.delayed import delayed

    parts = [delayed(_summary)(part, by) for part in frame.to_delayed()]
    found: Any = compute
    return list(found(*parts))


def verdict(before: Sequence[Summary], after: Sequence[Summary]) -> str:
    """Return "ok", or what is wrong with sorted partitions, in a few words."""
    if total(s.proof for s in before) != total(s.proof for s in after):
        return "other rows"
    full = [s for s in after if s.proof.rows]
    if not all(s.in_order for s in full):
        return "out of order inside a partition"
    if full:
        edges = pd.concat([edge for s in full for edge in (s.first, s.last)], ignore_index=True)
        order = edges.sort_values(list(edges.columns), kind="stable").index
        if not order.is_monotonic_increasing:
            return "out of order between partitions"
    return "ok"


def take_turn(sort: Sort, frame: Any, by: list[str], before: Sequence[Summary]) -> Turn:
    """Sort a persisted frame into a persisted frame, and check the partitions."""
    from dask.dataframe.dask_expr._shuffle import divisions_lru

    divisions_lru.data.clear()  # else Dask, asked again, would not look at the data
    began, start = time.monotonic(), time.perf_counter()
    try:
        result = persisted(sort(frame, by))
        seconds = time.perf_counter() - start
        after = summaries(result, by)
    except Exception as error:  # a peer that fails is told, not fatal
        failed = Outcome(time.perf_counter() - start, None, said(error))
        return Turn(0, failed, 0, said(error), (), began)
    lengths = [s.proof.rows for s in after]
    mean = statistics.mean(lengths)
    balance = max(lengths) / mean if mean else 1.0
    return Turn(0, Outcome(seconds, balance, None), 0, verdict(before, after), (), began)
