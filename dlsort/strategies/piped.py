"""Piped: a result that goes to standard output, once it is proved.

It is sorted into a private folder for temporary files first, so that nothing is written before
all is known to be right; then its rows are streamed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from dlsort.errors import DestinationError, RowsLostError
from dlsort.events import Event, Published
from dlsort.io.sinks.pour import pour
from dlsort.io.storage import join, names_in
from dlsort.report import SortReport
from dlsort.strategies.asked import Asked
from dlsort.terminal.progress import Progress
from dlsort_cluster.machine import machine_cores
from dlsort_cluster.scratch import make_scratch

__all__ = ["check_poured", "sort_to_pipe", "text_threads"]

_PHASE = "publish"


def sort_to_pipe(
    asked: Asked,
    progress: Progress,
    tell: Callable[[Event], None],
    sort: Callable[[Asked, Progress, Callable[[Event], None]], SortReport],
    began: float,
) -> SortReport:
    """Sort, and write the rows to standard output.

    Parameters
    ----------
    asked : Asked
        What is wanted.
    progress : Progress
        What is told of phases; that of publishing is over once all is written.
    tell : callable
        What is told of events.
    sort : callable
        Sorts into a folder of Parquet files.
    began : float
        When the sort was asked for, by ``time.perf_counter``.

    Raises
    ------
    BrokenPipeError
        If the reader wants no more.
    DestinationError
        If there is no standard output.
    """
    assert asked.sink is not None
    out = _standard_output()
    # Of another's cluster that is the workers' own folder, which may not be here.
    here = asked.temp_dir if asked.temp_dir and Path(asked.temp_dir).is_dir() else None
    with make_scratch(here) as folder:
        parts = join(folder, ".rows", "sorted")  # hidden from a sort of the folder above
        inside = replace(asked, dst=parts, sink=None, single_file=False)
        report = sort(inside, _Held(progress), lambda event: _pass_on(event, tell))
        began_writing = time.perf_counter()
        paths = [join(parts, name) for name in sorted(names_in(parts))]
        n_rows = pour(paths, out, asked.sink, text_threads(asked))
        out.flush()
    check_poured(n_rows, report)
    progress.finish(_PHASE)
    report.dst = asked.dst
    now = time.perf_counter()
    written = Published(report.phases.publish_s + now - began_writing, now - began)
    report.note(written)
    tell(written)
    return report


def text_threads(asked: Asked) -> int:
    """Return how many threads make text of rows: as many as sort in this process."""
    return asked.threads or asked.workers or machine_cores()


def check_poured(n_rows: int, report: SortReport) -> None:
    """Raise unless all rows that were proved were written in another format.

    Raises
    ------
    RowsLostError
    """
    if n_rows != report.kept_rows:
        msg = (
            f"{report.kept_rows:,} rows were sorted and proved, {n_rows:,} written. This is a "
            "bug: please report it."
        )
        raise RowsLostError(msg)


def _standard_output() -> BinaryIO:
    out: Any = getattr(sys.stdout, "buffer", None)
    if out is None:
        msg = "standard output takes no bytes here; name a file as the destination."
        raise DestinationError(msg)
    sys.stdout.flush()
    return out


def _pass_on(event: Event, tell: Callable[[Event], None]) -> None:
    if not isinstance(event, Published):
        tell(event)


class _Held:
    """Progress of a sort into a folder, which is not the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def phase(self, name: str, total_rows: int) -> None:
        """Pass it on."""
        self._progress.phase(name, total_rows)

    def rows(self, name: str, done: int) -> None:
        """Pass it on."""
        self._progress.rows(name, done)

    def finish(self, name: str) -> None:
        """Pass it on, but for the end."""
        if name != _PHASE:
            self._progress.finish(name)
