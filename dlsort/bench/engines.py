"""The engines that are compared, each in a process of its own.

An engine is a class: making one does what is not timed (imports, a cluster that
is kept), ``sort`` is timed, ``close`` ends it. The driver talks to ``serve`` over
a pipe, so that one engine's memory, threads and settings never meet another's.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn, Protocol

from dlsort.io.find import find_files
from dlsort.io.storage import is_store, open_to_read
from dlsort.keys import SortKey, format_by, parse_by

__all__ = [
    "ENGINES",
    "PACKAGES",
    "TITLES",
    "Copy",
    "Dask",
    "Dlsort",
    "DlsortCluster",
    "DlsortProcesses",
    "DuckDB",
    "Engine",
    "Outcome",
    "Polars",
    "Share",
    "Work",
    "is_installed",
    "said",
    "serve",
]


class Share(NamedTuple):
    """What an engine may use: the same for all that run on one host.

    Attributes
    ----------
    threads : int
    memory_bytes : int or None
        Its limit, where it takes one.
    temp_dir : str or None
        Existing folder for what does not fit the memory.
    scheduler : str or None
        Of the Dask cluster that distributed engines run on; None: this machine.
    """

    threads: int
    memory_bytes: int | None = None
    temp_dir: str | None = None
    scheduler: str | None = None


class Work(NamedTuple):
    """What is to be sorted: a folder, file, glob or URL, its Parquet files, and the key."""

    src: str
    files: tuple[str, ...]
    keys: tuple[SortKey, ...]

    @classmethod
    def of(cls, src: str | Path, by: Sequence[str] | str) -> Work:
        """Return the work of sorting what is at a place."""
        found = find_files(str(src))
        return cls(str(src), tuple(file.path for file in found.files), tuple(parse_by(by)))


class Outcome(NamedTuple):
    """What one timed sort gave; ``report``: dlsort's own figures, and its threads' spans."""

    seconds: float
    balance: float | None
    error: str | None
    report: dict[str, Any] | None = None


class Engine(Protocol):
    """What the driver asks of an engine."""

    report: dict[str, Any] | None

    def __init__(self, share: Share) -> None: ...

    def sort(self, work: Work, dst: Path) -> float | None:
        """Sort Parquet files into Parquet in the empty folder dst.

        Returns the largest partition over the mean, where the engine tells it.
        """

    def close(self) -> None:
        """End what the engine keeps between sorts."""


class _Engine:
    report: dict[str, Any] | None = None

    def close(self) -> None:
        """Keep nothing."""


class Copy(_Engine):
    """The floor: each file read and written again by pyarrow, unsorted, n files at a time."""

    def __init__(self, share: Share) -> None:
        import pyarrow.parquet as pq

        self._pq = pq
        self._pool = ThreadPoolExecutor(share.threads)

    def sort(self, work: Work, dst: Path) -> None:
        """Copy, whatever the key is."""
        list(self._pool.map(lambda each: self._copy(*each, dst=dst), enumerate(work.files)))

    def _copy(self, number: int, path: str, *, dst: Path) -> None:
        with open_to_read(path) as file:
            table = self._pq.ParquetFile(file).read(use_threads=False)
        self._pq.write_table(table, dst / f"{number:06}.parquet", compression="snappy")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


class Dlsort(_Engine):
    """dlsort in one process, by threads of it."""

    def __init__(self, share: Share) -> None:
        import dlsort

        self._sort_dataset = dlsort.sort_dataset
        self._options: dict[str, Any] = {
            "threads": share.threads,
            "memory": share.memory_bytes,
            "temp_dir": share.temp_dir,
        }

    def sort(self, work: Work, dst: Path) -> float:
        """Sort with the proof on, as by default."""
        by = format_by(work.keys)
        done = self._sort_dataset(work.src, dst, by=by, overwrite=True, **self._options)
        self.report = {**done.to_dict(), "timeline": [list(span) for span in done.timeline]}
        return done.balance


class DlsortProcesses(Dlsort):
    """dlsort on worker processes that it starts and ends within the timed call."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        self._options["workers"] = share.threads


class DlsortCluster(Dlsort):
    """dlsort on the same kept cluster as Dask's sort: the user's, or one of this machine."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        self._stack = ExitStack()
        address = (
            share.scheduler or self._stack.enter_context(_cluster(share)).scheduler.address
        )
        self._options = {"scheduler": address, "temp_dir": None}

    def close(self) -> None:
        """End the cluster, if it is ours."""
        self._stack.close()


class Dask(_Engine):
    """Dask's own ``sort_values`` to ``to_parquet``; cluster and client are kept.

    Its default reader: ``filesystem="arrow"`` fails on date keys, and
    ``dtype_backend="pyarrow"`` on lineitem's string_view columns (2026.8).
    """

    def __init__(self, share: Share) -> None:
        import dask.dataframe as dd

        self._dd = dd
        self._stack = ExitStack()
        self._stack.enter_context(_cluster(share))

    def sort(self, work: Work, dst: Path) -> None:
        """Sort with the defaults (p2p shuffle, pyarrow strings), divisions and all.

        Dask keeps the divisions of the round before, which would spare it the first
        of its two readings; every other engine does its whole job in each round.
        """
        from dask.dataframe.dask_expr._shuffle import divisions_lru

        divisions_lru.clear()
        frame = self._dd.read_parquet(list(work.files))
        nulls = {key.nulls_first for key in work.keys}
        if len(nulls) > 1:
            raise ValueError("Dask puts the nulls of all columns first, or last")
        frame.sort_values(
            [key.column for key in work.keys],
            ascending=[not key.descending for key in work.keys],
            na_position="first" if True in nulls else "last",
        ).to_parquet(dst, compression="snappy", write_index=False)

    def close(self) -> None:
        """End the cluster, if it is ours."""
        self._stack.close()


class Polars(_Engine):
    """Polars' streaming engine, stable, to one file. It takes no limit of memory."""

    def __init__(self, share: Share) -> None:
        os.environ["POLARS_MAX_THREADS"] = str(share.threads)  # read once, at import
        import polars as pl

        self._pl = pl

    def sort(self, work: Work, dst: Path) -> None:
        """Scan, sort and sink lazily."""
        frame = self._pl.scan_parquet(list(work.files))
        frame.sort(
            [key.column for key in work.keys],
            descending=[key.descending for key in work.keys],
            nulls_last=[not key.nulls_first for key in work.keys],
            maintain_order=True,
        ).sink_parquet(dst / "sorted.parquet", compression="snappy")


