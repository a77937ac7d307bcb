"""The door to append: a batch of rows into a dataset that dlsort has sorted, which stays so."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import unwrap
from os import PathLike
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dlsort.arrow.same_names import given_name, named
from dlsort.arrow.unite import spelled
from dlsort.dataset import sort_dataset
from dlsort.errors import (
    BadOptionError,
    DestinationError,
    RowsLostError,
    SchemaMismatchError,
)
from dlsort.ingest.formats import is_direct
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.paths import list_of, shown_places
from dlsort.io.schema.metadata import FileSchema
from dlsort.io.schema.united import unite
from dlsort.io.storage import join, make_folder, remove_all
from dlsort.model.reuse import file_mark
from dlsort.order.key_types import check_key_types
from dlsort.proof.checksum import Proof
from dlsort.publish.destination import check_apart
from dlsort.publish.job_file import Wanted
from dlsort.publish.replaceable import Held
from dlsort.publish.staging import Staging
from dlsort.strategies.asked import Asked, read_arguments
from dlsort.strategies.opened import open_asked
from dlsort.strategies.run import Place, place_for
from dlsort.terminal.progress import Progress, progress_for
from dlsort.tuning import TUNING, Tuning
from dlsort.upkeep.cuts import find_fallen
from dlsort.upkeep.job import finished_before, open_destination, staged, wanted_of
from dlsort.upkeep.make import Batch, Upkeep, make_and_prove
from dlsort.upkeep.patches import patches_of_append
from dlsort.upkeep.report import UpkeepReport
from dlsort.upkeep.sorted_dataset import SortedDataset

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["append_dataset"]

BATCH = "batch"  # the folder of the sorted batch, in the job's


def append_dataset(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    dst: str | PathLike[str],
    *,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    compression: str | None = None,
    row_group_rows: int | None = None,
    column_options: str | PathLike[str] | Mapping[str, Mapping[str, Any]] | None = None,
    resume: bool = False,
    schema: str | PathLike[str] | pa.Schema = "union",
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
    input_format: str | None = None,
    csv_options: str | PathLike[str] | Mapping[str, Any] | None = None,
    decryption: str | Callable[[], Any] | None = None,
    progress: Progress | bool | None = None,
    _tuning: Tuning = TUNING,
) -> UpkeepReport:
    """Append rows to a dataset that dlsort has sorted, which stays sorted.

    The result is what a sort of both would give: of equal keys the rows that were there come
    first. Only the parts that the rows fall into are written anew; the others are the same
    files still (in a store, copies that it makes itself). What falls between parts makes parts
    of its own, unless a neighbour is small. The new dataset takes the place of the old at once,
    as that of a sort does, and is proved before: on any failure the old one is as it was.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        The batch: whatever :func:`dlsort.sort_dataset` sorts, in any order.
    dst : str or path-like
        A dataset that dlsort has sorted, with its manifests: it says by which key.
    scheduler : str, Client or Cluster, optional
        A Dask cluster to run on, as of :func:`dlsort.sort_dataset`.
    workers : int, optional
        Worker processes to start on this machine.
    threads : int, optional
        Threads in all.
    memory : int or str, optional
        Memory for the whole job.
    temp_dir : str or path-like, optional
        Where rows go that don't fit the memory.
    compression : str, optional
        Of the parts that are written; by default as the others.
    row_group_rows : int, optional
        Rows of their row groups; by default as the others.
    column_options : str, path-like or mapping, optional
        How single columns of theirs are written, as of :func:`dlsort.sort_dataset`.
    resume : bool
        Resume from what an earlier attempt at the same has kept that was killed. If the files
        are those that were appended last, nothing is done: no row is there twice.
    schema : str, path-like, mapping or pyarrow.Schema
        As of :func:`dlsort.sort_dataset`. Columns that the batch has not are null in its rows.
        What would change columns or types of the dataset is refused.
    ignore : str or a sequence of str
        Patterns of files of the batch to leave out.
    hive_types : str, mapping or Schema, optional
        Types of the columns that its folders give.
    input_format : {"parquet", "csv", "jsonl", "arrow"}, optional
        What its files are, as of :func:`dlsort.sort_dataset`.
    csv_options : str, path-like or mapping, optional
        How CSV is written, as of :func:`dlsort.sort_dataset`.
    decryption : str or callable, optional
        Gives the keys of encrypted files.
    progress : bool, Progress or callable, optional
        True: a live display on standard error. An object's methods are called as the job goes.

    Returns
    -------
    UpkeepReport
        Rows, parts that stayed and that were written, seconds, checksum.

    Raises
    ------
    DlsortError
        One of :mod:`dlsort.errors`: the dataset is none of dlsort's, or not whole; the batch
        does not fit it; or as of a sort.

    Notes
    -----
    Expected time O(batch + parts that it falls into), and a link, or a copy inside of the
    store, for each of the others. The batch is sorted first, beside the dataset.

    Examples
    --------
    >>> import tempfile, dlsort, pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> old, new, dst = (f"{folder.name}/{name}" for name in ("old", "new", "sorted"))
    >>> pq.write_table(pa.table({"x": [5, 1, 3]}), old)
    >>> pq.write_table(pa.table({"x": [4, 2]}), new)
    >>> _ = dlsort.sort_dataset(old, dst, by="x")
    >>> dlsort.append_dataset(new, dst).rows, pq.read_table(dst)["x"].to_pylist()
    (5, [1, 2, 3, 4, 5])
    >>> folder.cleanup()
    """
    given = locals()  # the parameters
    began = time.perf_counter()
    asked = read_arguments(given, _tuning, "append_dataset")
    with progress_for(progress) as display:
        if (finished := finished_before(asked, "append", _files_of(asked), began)) is not None:
            return finished
        opened = open_destination(asked)
        with open_asked(asked) as batch:
            return _append(asked, opened, batch, display, began)


def _append(
    asked: Asked,
    opened: tuple[str, Held, SortedDataset],
    batch: ParquetSource,
    progress: Progress,
    began: float,
) -> UpkeepReport:
    destination, held, dataset = opened
    _check_batch(asked, dataset, batch, destination)
    schema = _fitting_schema(asked, dataset, batch)
    is_there = asked.resume and dataset.has_appended(_marks(batch, asked.tuning))
    if is_there or not batch.n_rows:
        report = dataset.report("append", asked.dst, shown_places(asked.src))
        seconds = time.perf_counter() - began
        return replace(report, added_rows=batch.n_rows, seconds=seconds)
    # sort the batch, plan, make, publish
    wanted = wanted_of(asked, dataset, "append", Wanted.files_of(batch))
    with (
        place_for(asked, batch) as place,
        staged(asked, wanted, dataset, place, (destination, held), progress) as stage,
    ):
        of_batch = _sort_batch(asked, dataset, schema, place, stage, batch)
        fallen = find_fallen(dataset, of_batch.source, place.size.n_threads)
        usual = dataset.usual_rows()
        patches = tuple(patches_of_append(dataset.rows, *fallen, usual))
        upkeep = Upkeep(asked, dataset, schema, usual, patches, of_batch)
        report = make_and_prove(upkeep, stage, place, destination, progress)
    return replace(
        report,
        seconds=time.perf_counter() - began,
        passed_over={why: len(names) for why, names in batch.passed.items()},
        decrypted_files=batch.n_decrypted,
    )


def _marks(batch: ParquetSource, tuning: Tuning) -> tuple[str, ...]:
    """Return what the batch's files are recognised by, unless they are too many."""
    files, stamps = batch.given
    if len(files) > tuning.sample.most_marks or any(map(is_direct, files)):
        return ()
    both = zip(files, stamps, strict=True)
    return tuple(file_mark(path, *stamp) for path, stamp in both)


