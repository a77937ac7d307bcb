"""The batch door: a Parquet dataset in, a sorted Parquet dataset out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from dlsort.errors import DlsortError
from dlsort.events import Begun, Done, Event, Failed, Published, Started
from dlsort.io.paths import shown_places
from dlsort.io.sinks.sink import PIPE
from dlsort.keys import By, format_by
from dlsort.model.known_model import KnownModel
from dlsort.options.settings import with_settings
from dlsort.publish.destination import Overwrite
from dlsort.publish.finished import check_visible
from dlsort.publish.job_file import JobFile
from dlsort.publish.recover import recover
from dlsort.publish.replaceable import Held
from dlsort.publish.staging import Staging, staging
from dlsort.report import SortReport
from dlsort.strategies.asked import Asked, read_arguments
from dlsort.strategies.choose import make_parts
from dlsort.strategies.earlier import known_model
from dlsort.strategies.file_sizes import written_row_bytes
from dlsort.strategies.on_dashboard import OnDashboard, on_dashboard
from dlsort.strategies.opened import (
    Selected,
    check_source,
    check_taken_in,
    open_asked,
    open_selected,
)
from dlsort.strategies.piped import check_poured, sort_to_pipe, text_threads
from dlsort.strategies.replan import OtherSizes, Replanning
from dlsort.strategies.run import Place, place_for
from dlsort.strategies.sizes import Sizes, job_of, plan_sizes, remember
from dlsort.strategies.standing import (
    look_at_destination,
    opened,
    result_before,
    wanted_of,
)
from dlsort.strategies.strategy import Job
from dlsort.terminal.listener import teller
from dlsort.terminal.progress import Progress, progress_for
from dlsort.tuning import TUNING, Tuning
from dlsort_cluster.machine import machine_cores

if TYPE_CHECKING:
    from pyarrow.compute import Expression

    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["sort_dataset"]


@with_settings("sort_dataset")
def sort_dataset(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    dst: str | PathLike[str],
    *,
    by: By,
    ignore_case: bool = False,
    natural: bool = False,
    numeric: bool = False,
    collate: str | None = None,
    reverse: bool = False,
    nan_first: bool = False,
    nan_last: bool = False,
    columns: str | Sequence[str] | None = None,
    rename: str | Mapping[str, str] | None = None,
    where: str | Expression | None = None,
    unique: str | None = None,
    unique_by: str | Sequence[str] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    merge: bool = False,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    partitions: int | None = None,
    partition_size: int | str | None = None,
    target_file_size: int | str | None = None,
    partition_by: str | Sequence[str] | None = None,
    single_file: bool = False,
    output_format: str | None = None,
    input_size: int | str | None = None,
    strategy: str = "auto",
    memory: int | str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    profile: str = "default",
    compression: str | None = None,
    row_group_rows: int | None = None,
    column_options: str | PathLike[str] | Mapping[str, Mapping[str, Any]] | None = None,
    overwrite: Overwrite = False,
    resume: bool = False,
    if_exists: str | None = None,
    schema: str | PathLike[str] | Mapping[str, Any] | pa.Schema = "union",
    manifest: bool = True,
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
    input_format: str | None = None,
    csv_options: str | PathLike[str] | Mapping[str, Any] | None = None,
    decryption: str | Callable[[], Any] | None = None,
    model: str | PathLike[str] | None = None,
    progress: Progress | Callable[[Event], object] | bool | None = None,
    _tuning: Tuning = TUNING,
) -> SortReport:
    """Sort a dataset into one of Parquet files.

    The sort is stable: equal keys keep the order of the source, files taken in natural order of
    their names. The result is proved (row count, checksum of whole rows, order) before it is
    published; on any failure the destination is as it was.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        A file of Parquet, CSV, JSON lines or Arrow IPC, a folder of them at any depth, a glob,
        a Delta or Iceberg table, which gives its current rows; ``"-"``, standard input;
        ``"@file"``, what a file lists; or a list of such. Folders named ``column=value``
        give columns. Names that begin with ``_`` or ``.`` are passed over; a file of another
        kind is an error, unless ``ignore`` names it.
    dst : str or path-like
        A folder to make. Its parts' name order is the sort order. Or a file, if it ends in
        ``.parquet`` and is no folder. Source and destination may be in object stores that
        fsspec knows (``s3://bucket/folder``); there parts are copied to their place, and
        ``_SUCCESS`` is written last. ``"-"``: standard output, for all formats but Parquet.
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc,note:asc:nulls_first"``; or a list of names, of
        tuples such as ``("price, USD", "desc")``, and of :class:`SortKey`. A column's exact
        name is that column; else a name with dots is a field of a struct. ``"lower(name)"``
        and expressions of pyarrow are computed.
    ignore_case, natural, numeric : bool
        Text compares without regard to case; with the numbers in it by their value
        (``file2`` before ``file10``); or as the number that it begins with.
    collate : str, optional
        Text in the order of a language, as in ``"de_DE"``; needs PyICU.
    reverse : bool
        The whole order turned round, but for rows with equal keys.
    nan_first, nan_last : bool
        Where NaN goes among the floats of a key column that has no place for it.
    columns : str or a sequence of str, optional
        Columns of the result, in this order, as in ``"day,price"``. By default all; the key
        may name others.
    rename : str or mapping, optional
        What columns are called in the result, as in ``"l_tax=tax"`` or ``{"l_tax": "tax"}``.
        ``by``, ``columns`` and ``where`` call them as the source does.
    where : str or pyarrow.compute.Expression, optional
        Only rows for which this is true are sorted: a condition in SQL, as in ``"day >=
        '1998-01-01' and mode in ('AIR', 'MAIL')"``, or an expression of pyarrow's. Row groups
        are not read if their statistics show that it is true for none.
    unique : {"first", "last"}, optional
        Keep one row of each key: the first or the last one of the stable sort, as pandas'
        ``drop_duplicates`` does after it. Nulls are one key, and so is NaN, as they sort.
    unique_by : str or a sequence of str, optional
        The first columns of the key, of which one row each is kept; by default all of them.
        ``by="id,time", unique="last", unique_by="id"`` keeps the latest row of each id.
    limit : int, optional
        Write the first so many rows of what is left. Few are found by their keys alone; only
        row groups that have such rows are read whole.
    offset : int, optional
        Pass over the first so many rows of what is left.
    merge : bool
        Each file is in the order of the key already. Files that follow one another are copied,
        whatever their footers claim. One that is not in order is refused, by file and row.
    scheduler : str, Client or Cluster, optional
        A running Dask cluster: its address, as in ``"tcp://host:port"``, a client of it, or
        the cluster itself. Its workers must see source and destination under the same paths.
        By default the client that is current, as for Dask's own computations, also inside of
        a task; without one, or with ``"embedded"``, threads of this process, and nothing of
        Dask. What is given is used and left as it is.
    workers : int, optional
        Worker processes to start on this machine, whatever client is current.
    threads : int, optional
        Threads in all, of processes that are started or else of this one, whatever client is
        current. By default what is predicted to cost least: one a core, or for few rows the
        calling thread; where many threads would wait for Python's lock, processes.
    partitions : int, optional
        Number of parts.
    partition_size : int or str, optional
        Size of a part in memory, in bytes or as in ``"128MiB"``; not with ``partitions``.
    target_file_size : int or str, optional
        Size of a file as it is written, in bytes or as in ``"256MiB"``: as many files are made
        as have about this size each; not with ``partitions`` or ``partition_size``.
    partition_by : str or a sequence of str, optional
        Columns that become folders, as in ``"day,country"``: ``day=2024-01-01/country=de/``.
        They are not in the files. Each file is sorted, and so are the files of a folder
        together, by their names. Values are percent-encoded, null is
        ``__HIVE_DEFAULT_PARTITION__``; floats, binary and nested columns, empty text and
        what else would not be read as it was are refused. Not with ``partitions``.
    single_file : bool
        Write one file, not a folder; so does a ``dst`` that ends in ``.parquet``, unless it is
        a folder. Parts are made as ever, and then put behind one another, undecoded. Not with
        ``partition_by`` or ``target_file_size``, nor in an object store.
    output_format : {"parquet", "arrow", "csv", "jsonl"}, optional
        What is written; by default what ``dst`` ends with says, as ``.csv.gz``, ``.jsonl.zst``
        or ``.arrow`` do, else Parquet. Such a ``dst`` becomes one file, and any other a folder
        of files. CSV and JSON lines keep values, not types; they have no form for binary.
    input_size : int or str, optional
        Size in memory of what a thread reads at once; by default what is predicted to cost
        least.
    strategy : {"auto", "move", "range", "exchange"}
        How parts are made: of whole row groups, or slices of a source in order (``move``); of
        the pieces whose ranges of the key meet theirs (``range``); of rows that each input
        sends (``exchange``). By default what is predicted to cost least. What footers claim is
        proved, and an exchange done if it is not so.
    memory : int or str, optional
        Memory for the whole job: bytes, a size as in ``"4GiB"``, or a share as in ``"50%"``
        of the machine's, or of what the cluster's workers have. By default 70 %: Dask stops
        a worker that fills 80 % of its limit. More than there is is refused: than this
        machine has where the job runs on it, or than all workers' limits together.
    temp_dir : str or path-like, optional
        Where rows go that don't fit the memory.
    profile : {"default", "spark", "duckdb", "delta", "legacy", "compact"}
        Whom the files are for: which encodings, codec and row groups they have. Values stay as
        they are; a column of a type that such a reader can't have is refused.
    compression : str, optional
        ``snappy``, ``zstd``, ``gzip``, ``lz4``, ``brotli`` or ``none``; with a level as in
        ``"zstd:7"``, but for ``snappy``. By default as ``profile`` has it, or ``snappy``.
    row_group_rows : int, optional
        Rows of each row group of the parts; by default 262,144.
    column_options : str, path-like or mapping, optional
        How single columns are written: a YAML or JSON file, or a mapping, that gives a column's
        name, or a nested one's path, its ``encoding``, ``compression``, ``statistics`` and
        ``bloom_filter``, as in ``{"note": {"compression": "zstd:7", "bloom_filter": 0.01}}``.
    overwrite : bool or "force"
        Replace a destination that holds a Parquet dataset, whoever wrote it, once the new one
        is proved. Whatever else it holds is named and refused; ``"force"`` deletes that too,
        but never the working directory, a home folder, a root, or what is above one of these.
    resume : bool
        Resume from what an earlier attempt has kept that was killed, or lost its cluster, and
        keep what is finished if this one fails too. The result is the same, byte for byte.
        With nothing to resume it is a sort like any other.
    if_exists : {"fail", "skip", "resume", "replace"}, optional
        What to do about a destination that is there. ``"skip"``: nothing, if it is complete and
        the result of this sort already, by its footers: the same size and time of each source
        file, the same key and options. Else it is refused, or with ``overwrite`` sorted anew.
        ``"fail"`` refuses any; ``"resume"`` and ``"replace"`` are ``resume=True`` and
        ``overwrite=True``. By default what these two say.
    schema : str, path-like, mapping or pyarrow.Schema
        ``"union"``: columns that differ between files get a type that holds all values; what a
        file has not is null. ``"strict"``: a difference is refused. A schema, or a Parquet or
        Arrow file that has one: it is taken, and refused where it can't hold a value. Types of
        some columns, as in ``"id:string,price:decimal(9,2)"``: the others go by union.
    manifest : bool
        Write into each part's footer what it is: the job, the key, its place among the parts,
        its checksum, and some hundred of its keys. :func:`dlsort.check_dataset` takes the key
        from there, and finds parts that are missing or another sort's.
    ignore : str or a sequence of str
        Patterns of files to leave out: of their names, their paths in the source, or folders.
    hive_types : str, mapping or Schema, optional
        Types of the columns that folders give, as in ``"day:date32,region:string"``. By
        default int32 if all values are such numbers, else text.
    input_format : {"parquet", "csv", "jsonl", "arrow"}, optional
        What the source's files are; by default what their names end with says, as ``.csv.gz``,
        ``.jsonl.zst`` or ``.feather`` do, else Parquet.
    csv_options : str, path-like or mapping, optional
        How CSV is written, as in ``"delimiter=;,header=false"``, a YAML or JSON file, or a
        mapping: ``delimiter``, ``quote``, ``escape``, ``header``, ``names``, ``null_values``,
        ``encoding``, ``decimal``, ``timestamp_formats``.
    decryption : str or callable, optional
        Gives the keys of encrypted files: a function without arguments, or its name as
        ``"module:function"``, that returns pyarrow's ``FileDecryptionProperties``. Each process
        imports and calls it itself. The result is not encrypted.
    model : str or path-like, optional
        A dataset that dlsort has sorted by the same key: what its footers tell of the keys is
        used in the place of a sample, if a small one shows that it holds. By default what is to
        be replaced, if it is such a dataset; ``"none"``: a sample, as for a first sort.
    progress : bool, Progress or callable, optional
        True: a live display on standard error. An object's methods are called as the job goes;
        a function is called with each event of :mod:`dlsort.events`. What they raise ends the
        sort.

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
    Options that are not given, or None, come from the environment (``DLSORT_MEMORY``) or Dask's
    configuration (``dlsort.memory``), where they are set there.

    Expected time O(n): one pass over the rows, a sort of codes in linear time and one more
    gather. Learned partitions that need no merge follow ELSAR (Kristo and Kraska, 2023).

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
    given = locals()  # the parameters
    began = time.perf_counter()
    asked = read_arguments(given, _tuning)
    with progress_for(progress) as display:
        tell = teller(display)
        tell(Begun(shown_places(asked.src), asked.dst))
        try:
            if asked.dst == PIPE and asked.sink is not None:
                sort = partial(_sort, began=began)
                report = sort_to_pipe(asked, display, tell, sort, began)
            else:
                report = _sort(asked, display, tell, began)
        except BaseException as error:
            tell(Failed(type(error).__name__, str(error)))
            raise
        tell(_done(report))
        return report


def _sort(
    asked: Asked, progress: Progress, tell: Callable[[Event], None], began: float
) -> SortReport:
    # recover
    if (finished := _finished_before(asked, began)) is not None:
        return finished
    # open
    with ExitStack() as stack:
        selection = None
        if asked.if_exists == "skip":
            selection = stack.enter_context(open_selected(asked))
            skipped = result_before(asked, selection, began)
            if skipped is not None:
                report = SortReport(shown_places(asked.src), asked.dst, selection.by)
                for event in (opened(selection.source, asked, skipped.seconds), skipped):
                    report.note(event)
                    tell(event)
                return report
        standing = look_at_destination(asked)
        selection = selection or stack.enter_context(open_selected(asked))
        return _sort_source(selection, asked, standing, progress, tell, began)


def _sort_source(
    selection: Selected,
    asked: Asked,
    standing: tuple[str, Held],
    progress: Progress,
    tell: Callable[[Event], None],
    began: float,
) -> SortReport:
    (source, keys, by), (destination, held) = selection, standing
    report = SortReport(shown_places(asked.src), asked.dst, by)

    def note(event: Event) -> None:
        report.note(event)
        tell(event)

    check_source(source, asked, keys, destination)
    if asked.target_file_size:
        asked = replace(asked, row_bytes=written_row_bytes(source, asked, keys))
    known = None
    if asked.fewer(keys) is None:
        known = known_model(asked, destination, held, source, keys)
    opened_at = time.perf_counter()
    note(opened(source, asked, opened_at - began))
    # plan
    wanted = asked
    is_planned = asked.scheduler is None and not asked.workers
    if is_planned:
        sizes = plan_sizes(source, asked, keys)
        shape = sizes.decision.chosen.shape
        asked = replace(asked, workers=shape.n_processes or None, threads=shape.n_threads)
    with (
        place_for(asked, source) as place,
        on_dashboard(place, asked, report, progress) as shown,
    ):
        if not is_planned:
            sizes = plan_sizes(source, asked, keys, place.size)

        def again(arrow_factor: float) -> Sizes:
            if place.client is not None:
                return plan_sizes(source, asked, keys, place.size, arrow_factor)
            return plan_sizes(source, wanted, keys, None, arrow_factor, is_here=True)

        most_threads = 0 if place.client is not None else wanted.threads or machine_cores()
        making = _Making(
            selection,
            asked,
            standing,
            known,
            place,
            report,
            shown,
            shown.noting(note),
            opened_at,
        )
        # make, publish
        try:
            published_s = making.make(sizes, Replanning(again, most_threads))
        except OtherSizes as other:
            note(other.event)
            sizes = other.sizes
            published_s = making.make(sizes, Replanning(None, most_threads))
    note(Published(published_s, time.perf_counter() - began))
    remember(report, sizes)
    return report


class _Making(NamedTuple):
    """What the parts of a sort are made of, and who is told."""

    selection: Selected
    asked: Asked
    standing: tuple[str, Held]
    known: KnownModel | None
    place: Place
    report: SortReport
    progress: OnDashboard
    note: Callable[[Event], None]
    opened_at: float

    def make(self, sizes: Sizes, may: Replanning) -> float:
        """Make the parts and publish them; return the seconds that this took at the end."""
        (source, keys, by), (destination, held) = self.selection, self.standing
        asked, place, report, note = self.asked, self.place, self.report, self.note
        here = place.client is None
        job = job_of(source, asked, keys, sizes, place.temp_dir, is_here=here)
        job = replace(job, known=self.known)
        file = _job_file(job, asked, by)
        started = time.perf_counter()
        with staging(
            destination,
            file,
            held=held,
            resume=asked.resume,
            partitions=asked.partitions,
            n_at_once=asked.tuning.io.store_requests,
            on_decided=partial(self.progress.finish, "publish"),
        ) as stage:
            job, n_parts = job.as_begun(stage.job), stage.job.n_parts
            n_processes = (
                asked.workers or 0 if asked.scheduler is None else place.size.n_processes
            )
            n_threads = job.n_threads if here else place.size.n_threads
            note(Started(n_processes, n_threads, n_parts, started - self.opened_at))
            self.progress.planned(n_parts)
            with _in_sight(place.client, job, asked, destination, stage.folder):
                outcome = make_parts(place.client, stage, job, self.progress, note, may)
                check_taken_in(source, outcome)
                self.progress.phase("publish", report.kept_rows)
                publishing = time.perf_counter()
                parts = check_visible(stage.parts, outcome.outputs)
                if asked.sink is not None:
                    parts = _poured(stage, list(parts), asked, report)
                elif asked.single_file:
                    parts = stage.join(list(parts))
            summary = {"by": report.by, "rows": report.kept_rows, "checksum": report.checksum}
            stage.prove(parts, summary, report.to_dict())
        return time.perf_counter() - publishing


def _finished_before(asked: Asked, began: float) -> SortReport | None:
    """Complete what an earlier attempt was publishing; return its report if it is ours."""
    settled = recover(asked.dst, resume=asked.resume, n_at_once=asked.tuning.io.store_requests)
    if settled is None or not asked.resume:
        return None
    with suppress(DlsortError):  # another job; what is wrong with this one is reported later
        with open_asked(asked) as source:
            keys = asked.order(source.schema)[0]
            wanted = wanted_of(source, asked, keys, format_by(keys))
        wanted.check_same(settled.job, partitions=asked.partitions)
        return SortReport.of_finished(settled.report, time.perf_counter() - began)
    return None


def _done(report: SortReport) -> Done:
    return Done(
        report.rows,
        report.output_parts,
        report.output_bytes,
        report.checksum,
        report.seconds,
        report.skipped,
    )


def _poured(
    stage: Staging, names: list[str], asked: Asked, report: SortReport
) -> dict[str, int]:
    """Write the parts in another format; return the files' sizes."""
    assert asked.sink is not None
    threads = text_threads(asked)
    sizes, n_rows = stage.pour(names, asked.sink, threads, single_file=asked.single_file)
    check_poured(n_rows, report)
    report.output_bytes = sum(sizes.values())
    return sizes


def _job_file(job: Job, asked: Asked, by: str) -> JobFile:
    return JobFile(
        **vars(wanted_of(job.source, asked, job.keys, by)),
        n_parts=job.n_parts,
        piece_bytes=job.piece_bytes,
        part_bytes=job.part_bytes,
        model=job.known.name if job.known else "",
        costs=job.tuning.io.costs.changed(),
        arrow_factor=job.arrow_factor,
        row_bytes=asked.row_bytes,
    )


def _in_sight(
    client: Any, job: Job, asked: Asked, destination: str, folder: str
) -> AbstractContextManager[None]:
    """Have the workers of another's cluster looked after: they may not see what we see."""
    if asked.scheduler is None:
        return nullcontext()
    from dlsort.strategies.shared_storage import shared_storage

    return shared_storage(
        client, job.source, destination, folder, asked.temp_dir, asked.tuning.strategies
    )