class DuckDB(_Engine):
    """DuckDB's COPY of an ordered query to one file.

    What does not fit its memory goes to files in a folder of ``temp_dir``.
    """

    def __init__(self, share: Share) -> None:
        import duckdb

        config: dict[str, Any] = {"threads": share.threads}
        if share.memory_bytes is not None:
            config["memory_limit"] = f"{share.memory_bytes}B"
        self._spill = None
        if share.temp_dir is not None:
            self._spill = Path(share.temp_dir, "duckdb-spill")
            config["temp_directory"] = str(self._spill)
        self._connection = duckdb.connect(config=config)

    def sort(self, work: Work, dst: Path) -> None:
        """Copy the ordered rows, in order."""
        if is_store(work.files[0]):
            import fsspec

            store = fsspec.filesystem(work.files[0].partition("://")[0])
            self._connection.register_filesystem(store)
        files = ", ".join(_quoted(path, "'") for path in work.files)
        result = _quoted(f"{dst}/sorted.parquet", "'")
        order = ", ".join(
            f"{_quoted(key.column, chr(34))} {'DESC' if key.descending else 'ASC'} "
            f"NULLS {'FIRST' if key.nulls_first else 'LAST'}"
            for key in work.keys
        )
        self._connection.execute(
            f"COPY (SELECT * FROM read_parquet([{files}]) ORDER BY {order}) "
            f"TO {result} (FORMAT parquet, COMPRESSION snappy)"
        )

    def close(self) -> None:
        """End the connection, and remove what was spilled."""
        self._connection.close()
        if self._spill is not None:
            shutil.rmtree(self._spill, ignore_errors=True)


ENGINES: dict[str, type[Engine]] = {
    "dlsort": Dlsort,
    "dlsort-cluster": DlsortCluster,
    "dlsort-processes": DlsortProcesses,
    "dask": Dask,
    "polars": Polars,
    "duckdb": DuckDB,
    "copy": Copy,
}
TITLES = {
    "dlsort": "dlsort",
    "dlsort-cluster": "dlsort, processes",
    "dlsort-processes": "dlsort, processes started",
    "dask": "Dask",
    "polars": "Polars",
    "duckdb": "DuckDB",
    "copy": "copy",
}
#: What is to be installed for an engine, where dlsort itself does not need it.
PACKAGES = {"polars": "polars", "duckdb": "duckdb"}


def is_installed(engine: str) -> bool:
    """Return whether an engine's package is there."""
    return engine not in PACKAGES or find_spec(PACKAGES[engine]) is not None


def _quoted(text: str, mark: str) -> str:
    return f"{mark}{text.replace(mark, 2 * mark)}{mark}"


@contextmanager
def _cluster(share: Share) -> Iterator[Any]:
    """Yield a client of the user's cluster, or of one of this machine; it is current."""
    from dlsort_cluster.peer import plain_cluster

    with plain_cluster(
        share.threads,
        scheduler=share.scheduler,
        memory_bytes=share.memory_bytes,
        temp_dir=share.temp_dir,
    ) as client:
        yield client


def serve(make: type[Engine], share: Share, pipe: Connection) -> None:
    """Run one engine: sort what the pipe asks for, until it says None.

    Ctrl-C of a terminal arrives in all its processes: what it means the driver decides, whose
    SIGTERM ends this one in good order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    # Of the workers too, which say so when their scheduler ends before them.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    engine = None
    try:
        engine = make(share)
        pipe.send(None)
        while (request := pipe.recv()) is not None:
            pipe.send(_timed(engine, *request))
    except EOFError:  # the driver is gone
        pass
    except Exception as error:  # an engine that cannot start is a result too
        pipe.send(said(error))
    finally:
        if engine is not None:
            engine.close()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _timed(engine: Engine, work: Work, dst: Path) -> Outcome:
    start = time.perf_counter()
    try:
        balance = engine.sort(work, dst)
    except Exception as error:  # a peer that fails is shown, not fatal
        return Outcome(time.perf_counter() - start, None, said(error))
    return Outcome(time.perf_counter() - start, balance, None, engine.report)


def said(error: Exception) -> str:
    """Return an error's type and first line, for a table."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:160]}"