def _files_of(asked: Asked) -> Callable[[], list[list[Any]]]:
    def files_of() -> list[list[Any]]:
        with open_asked(asked) as batch:
            return Wanted.files_of(batch)

    return files_of


def _check_batch(
    asked: Asked, dataset: SortedDataset, batch: ParquetSource, destination: str
) -> None:
    """Raise if a batch can't be put into a dataset.

    Raises
    ------
    BadOptionError
        If it has files of the dataset.
    DestinationError
        If the dataset has some of its source's rows alone.
    DlsortError
        If it can't be read, or lies where it would be replaced.
    """
    chosen = [name for manifest in dataset.manifests for name in manifest.chosen]
    if chosen:
        msg = (
            f"{asked.dst} was sorted with {chosen[0]} (--{chosen[0].replace('_', '-')}), which "
            "appended rows would not go by: sort all of the sources anew."
        )
        raise DestinationError(msg)
    both = set(batch.files) & set(dataset.source.files)
    if both:
        msg = (
            f"{min(both)} is a part of {asked.dst} already: its rows would be there twice. "
            "Name what is to be appended."
        )
        raise BadOptionError(msg)
    for place in list_of(asked.src):
        if not is_direct(place):
            check_apart(destination, place, batch.given[0])
    batch.check_columns(batch.schema.names, copied=True)
    dataset.source.check_columns(dataset.source.schema.names, copied=True)
    check_key_types(dataset.source.schema, dataset.keys)


