"""The batch door: a Parquet dataset in, a sorted Parquet dataset out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any

from dlsort.dataset_arguments import Asked, read_arguments
from dlsort.errors import (
    BadOptionError,
    ClusterError,
    CorruptSourceError,
    DestinationError,
    DlsortError,
    SourceNotFoundError,
)
from dlsort.io.find import find_files
from dlsort.io.parquet.layout import choose_encodings
from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import PARTS
from dlsort.io.source import Source, cut_pieces, open_source
from dlsort.io.storage import join
from dlsort.keys import By, SortKey, format_by
from dlsort.model.model_file import MODEL, read_model
from dlsort.model.sample_plan import SamplePlan, plan_sample
from dlsort.order.bands import count_bands
from dlsort.order.words import check_key_types
from dlsort.proof.outcome import check_outcome
from dlsort.proof.stats import OutputStats
from dlsort.publish.destination import Overwrite, check_apart, check_destination
from dlsort.publish.finished import check_visible
from dlsort.publish.job_file import JobFile
from dlsort.publish.recover import put_back
from dlsort.publish.staging import Staging, staging
from dlsort.publish.verify import verify_finished
from dlsort.report import SortReport
from dlsort.strategies.budget import (
    Budget,
    MemoryOf,
    ask_memory,
    check_partitions,
    check_row_groups,
    count_parts,
    plan_budget,
)
from dlsort.strategies.choose import move_rows
from dlsort.strategies.exchange import DatasetPlan
from dlsort.strategies.reader import Reader
from dlsort.strategies.run import run_plan
from dlsort.strategies.shared_storage import shared_storage
from dlsort.terminal.progress import Progress, progress_for
from dlsort.tuning import TUNING
from dlsort_cluster.clusters.check_versions import check_versions
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.clusters.joined import Joinable
from dlsort_cluster.clusters.sizes import ClusterSize, machine_memory_bytes, size_of
from dlsort_cluster.exchange import ExchangeError

__all__ = ["sort_dataset"]


def sort_dataset(
    src: str | PathLike[str],
    dst: str | PathLike[str],
    *,
    by: By,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    partitions: int | None = None,
    partition_size: int | str | None = None,
    memory: int | str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    compression: str = "snappy",
    row_group_rows: int | None = None,
    overwrite: Overwrite = False,
    resume: bool = False,
    progress: Progress | bool | None = None,
) -> SortReport:
    """Sort a Parquet dataset into another one.

    The sort is stable: rows with equal keys keep the order of the source, files
    taken in natural order of their names. The result is proved (row count,
    checksum of whole rows, order) before it is published; on any failure the
    destination is as it was.

    Parameters
    ----------
    src : str or path-like
        A Parquet file, a folder of them, or a glob. Folders named
        ``column=value`` are refused: their values are not in the files.
    dst : str or path-like
        A folder to make. Its parts' name order is the sort order. Source and destination may
        be in object stores that fsspec knows (``s3://bucket/folder``); there parts are copied
        to their place, and ``_SUCCESS`` is written last.
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc,note:asc:nulls_first"``.
    scheduler : str, Client or Cluster, optional
        A running Dask cluster: its address, as in ``"tcp://host:port"``, a client of it, or
        the cluster itself. Its workers must see source and destination under the same paths.
        By default the client that is current, as for Dask's own computations, also inside of
        a task; without one, or with ``"embedded"``, a cluster in this process. What is given
        is used and left as it is.
    workers : int, optional
        Worker processes to start on this machine, whatever client is current.
    threads : int, optional
        Threads in all, of processes that are started or else in this one, whatever client is
        current; by default one a core.
    partitions : int, optional
        Number of parts.
    partition_size : int or str, optional
        Size of a part in memory, in bytes or as in ``"128MiB"``; not with
        ``partitions``.
    memory : int or str, optional
        Memory for the whole job: bytes, a size as in ``"4GiB"``, or a share as in ``"50%"``
        of the machine's, or of what the cluster's workers have. By default 70 %: Dask stops
        a worker that fills 80 % of its limit. More than this machine has is refused where
        the job runs on it.
    temp_dir : str or path-like, optional
        Where rows go that don't fit the memory.
    compression : str
        ``snappy``, ``zstd``, ``gzip``, ``lz4``, ``brotli`` or ``none``.
    row_group_rows : int, optional
        Rows of each row group of the parts; by default 262,144.
    overwrite : bool or "force"
        Replace a destination that holds a Parquet dataset, whoever wrote it, once the new one
        is proved. Whatever else it holds is named and refused; ``"force"`` deletes that too,
        but never the working directory, a home folder, a root, or what is above one of these.
    resume : bool
        Go on from what an earlier attempt has kept that was killed, or lost its cluster, and
        keep what is finished if this one fails too. The result is the same, byte for byte.
        With nothing to go on from it is a sort like any other.
    progress : bool or Progress, optional
        True: a live display on standard error. An object is told as the job goes.

    Returns
    -------
    SortReport
        Rows, bytes, seconds a phase, balance, memory, checksum.

    Raises
    ------
    DlsortError
        One of :mod:`dlsort.errors`, with a sentence that says what to do.

    Notes
    -----
    Expected time O(n): one pass over the rows, a sort of codes in linear time
    and one more gather. Learned, mutually exclusive, equi-depth partitions that
    need no merge follow ELSAR (Kristo and Kraska, 2023).

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> src, dst = folder.name + "/in.parquet", folder.name + "/out"
    >>> pq.write_table(pa.table({"x": [3, 1, 2]}), src)
    >>> report = sort_dataset(src, dst, by="x")
    >>> report.rows, pq.read_table(dst)["x"].to_pylist()
    (3, [1, 2, 3])
    >>> folder.cleanup()
    """
    began = time.perf_counter()
    asked = read_arguments(
        src,
        dst,
        by=by,
        scheduler=scheduler,
        workers=workers,
        threads=threads,
        partitions=partitions,
        partition_size=partition_size,
        memory=memory,
        temp_dir=temp_dir,
        compression=compression,
        row_group_rows=row_group_rows,
        overwrite=overwrite,
        resume=resume,
    )
    with progress_for(progress) as told:
        return _sort(asked, told, began)


def _sort(asked: Asked, progress: Progress, began: float) -> SortReport:
    keys, dst = asked.keys, asked.dst
    settled = put_back(dst, resume=asked.resume)
    rows = asked.row_group_rows or TUNING.row_group_rows
    if settled is not None and asked.resume:
        with suppress(DlsortError):  # another job; what is wrong with this one is told below
            files = JobFile.files_of(open_source(asked.src))
            n_parts = settled.job.n_parts
            same = JobFile(
                format_by(keys), files, asked.codec, rows, asked.part_bytes, n_parts, 0, 0
            )
            same.going_on_from(settled.job, partitions=asked.partitions)
            return SortReport.of_finished(settled.report, time.perf_counter() - began)
    try:
        destination, held = check_destination(dst, overwrite=asked.overwrite)
    except DestinationError as error:
        _check_there(asked.src, error)
        raise
    source = open_source(asked.src)
    check_apart(destination, asked.src, source.files)
    check_key_types(source.schema, keys)
    check_partitions(asked.partitions, source.n_rows)
    report = SortReport(asked.src, dst, format_by(keys), rows=source.n_rows)
    report.input_files, report.input_bytes = len(source.files), source.stored_bytes
    report.arrow_bytes = source.arrow_bytes
    report.phases.open_s = time.perf_counter() - began
    memory_bytes = asked.memory_bytes
    default_of: MemoryOf | None = None
    if asked.memory is None:
        default_of = "machine" if asked.scheduler is None else "workers"
    if asked.scheduler is None:
        # told before a cluster is started for nothing
        n_processes = asked.workers or 1
        plan_budget(memory_bytes, n_processes, asked.threads or n_processes, 0, default_of)
        check_row_groups(source, memory_bytes, n_processes)
    with ExitStack() as stack:
        client, size = stack.enter_context(_cluster(asked, memory_bytes))
        n_processes, n_threads, limit_bytes = size
        report.threads = n_threads
        report.workers = asked.workers or 0 if asked.scheduler is None else n_processes
        if asked.scheduler is not None:
            most = limit_bytes or machine_memory_bytes()
            memory_bytes = ask_memory(asked.memory, most, is_here=False)
        most_bytes = check_row_groups(source, memory_bytes, n_processes)
        source = replace(source, most_bytes=most_bytes)
        budget = plan_budget(
            memory_bytes,
            n_processes,
            n_threads,
            max((group.arrow_bytes for group in source.row_groups), default=0),
            default_of,
        )
        n_parts = asked.partitions or count_parts(
            source,
            asked.part_bytes or min(TUNING.partition_bytes, budget.part_bytes),
            n_threads,
        )
        job = JobFile(
            format_by(keys),
            JobFile.files_of(source),
            asked.codec,
            rows,
            asked.part_bytes,
            n_parts,
            budget.piece_bytes,
            budget.part_bytes,
        )
        report.phases.start_s = time.perf_counter() - began - report.phases.open_s
        with staging(
            destination,
            job,
            held=held,
            resume=asked.resume,
            partitions=asked.partitions,
            on_decided=partial(progress.finish, "publish"),
        ) as stage:
            report.output_parts = stage.job.n_parts
            with ExitStack() as watching:
                if asked.scheduler is not None:
                    seen = shared_storage(
                        client, source, destination, stage.folder, asked.temp_dir
                    )
                    watching.enter_context(seen)
                outputs = _make_parts(
                    client, stage, source, keys, budget, asked.temp_dir, progress, report
                )
                progress.phase("publish", source.n_rows)
                publishing = time.perf_counter()
                assert stage.parts is not None
                stage.sizes = check_visible(stage.parts, outputs, stage.job.n_parts)
            stage.told = {"by": report.by, "rows": report.rows, "checksum": report.checksum}
            stage.report = report.to_dict()
        report.phases.publish_s = time.perf_counter() - publishing
    report.proved = True
    report.seconds = time.perf_counter() - began
    return report


def _check_there(src: str, error: DestinationError) -> None:
    """Raise if a source is not there, which says more than what is wrong with the destination.

    Raises
    ------
    SourceNotFoundError
        If so.
    """
    try:
        with suppress(CorruptSourceError, BadOptionError):
            find_files(src)
    except SourceNotFoundError as missing:
        raise missing from error


@contextmanager
def _cluster(asked: Asked, memory_bytes: int | None) -> Iterator[tuple[Any, ClusterSize]]:
    """Give a client of the cluster to sort on, and its size.

    Raises
    ------
    ClusterError
        If there is none, or it has other versions than we.
    """
    with ExitStack() as stack:
        try:
            client = stack.enter_context(
                connect(
                    scheduler=asked.scheduler,
                    workers=asked.workers,
                    threads=asked.threads,
                    memory_bytes=memory_bytes,
                    temp_dir=asked.temp_dir,
                )
            )
            size = size_of(client)
            if asked.scheduler is not None:
                check_versions(client)
        except ExchangeError as error:
            raise ClusterError(str(error)) from error
        yield client, size


def _make_parts(
    client: Any,
    stage: Staging,
    source: Source,
    keys: tuple[SortKey, ...],
    budget: Budget,
    temp_dir: str | None,
    progress: Progress,
    report: SortReport,
) -> list[OutputStats]:
    """Make the parts, in the first way that will do, and prove them."""
    job = stage.job
    encodings = choose_encodings(source.schema, source.layouts)

    def begin(way: str) -> Writer:
        """Return what writes the parts of a way; those that it has already are verified."""
        folder = stage.way(way)
        stage.parts = join(folder, PARTS)
        writer = Writer(
            folder,
            source.schema,
            keys,
            encodings,
            job.compression,
            job.row_group_rows,
            job.part_bytes,
        )
        if stage.is_resumed:
            if way != "move" and not _has_model(folder, source, keys):
                stage.drop_way(way)
                stage.way(way)
            report.resumed_parts = verify_finished(client, writer)
        return writer

    fits = source.arrow_bytes <= TUNING.surprise * job.n_parts * job.part_bytes
    if job.n_parts > 1 and fits and not stage.has_way("exchange"):
        outputs = move_rows(
            client, source, keys, begin, job.n_parts, report.threads, progress, report
        )
        if outputs is not None:
            return outputs
        stage.drop_way("move")
        stage.drop_way("range")
    plan = _plan(source, keys, begin("exchange"), job, budget, report.threads, temp_dir)
    report.input_parts = len(plan.pieces)
    inputs, outputs = run_plan(client, plan, source.n_rows, progress, report)
    check_outcome(source.n_rows, keys, inputs, outputs, report)
    return outputs


def _has_model(folder: str, source: Source, keys: tuple[SortKey, ...]) -> bool:
    """Return whether an earlier attempt has kept the model that cut its parts."""
    schema = Reader.of(source, keys).key_schema()
    return read_model(join(folder, MODEL), schema, keys) is not None


def _plan(
    source: Source,
    keys: tuple[SortKey, ...],
    writer: Writer,
    job: JobFile,
    budget: Budget,
    n_threads: int,
    temp_dir: str | None,
) -> DatasetPlan:
    pieces = cut_pieces(source, job.piece_bytes)
    n_parts = job.n_parts
    # A partition that doesn't fit is sorted band by band.
    n_cuts = max(n_parts, -(-source.arrow_bytes // job.part_bytes))
    n_bands = None
    if n_cuts > TUNING.surprise * n_parts:
        least = min(-(-n_cuts // n_parts), max(1, TUNING.most_bands // n_parts))
        n_bands = max(count_bands(source.n_rows, n_parts), least)
    return DatasetPlan(
        uuid.uuid4().hex,
        Reader.of(source, keys),
        writer,
        pieces,
        plan_sample(source, pieces, keys, n_cuts, budget.working_bytes)
        if n_cuts > 1
        else SamplePlan(()),
        n_parts,
        budget.store_bytes,
        temp_dir,
        n_bands,
        n_threads,
    )
