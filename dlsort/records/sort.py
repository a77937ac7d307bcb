"""Records of the sort benchmark, sorted: one door for Indy's uniform keys and Daytona's any."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlsort.errors import DestinationError
from dlsort.events import Event, Ran
from dlsort.io.paths import list_of, shown_places
from dlsort.model.sample import rows_needed
from dlsort.options.settings import with_settings
from dlsort.proof.outcome import Outcome, check_outcome
from dlsort.publish.destination import check_apart
from dlsort.records.plan import RecordsPlan, plan_records
from dlsort.records.report import RecordsReport
from dlsort.records.source import RecordSource, cut_records, open_records
from dlsort.records.target import SUFFIX, Target, check_target, is_stream, staged
from dlsort.records.tasks import KEYS, RecordParts, RecordReader, fit_records
from dlsort.strategies.asked import Asked, read_arguments
from dlsort.strategies.budget import ask_memory
from dlsort.strategies.run import Place, place_for, run_plan
from dlsort.terminal.progress import Progress, progress_for
from dlsort.tuning import TUNING, Tuning
from dlsort_cluster.exchange import Exchange, Layer
from dlsort_cluster.in_process import lay
from dlsort_cluster.machine import machine_memory_bytes

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["sort_records"]


# Records that are looked at of a small source, if it has so many; of a large one a tenth.
LEAST_LOOKED = 100_000


@with_settings("sort_records")
def sort_records(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    dst: str | PathLike[str],
    *,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    partitions: int | None = None,
    carry: str = "auto",
    memory: int | str | None = None,
    temp_dir: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | Callable[[Event], object] | bool | None = None,
    _tuning: Tuning = TUNING,
) -> RecordsReport:
    """Sort records of 100 bytes by their first 10, as the sort benchmark has it.

    The sort is stable: records with equal keys keep the order of the source, files taken in the
    natural order of their names. The result is proved (count, checksum of whole records, order)
    before it is published; on any failure the destination is as it was.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        A file of records, a folder of files in the natural order of their names, or several of
        these.
    dst : str or path-like
        A folder to make, of files whose name order is the sort order; or one file, if it ends
        in ``.dat`` or is a file.
    scheduler : str, Client or Cluster, optional
        A running Dask cluster whose workers see source and destination under the same paths.
    workers : int, optional
        Worker processes to start on this machine.
    threads : int, optional
        Threads in all; by default one a core.
    partitions : int, optional
        Number of parts; by default they have about 256 MiB.
    carry : {"auto", "keys", "records"}
        What travels: of each record its key and its place, by which its part fetches it from
        the source; or whole records. By default what is predicted to cost least.
    memory : int or str, optional
        Memory for the whole job: bytes, a size as in ``"4GiB"``, or a share as in ``"50%"``.
        Pages of the source that the system keeps in its cache are not of it.
    temp_dir : str or path-like, optional
        Where goes what does not fit the memory.
    overwrite : bool
        Replace ``dst``, if it is a file, or a folder of nothing but such files.
    progress : bool, Progress or callable, optional
        As of :func:`dlsort.sort_dataset`.

    Returns
    -------
    RecordsReport
        Seconds a phase, MB/s a core, balance, memory, checksum.

    Raises
    ------
    SourceNotFoundError
        If there is no such source.
    CorruptSourceError
        If a file ends inside a record.
    DestinationExistsError
        If something is there.
    DlsortError
        Another, with a sentence that says what to do.

    Notes
    -----
    Expected time O(n). By ``keys`` the source is mapped; a file that gets shorter meanwhile
    ends the process.

    Examples
    --------
    >>> import dlsort, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> src, dst = folder.name + "/records", folder.name + "/sorted"
    >>> _ = dlsort.generate_records(1000, src, skew=True)
    >>> dlsort.sort_records(src, dst).records, dlsort.validate_records(dst).ok
    (1000, True)
    >>> folder.cleanup()
    """
    given = locals()
    began = time.perf_counter()
    asked = read_arguments(given, _tuning, "sort_records")
    with progress_for(progress) as display:
        return _sort(asked, display, began)


def _sort(asked: Asked, progress: Progress, began: float) -> RecordsReport:
    report = RecordsReport(shown_places(asked.src), asked.dst)
    # open
    source = open_records(asked.src)
    is_file = _is_file(asked.dst)
    target = _check(source, asked, 1, is_file=is_file)
    opened = time.perf_counter()
    with place_for(asked, source) as place:  # type: ignore[arg-type]  # its size is asked for
        plan = plan_records(source, asked, _memory_of(asked, place), place.size)
        target = _check(source, asked, plan.n_parts, is_file=is_file)
        started = time.perf_counter()
        # sample
        progress.phase("sample", source.n_rows)
        sizes = [source.arrow_bytes] if is_file else [0] * plan.n_parts
        with staged(target, sizes, "terasort") as paths:
            layer = _layer(source, asked, plan, place, tuple(paths))
            sampled_s = time.perf_counter() - started
            # partition, exchange, sort
            outcome, ran = run_plan(
                place.client, layer, source.n_rows, progress, place.size.n_threads
            )
            # prove
            check_outcome(source.n_rows, KEYS, outcome, asked.tuning.order)
            # publish
            progress.phase("publish", source.n_rows)
            publishing = time.perf_counter()
        progress.finish("publish")
        ended = time.perf_counter()
    report.phases.open_s, report.phases.start_s = opened - began, started - opened
    report.phases.publish_s = ended - publishing
    report.workers = place.size.n_processes if place.client is not None else 0
    report.threads = place.size.n_threads
    report.seconds = ended - began
    _note(report, source, plan, outcome, ran, sampled_s)
    return report


def _note(
    report: RecordsReport,
    source: RecordSource,
    plan: RecordsPlan,
    outcome: Outcome,
    ran: Ran,
    sampled_s: float,
) -> None:
    report.records, report.bytes = source.n_rows, source.arrow_bytes
    report.input_files, report.input_parts = len(source.files), len(outcome.inputs)
    report.part_records = outcome.part_rows
    report.strategy, report.why = plan.strategy, plan.why
    phases = report.phases
    phases.sample_s, phases.partition_s = sampled_s + ran.sample_s, ran.partition_s
    phases.sort_s, phases.work = ran.sort_s, dict(ran.work)
    mean = report.records / max(1, plan.n_parts)
    report.balance = max(report.part_records) / mean if mean else 1.0
    report.mb_per_s_core = report.bytes / 1e6 / report.seconds / max(1, report.threads)
    report.spilled_bytes, report.peak_memory_bytes = ran.spilled_bytes, ran.peak_memory_bytes
    report.mapped_bytes = source.arrow_bytes if plan.strategy == "keys" else 0
    report.checksum = outcome.checksum


def _is_file(dst: str) -> bool:
    """Return whether a destination is to be one file."""
    path = Path(dst)
    if path.is_dir() or dst.endswith("/"):
        return False
    return path.suffix == SUFFIX or path.is_file()


def _check(source: RecordSource, asked: Asked, n_parts: int, *, is_file: bool) -> Target:
    """Return the destination, if the source may be sorted into it."""
    if is_stream(asked.dst):
        msg = f"{asked.dst} takes no records by their places; name a file or a folder."
        raise DestinationError(msg)
    n_files = None if is_file else n_parts
    target = check_target(
        asked.dst, n_files, source.arrow_bytes, overwrite=bool(asked.overwrite)
    )
    for each in list_of(asked.src):
        check_apart(str(target.path), each, source.files)
    return target


def _memory_of(asked: Asked, place: Place) -> int:
    if asked.scheduler is None:
        return asked.memory_bytes
    size = place.size
    most = size.memory_bytes or machine_memory_bytes()
    return ask_memory(
        asked.memory, most, asked.tuning.budget, "workers" if size.is_limited else None
    )


def _layer(
    source: RecordSource,
    asked: Asked,
    plan: RecordsPlan,
    place: Place,
    paths: tuple[str, ...],
) -> Layer:
    """Look at some records, fit the model, and return the tasks of the exchange."""
    tuning = asked.tuning
    needed = rows_needed(plan.n_parts, tuning.records.balance)
    n_looked = min(needed, max(LEAST_LOOKED, source.n_rows // 10))
    looked = source.look(n_looked, np.random.default_rng(0))
    model = fit_records(looked, source.n_rows, plan.n_parts, tuning)
    reader = RecordReader(source, tuning, whole=plan.strategy == "records")
    parts = RecordParts(reader, paths, plan.budget.part_bytes)
    pieces = cut_records(source, plan.piece_records)
    token = uuid.uuid4().hex
    exchange = Exchange(
        token,
        plan.n_parts,
        reader.split,
        parts.merge,
        plan.budget.store_bytes,
        place.temp_dir,
    )
    name = f"dlsort-part-{token}"
    if place.client is None:
        if not reader.whole:
            source.mapped()
        return lay(exchange, name, pieces, model)
    from dlsort_cluster.engine import build, engine_of_clients

    return build(exchange, name, pieces, model, engine=engine_of_clients())
