"""``dlsort append`` and ``dlsort compact``: a sorted dataset stays sorted, and even."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dlsort.cli.failures import Command, sentence, tell
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.quiet import hush_dask, own_warnings, silent_compiling
from dlsort.cli.stop import Watched, leave, on_signal
from dlsort.options.doors import check_together
from dlsort.terminal.streams import write

if TYPE_CHECKING:
    from dlsort.upkeep.report import UpkeepReport

__all__ = ["append_command", "compact_command"]


@click.command("append", cls=Command)
@click.argument("src")
@click.argument("dst")
@options_of("append")
def append_command(src: str, dst: str, *, progress: bool, **options: Any) -> None:
    """Append the rows of SRC to the sorted dataset DST, which stays sorted.

    SRC is whatever dlsort sorts, in any order; DST was sorted by dlsort, and says by
    which key. Only the files that rows fall into are written anew, the others are
    the same files still. Of equal keys the rows that were there come first. DST
    changes at once, when the new one is proved; if anything fails, it stays as it was.

    \b
    dlsort append today.parquet sorted/
    dlsort check sorted/
    """
    check_together(options)

    def run(progress: Any) -> UpkeepReport:
        from dlsort.upkeep.append import append_dataset

        return append_dataset(src, dst, progress=progress, **options)

    _run(run, dst, show=progress)


@click.command("compact", cls=Command)
@click.argument("dst")
@options_of("compact")
def compact_command(dst: str, *, progress: bool, **options: Any) -> None:
    """Make the files of the sorted dataset DST even.

    Runs of files of less than half the usual rows, as many appends leave them, are put
    together, and files of more than twice as many are cut. The others are the same
    files still, and all rows stay in their order.

    \b
    dlsort compact sorted/
    dlsort compact sorted/ --partition-size 256MiB
    """
    check_together(options)

    def run(progress: Any) -> UpkeepReport:
        from dlsort.upkeep.compact import compact_dataset

        return compact_dataset(dst, progress=progress, **options)

    _run(run, dst, show=progress)


def _run(run: Callable[[Any], UpkeepReport], dst: str, *, show: bool) -> None:
    """Run a job, and tell what it did; once it is published, nothing makes it fail."""
    with on_signal(leave), silent_compiling(silent=not show):
        from dlsort.terminal.progress import NoProgress, live_progress

        hush_dask()
        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            try:
                with own_warnings(), live_progress(show=show) as watched.progress:
                    done = run(watched)
            except Exception as error:
                if not watched.is_decided:
                    raise
                why, _ = sentence(error)
                tell(f"warning: {dst} is as it should be; but after that: {why}")
                return
            watched.tidied()
            text = write(sys.stdout, done.to_text())
    if text is not None:
        tell(f"warning: {dst} is as it should be, but the report could not be written: {text}.")
