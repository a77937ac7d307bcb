"""The suite ``sort``: Parquet to sorted Parquet, of made tables or of the user's data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from dlsort.bench.engines import ENGINES, Work
from dlsort.bench.figures import Size
from dlsort.bench.inputs import FILES, MADE, make_once, write_made
from dlsort.bench.rounds import Take, children, sort_and_check
from dlsort.bench.suites.race import Asked, Race
from dlsort.bench.suites.usage import with_usage
from dlsort.bench.verify import verdict
from dlsort.errors import BadOptionError
from dlsort.io.parquet.source import open_source
from dlsort.io.storage import is_store
from dlsort.keys import check_columns, format_by
from dlsort.tuning import TUNING

__all__ = ["DISTRIBUTED", "measured_size", "read_once", "sort_suite", "work_of_data"]

#: Engines that run on the cluster, where there is one.
DISTRIBUTED = ("dlsort-cluster", "dask")

NOTES = (
    "Each engine has a process of its own for all rounds; what it needs to start, its imports "
    "and a cluster that it keeps among that, is not timed. All write snappy.",
    "dlsort sorts in one process, by threads; “dlsort, processes” and Dask have a cluster "
    "that is kept between the rounds. dlsort proves its result (count, checksum, order) within "
    "the time; no other engine does.",
    "Dask computes its divisions in every round, as dlsort samples: its cache of "
    "them is emptied before.",
    "dlsort and Polars sort stably; DuckDB and Dask do not promise it. Polars and DuckDB write "
    "one file, dlsort and Dask one for each partition. Polars takes no limit of memory.",
    "copy reads and writes the files with pyarrow and sorts nothing: the floor for what uses "
    "pyarrow's Parquet code. It writes other encodings than dlsort, so it can be slower.",
    "The source is read once before, so that each engine finds as much of it in the page cache "
    "as fits there.",
    "Memory is what all of an engine's processes hold together, looked at ten times a second.",
    "Row count, order and the checksum of all rows of each result were checked outside the "
    "time; of Dask's, whose types differ, after a cast to the source's types.",
)


def sort_suite(asked: Asked) -> Iterator[Race]:
    """Give the races of the suite.

    Raises
    ------
    DlsortError
        If the user's data can't be read, or have no such key.
    """
    if asked.data is not None:
        work = work_of_data(asked.data, asked.by)
        yield _race(asked, work, f"{asked.data} by {asked.by}", "Your data.")
        return
    for name, make in MADE.items():
        write = partial(write_made, make=make, n_rows=asked.rows)
        folder = make_once(asked.inputs / f"{name}-{asked.rows}", write)
        about = (make.__doc__ or "").splitlines()[0].removeprefix("Return ").rstrip(".")
        about = f"{about[0].upper()}{about[1:]}; {FILES} files."
        yield _race(asked, Work.of(folder, "key"), name, about)


def work_of_data(data: str, by: str | None) -> Work:
    """Return the work of sorting the user's data.

    Raises
    ------
    BadOptionError
        If there is no key, or one that others have no word for.
    DlsortError
        If the data can't be read, or have no such column.
    """
    if by is None:
        msg = "--data is given without --by: name the columns to sort by."
        raise BadOptionError(msg)
    source = open_source(data, TUNING.io)
    work = Work.of(data, by)
    check_columns(work.keys, source.schema.names)
    return work


def measured_size(work: Work) -> Size:
    """Return how much a source's footers say that it holds."""
    source = open_source(work.src, TUNING.io)
    return Size(source.n_rows, source.stored_bytes, source.arrow_bytes)


def _race(asked: Asked, work: Work, title: str, about: str) -> Race:
    on_cluster = asked.share.scheduler is not None
    ours = ["dlsort-cluster"] if on_cluster else ["dlsort"]
    if "dask" in asked.against and not on_cluster:
        ours.append("dlsort-cluster")  # on the processes that Dask has
    names = [*ours, *asked.against]
    size = measured_size(work)
    resources = {
        name: asked.cluster if on_cluster and name in DISTRIBUTED else asked.here
        for name in names
    }
    about = f"{about} Sorted by {format_by(work.keys)}."
    return Race(title, about, size, resources, _takers(asked, work, names), NOTES, DISTRIBUTED)


@contextmanager
def _takers(asked: Asked, work: Work, names: list[str]) -> Iterator[Mapping[str, Take]]:
    read_once(work)
    engines = {name: ENGINES[name] for name in names}
    with children(engines, asked.share) as started, with_usage(asked.share.scheduler) as asking:
        takers: dict[str, Take] = {}
        for name, child in started.items():
            check = partial(verdict, ordered=name != "copy", same_types=name != "dask")
            out = asked.scratch / "out"
            take: Take = partial(sort_and_check, child, work=work, out=out, check=check)
            takers[name] = asking(take) if name in DISTRIBUTED else take
        yield takers


def read_once(work: Work) -> None:
    """Bring the source's files to the page cache, as far as they fit there."""
    for path in work.files:
        if not is_store(path):
            with Path(path).open("rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass
