"""The engines that are compared, each in a process of its own.

An engine is a class: making one does what is not timed (imports, a cluster that
is kept), ``sort`` is timed, ``close`` ends it. The driver talks to ``serve`` over
a pipe, so that one engine's memory, threads and settings never meet another's.
"""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Outcome(NamedTuple):
    """What one timed sort gave."""

    seconds: float
    balance: float | None
    error: str | None


class Engine(Protocol):
    """What the driver asks of an engine."""

    def __init__(self, threads: int) -> None: ...

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> float | None:
        """Sort Parquet files in src into Parquet in the empty folder dst.

        Returns the largest partition over the mean, where the engine tells it.
        """

    def close(self) -> None:
        """End what the engine keeps between sorts."""


class Copy:
    """The floor: each file read and written again by pyarrow, unsorted, n files at a time."""

    def __init__(self, threads: int) -> None:
        import pyarrow.parquet as pq

        self._pq = pq
        self._pool = ThreadPoolExecutor(threads)

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> None:
        """Copy, whatever ``by`` says."""
        list(self._pool.map(lambda path: self._copy(path, dst), sorted(src.glob("*.parquet"))))

    def _copy(self, path: Path, dst: Path) -> None:
        table = self._pq.read_table(path, use_threads=False)
        self._pq.write_table(table, dst / path.name, compression="snappy")

    def close(self) -> None:
        self._pool.shutdown()


class Dlsort:
    """dlsort in one process, by threads of it."""

    def __init__(self, threads: int) -> None:
        import dlsort

        self._sort_dataset = dlsort.sort_dataset
        self._options: dict[str, Any] = {"threads": threads}

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> float:
        """Sort with the proof on, as by default."""
        report = self._sort_dataset(src, dst, by=",".join(by), overwrite=True, **self._options)
        return report.balance

    def close(self) -> None:
        pass


class DlsortProcesses(Dlsort):
    """dlsort on worker processes that it starts and ends within the timed call."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._options = {"workers": threads, "threads": threads}


class DlsortCluster(Dlsort):
    """dlsort on the same kept cluster of one-thread processes as Dask's sort."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._cluster = _local_cluster(threads)
        self._options = {"scheduler": self._cluster.scheduler_address}

    def close(self) -> None:
        self._cluster.close()


class Dask:
    """Dask's own ``sort_values`` to ``to_parquet``; cluster and client are kept.

    Its default reader: ``filesystem="arrow"`` fails on date keys, and
    ``dtype_backend="pyarrow"`` on lineitem's string_view columns (2026.8).
    """

    def __init__(self, threads: int) -> None:
        import dask.dataframe as dd

        self._dd = dd
        self._cluster = _local_cluster(threads)
        self._client = self._cluster.get_client()

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> None:
        """Sort with the defaults (p2p shuffle, pyarrow strings), divisions and all.

        Dask keeps the divisions of the round before, which would spare it the first
        of its two readings; every other engine does its whole job in each round.
        """
        from dask.dataframe.dask_expr._shuffle import divisions_lru

        divisions_lru.clear()
        frame = self._dd.read_parquet(str(src / "*.parquet"))
        frame.sort_values(list(by)).to_parquet(dst, compression="snappy", write_index=False)

    def close(self) -> None:
        self._client.close()
        self._cluster.close()


class Polars:
    """Polars' streaming engine, stable, to one file."""

    def __init__(self, threads: int) -> None:
        os.environ["POLARS_MAX_THREADS"] = str(threads)  # read once, at import
        import polars as pl

        self._pl = pl

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> None:
        """Scan, sort and sink lazily."""
        frame = self._pl.scan_parquet(src / "*.parquet")
        frame.sort(by, nulls_last=True, maintain_order=True).sink_parquet(
            dst / "sorted.parquet", compression="snappy"
        )

    def close(self) -> None:
        pass


class DuckDB:
    """DuckDB's COPY of an ordered query to one file.

    ``memory_bytes`` is its limit; what does not fit goes to files in ``temp_dir``.
    """

    def __init__(
        self, threads: int, *, memory_bytes: int | None = None, temp_dir: Path | None = None
    ) -> None:
        import duckdb

        config: dict[str, Any] = {"threads": threads}
        if memory_bytes is not None:
            config["memory_limit"] = f"{memory_bytes}B"
        if temp_dir is not None:
            config["temp_directory"] = str(temp_dir)
        self._connection = duckdb.connect(config=config)

    def sort(self, src: Path, dst: Path, by: tuple[str, ...]) -> None:
        """Copy the ordered rows, in order."""
        self._connection.execute(
            f"COPY (SELECT * FROM read_parquet('{src}/*.parquet') ORDER BY {', '.join(by)}) "
            f"TO '{dst}/sorted.parquet' (FORMAT parquet, COMPRESSION snappy)"
        )

    def close(self) -> None:
        self._connection.close()


ENGINES: dict[str, type[Engine]] = {
    "dlsort": Dlsort,
    "dlsort-cluster": DlsortCluster,
    "dlsort-processes": DlsortProcesses,
    "dask": Dask,
    "polars": Polars,
    "duckdb": DuckDB,
    "copy": Copy,
}


def _local_cluster(processes: int) -> Any:
    """Start a cluster of one-thread worker processes with all of the machine's memory."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=processes,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        silence_logs=logging.ERROR,
    )


def serve(name: str, threads: int, pipe: Connection) -> None:
    """Run one engine: sort what the pipe asks for, until it says None."""
    engine = None
    try:
        engine = ENGINES[name](threads)
        pipe.send(None)
        while (request := pipe.recv()) is not None:
            pipe.send(_timed(engine, *request))
    except Exception as error:  # an engine that cannot start is a result too
        pipe.send(said(error))
    finally:
        if engine is not None:
            engine.close()


def _timed(engine: Engine, src: Path, dst: Path, by: tuple[str, ...]) -> Outcome:
    start = time.perf_counter()
    try:
        balance = engine.sort(src, dst, by)
    except Exception as error:  # a peer that fails is shown, not fatal
        return Outcome(time.perf_counter() - start, None, said(error))
    return Outcome(time.perf_counter() - start, balance, None)


def said(error: Exception) -> str:
    """Return an error's type and first line, for a table."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:160]}"
