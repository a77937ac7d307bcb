"""Make: the parts of some patches are written, those that stay are linked; all are published.

What stays is not read. A part in a folder gets a second name (a hard link), under which its
bytes lie in the new folder too; an object of a store is copied inside of the store as it is
published. So the dataset is the old or the new at every moment, as of a sort.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from dlsort.errors import RowsLostError
from dlsort.io.find import Listing, SourceFile
from dlsort.io.parquet.encodings import choose_encodings
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import Growth, part_name
from dlsort.io.paths import shown_places
from dlsort.io.storage import is_store, join, write_error
from dlsort.proof.checksum import Proof, total
from dlsort.proof.outcome import Outcome, check_outcome
from dlsort.proof.stats import Clock, InputStats, OutputStats
from dlsort.publish.destination import filled
from dlsort.publish.finished import check_visible, verify_finished
from dlsort.publish.places import runs_of
from dlsort.publish.staging import Staging
from dlsort.strategies.asked import Asked
from dlsort.strategies.budget import check_row_groups
from dlsort.strategies.move import Slice, move_part, rows_between
from dlsort.strategies.part import lay_parts
from dlsort.strategies.reader import Reader
from dlsort.strategies.run import Place, run_plan
from dlsort.terminal.progress import Progress
from dlsort.upkeep.cuts import cut_patch
from dlsort.upkeep.patches import Patch, n_cuts
from dlsort.upkeep.report import UpkeepReport
from dlsort.upkeep.sorted_dataset import SortedDataset

__all__ = ["Batch", "Upkeep", "make_and_prove"]

MAKING = "remake"  # the folder of the parts, in the job's


class Batch(NamedTuple):
    """Rows that are put into a dataset: a folder of them, sorted, and what they amount to."""

    source: ParquetSource
    proof: Proof
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upkeep:
    """What is done to a dataset.

    Parameters
    ----------
    asked : Asked
        What the caller wants.
    dataset : SortedDataset
        What is there.
    schema : pyarrow.Schema
        What parts are read and written with: the dataset's, but what may be null.
    usual : int
        Rows of a part of the usual size.
    patches : tuple of Patch
        Which rows are made anew, in order.
    batch : Batch or None
        What is put into it.
    """

    asked: Asked
    dataset: SortedDataset
    schema: pa.Schema
    usual: int
    patches: tuple[Patch, ...]
    batch: Batch | None = None


class _NewPart(NamedTuple):
    """Rows of a part that is to be written, in the order that decides between equal keys."""

    slices: tuple[Slice, ...]
    n_rows: int


def make_and_prove(
    upkeep: Upkeep,
    stage: Staging,
    place: Place,
    destination: str,
    progress: Progress,
) -> UpkeepReport:
    """Write the parts of the patches, link the others, and note that all are proved.

    Raises
    ------
    ClusterError
        If the cluster could not go on.
    NotProvedError
        If rows were lost, or are out of order, or parts are not what their footers say.
    DestinationError
        If a part can't be written, or linked.
    """
    asked, dataset = upkeep.asked, upkeep.dataset
    source = _source_of(upkeep, stage.job.part_bytes, stage.job.piece_bytes, place)
    entries = _entries(upkeep, source, stage.job.part_bytes)
    made = {n: entry for n, entry in enumerate(entries) if isinstance(entry, _NewPart)}
    kept = {n: entry for n, entry in enumerate(entries) if isinstance(entry, int)}
    folder = stage.begin(MAKING)
    writer = _writer(upkeep, stage, source, folder, entries)
    threads = place.size.n_threads
    n_resumed = verify_finished(place.client, writer, threads) if stage.is_resumed else 0
    reader = Reader.of(source, dataset.keys, asked.tuning)
    layer = lay_parts(
        uuid.uuid4().hex,
        [(move_part, reader, writer, new.slices, n, len(entries)) for n, new in made.items()],
        {},
    )
    n_moved = sum(new.n_rows for new in made.values())
    with _in_sight(place.client, upkeep, source, destination, folder):
        outcome, _ = run_plan(place.client, layer, n_moved, progress, threads)
        _check_read(upkeep, kept, outcome)
        outputs = _check_all(upkeep, kept, outcome)
        n_rows = sum(s.proof.rows for s in outputs)
        progress.phase("publish", n_rows)
        names = {part_name(n, len(entries)): part for n, part in kept.items()}
        objects = _keep(upkeep, stage, names)
        seen = outcome.outputs if objects else outputs
        sizes = check_visible(stage.parts, seen)
    stamps = dataset.source.stamps
    sizes |= {name: stamps[names[name]].n_bytes for name in objects}
    src = shown_places(asked.src) if upkeep.batch else ""
    report = replace(
        dataset.report(stage.job.door, asked.dst, src),
        added_rows=upkeep.batch.proof.rows if upkeep.batch else 0,
        rows=n_rows,
        kept_parts=len(kept),
        remade_parts=len(dataset.rows) - len(kept),
        written_parts=len(made),
        written_bytes=outcome.file_bytes,
        bytes=sum(sizes.values()),
        checksum=total(s.proof for s in outputs).checksum,
        resumed_parts=n_resumed,
        generation=dataset.generation + 1,
    )
    summary = {"by": report.by, "rows": report.rows, "checksum": report.checksum}
    stage.prove(sizes, summary, report.to_dict(), objects)
    return report


def _source_of(
    upkeep: Upkeep, part_bytes: int, piece_bytes: int, place: Place
) -> ParquetSource:
    """Return the parts that are made anew and the batch, as one source, in this order."""
    asked, dataset = upkeep.asked, upkeep.dataset
    remade = [part for patch in upkeep.patches for part in patch.parts]
    paths = [dataset.source.files[part] for part in remade]
    paths += upkeep.batch.source.files if upkeep.batch else ()
    listing = Listing(tuple(SourceFile(path) for path in paths))
    source = open_source(
        tuple(paths),
        asked.tuning.io,
        upkeep.schema,
        listing=listing,
    )
    if [dataset.source.stamps[part] for part in remade] != list(source.stamps[: len(remade)]):
        raise filled(asked.dst)
    budget, n_processes = asked.tuning.budget, max(1, place.size.n_processes)
    most = check_row_groups(source, asked.memory_bytes, n_processes, budget)
    group_bytes = part_bytes * budget.working_copies // budget.reading_copies
    return replace(source, most_bytes=most).within(group_bytes, piece_bytes)


def _entries(upkeep: Upkeep, source: ParquetSource, part_bytes: int) -> list[int | _NewPart]:
    """Return the parts that there will be, in order: numbers of old ones that stay, or new."""
    dataset, rows = upkeep.dataset, upkeep.dataset.rows
    of_file: dict[int, list[int]] = {}
    for number, group in enumerate(source.row_groups):
        if group.n_rows:
            of_file.setdefault(group.file, []).append(number)
    remade = [part for patch in upkeep.patches for part in patch.parts]
    groups_of = {part: of_file.get(file, []) for file, part in enumerate(remade)}
    new = [g for file in sorted(of_file) if file >= len(remade) for g in of_file[file]]
    row_bytes = max(1.0, source.arrow_bytes / max(1, source.n_rows))
    most = max(1, int(part_bytes / row_bytes))
    entries: list[int | _NewPart] = []
    done = 0
    for patch in upkeep.patches:
        entries += range(done, patch.after + 1)
        old = [g for part in patch.parts for g in groups_of[part]]
        wanted = n_cuts(patch, rows, upkeep.usual, most)
        span = patch.begin, patch.end
        for cut in cut_patch(dataset, source, old, new, span, wanted):
            slices = (*_slices(source, old, cut.old), *_slices(source, new, cut.new))
            if not slices:  # a part without rows still has columns
                slices = (Slice(source.piece(0, 0).without_rows(), 0, 0),)
            n_rows = sum(each.n_rows for each in slices)
            entries.append(_NewPart(slices, n_rows))
        done = max(done, patch.after + 1, *(part + 1 for part in patch.parts))
    return [*entries, *range(done, len(rows))]


def _slices(
    source: ParquetSource, groups: Sequence[int], between: tuple[int, int]
) -> tuple[Slice, ...]:
    if between[0] >= between[1]:
        return ()
    rows = np.array([source.row_groups[g].n_rows for g in groups], np.int64)
    return rows_between(source, groups, rows, *between)


def _writer(
    upkeep: Upkeep,
    stage: Staging,
    source: ParquetSource,
    folder: str,
    entries: Sequence[int | _NewPart],
) -> Writer:
    dataset, job, tuning = upkeep.dataset, stage.job, upkeep.asked.tuning
    old, lead = dataset.source, next(n for n, e in enumerate(entries) if not isinstance(e, int))
    manifests = dataset.manifests
    members = runs_of(
        (manifests[entry].job, manifests[entry].part)
        if isinstance(entry, int)
        else (job.name, n)
        for n, entry in enumerate(entries)
    )
    told = old.told_types
    if told is not None:
        nullable = {field.name: field.nullable for field in source.schema}
        told = pa.schema([f.with_nullable(nullable[f.name]) for f in told], told.metadata)
    remade = [part for patch in upkeep.patches for part in patch.parts]
    marks = [mark for part in remade for mark in manifests[part].source]
    return Writer(
        folder,
        source.schema.with_metadata(old.schema.metadata),
        dataset.keys,
        choose_encodings(source.schema, source.layouts, tuning.io),
        job.compression,
        job.row_group_rows,
        job.part_bytes,
        tuning,
        job.name,
        times_in_utc=old.times_in_utc,
        told_types=told,
        has_elements=old.has_elements,
        marks=(*(upkeep.batch.marks if upkeep.batch else ()), *marks),
        growth=Growth(dataset.generation + 1, upkeep.usual, lead, members),
        chosen=tuple(dataset.manifests[0].chosen),
        column_options=upkeep.asked.column_options,
    )


def _check_read(upkeep: Upkeep, kept: dict[int, int], outcome: Outcome) -> None:
    """Compare what was read with what the parts, and the batch, are known to hold.

    Raises
    ------
    RowsLostError
        If it is not the same.
    """
    dataset, batch = upkeep.dataset, upkeep.batch
    remade = set(range(len(dataset.rows))) - set(kept.values())
    known = total(dataset.proof(part) for part in remade) + (batch.proof if batch else Proof())
    read = total(s.proof for s in outcome.inputs)
    if read != known:
        msg = (
            f"{read.rows:,} rows were read, with checksum {read.checksum}, where "
            f"{known.rows:,} with {known.checksum} are told by the parts' footers"
            f"{' and the sort of what is appended' if batch else ''}. Nothing was published: a "
            f"part of {upkeep.asked.dst} is damaged, or was changed; restore it, or sort anew."
        )
        raise RowsLostError(msg)


def _check_all(upkeep: Upkeep, kept: dict[int, int], outcome: Outcome) -> list[OutputStats]:
    """Return what all parts amount to, in order, those that stay by their footers.

    Raises
    ------
    NotProvedError
        If a row is lost, or parts are not in order.
    """
    dataset, clock = upkeep.dataset, Clock()
    outputs = [replace(s, edges=dataset.plain(s.edges)) for s in outcome.outputs]
    inputs = list(outcome.inputs)
    for n, part in kept.items():
        proof, n_bytes = dataset.proof(part), dataset.source.stamps[part].n_bytes
        files = ((part_name(n, len(kept) + len(outcome.outputs)), n_bytes),)
        edges = dataset.edges[part]
        outputs.append(OutputStats(n, proof, n_bytes, edges, clock, files=files))
        inputs.append(InputStats(proof, clock))
    outputs.sort(key=lambda stats: stats.part)
    n_rows = dataset.source.n_rows + (upkeep.batch.proof.rows if upkeep.batch else 0)
    order = upkeep.asked.tuning.order
    check_outcome(n_rows, dataset.keys, Outcome(inputs, outputs), order)
    return outputs


def _keep(upkeep: Upkeep, stage: Staging, names: dict[str, int]) -> dict[str, str]:
    """Have the parts that stay among the new; of a store, return which objects they are."""
    files = upkeep.dataset.source.files
    if is_store(stage.folder):
        return {name: PurePath(files[part]).name for name, part in names.items()}
    for name, part in names.items():
        path = join(stage.parts, name)
        try:
            link_file(Path(files[part]), Path(path))
        except OSError as error:
            raise write_error(error, path) from error
    return {}


def link_file(old: Path, new: Path) -> None:
    """Give a file a second name, or copy it where that can't be done."""
    new.unlink(missing_ok=True)
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # no links here, too many of them, or not ours
        shutil.copy2(old, new)
        fd = os.open(new, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _in_sight(
    client: Any, upkeep: Upkeep, source: ParquetSource, destination: str, folder: str
) -> AbstractContextManager[None]:
    """Have the workers of another's cluster looked after: they may not see what we see."""
    asked = upkeep.asked
    if asked.scheduler is None:
        return nullcontext()
    from dlsort.strategies.shared_storage import shared_storage

    how = asked.temp_dir, asked.tuning.strategies
    return shared_storage(client, source, destination, folder, *how)