def _fitting_schema(asked: Asked, dataset: SortedDataset, batch: ParquetSource) -> pa.Schema:
    """Return the schema of both: the dataset's, but for columns that may be null now.

    Raises
    ------
    SchemaMismatchError
        If files that stay would not have it.
    """
    old, src = dataset.source.schema, shown_places(asked.src)
    both = [
        FileSchema(asked.dst, old, dataset.source.n_rows),
        FileSchema(src, batch.schema, batch.n_rows),
    ]
    united = unite(both, asked.schema).schema
    anew = f"Bring it to the dataset's type, or sort both anew: dlsort sort, of {src} too."
    for field in united:
        if field.name not in old.names:
            msg = (
                f"column {named(field.name)} of {src} is not in {asked.dst}, and an append "
                "leaves most of its files as they are. Leave the column out, or sort both anew."
            )
            raise SchemaMismatchError(msg)
        before = old.field(field.name)
        if not field.type.equals(before.type, check_metadata=True):
            msg = (
                f"column {named(field.name)} is {spelled(before)} in {asked.dst}, and to hold "
                f"the values of {src} too it would be {spelled(field)}; an append leaves most "
                f"files as they are. {anew}"
            )
            raise SchemaMismatchError(msg)
    return pa.schema([united.field(name) for name in old.names], old.metadata)


def _sort_batch(
    asked: Asked,
    dataset: SortedDataset,
    schema: pa.Schema,
    place: Place,
    stage: Staging,
    batch: ParquetSource,
) -> Batch:
    """Sort the batch into the job's folder, in the dataset's columns."""
    above = join(stage.folder, BATCH)
    remove_all(above)  # an earlier attempt's may not be whole, or half-way published in a store
    folder = join(above, "sorted")
    make_folder(above)
    shown = pa.schema([f.with_name(given_name(f.name)) for f in schema], schema.metadata)
    # What was no Parquet is read once: text may be long, and a stream is gone.
    is_made = batch.origin is not None and not any(batch.told)
    done = unwrap(sort_dataset)(  # settings are of what users sort
        batch.files if is_made else asked.src,
        folder,
        by=dataset.keys,
        scheduler=place.client or "embedded",
        threads=None if place.client else asked.threads,
        memory=asked.memory,
        temp_dir=asked.temp_dir,
        schema=shown,
        manifest=False,
        ignore=() if is_made else asked.ignore,
        hive_types=asked.hive_types or None,
        input_format=None if is_made else asked.input_format,
        csv_options=None if is_made else asked.csv_options.given(),
        decryption=asked.decryption,
        model="none",
        _tuning=asked.tuning,
    )
    if batch.origin is not None and batch.origin.n_rows not in (-1, done.rows):
        msg = (
            f"{batch.origin.n_rows:,} rows were read, and {done.rows:,} sorted. Nothing was "
            "changed. This is a bug, or bad memory: please report it."
        )
        raise RowsLostError(msg)
    high, low = done.checksum[:16], done.checksum[16:]
    proof = Proof(done.rows, int(low, 16), int(high, 16))
    marks = _marks(batch, asked.tuning)
    return Batch(open_source(folder, asked.tuning.io, schema), proof, marks)
