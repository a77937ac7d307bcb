"""The command line: ``dlsort sort``, ``append``, ``check``, ``inspect`` and others.

Whatever is heavy is imported inside the commands, so that help answers at once.

==============  ============================================================
exit code       means
==============  ============================================================
0               done, or skipped by --if-exists skip. Where standard output
                is full or closed, a warning says what could not be shown
1               check or valsort found rows out of order; check other rows, or
                lookups that touch more than --max-depth; an engine of bench
                failed, or gave a wrong result
2               a bad argument, source, destination or cluster, explained in
                a sentence. The destination is untouched (in a store: unless
                the sentence says that --resume will complete it)
3               a bug. DLSORT_TRACEBACK=1 shows where
4               sorted and published, but the --report could not be written
141             the reader of standard output wanted no more of the rows (DST
                is -), as of head
129, 130, 143   stopped because the terminal went away, by Ctrl-C, or by
                SIGTERM. The destination is untouched
==============  ============================================================
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlsort.cli.bench import bench_command
from dlsort.cli.completion import completion_command, path_names
from dlsort.cli.config import config_command
from dlsort.cli.exit_codes import NOT_OK, NOT_REPORTED, READER_GONE, epilog
from dlsort.cli.explain import explain_command, show
from dlsort.cli.failures import (
    Command,
    Commands,
    Failure,
    sentence,
    tell,
    waited_s,
)
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.inspect import inspect_command
from dlsort.cli.log_lines import is_json, logged
from dlsort.cli.model import model_command
from dlsort.cli.overlap import show_overlap
from dlsort.cli.quiet import hush_dask, own_warnings, silent_compiling
from dlsort.cli.records import gensort_command, terasort_command, valsort_command
from dlsort.cli.report_path import check_report_path
from dlsort.cli.stats import stats_command
from dlsort.cli.stop import Stopped, Watched, leave, on_signal
from dlsort.cli.upkeep import append_command, compact_command
from dlsort.errors import DlsortError
from dlsort.options.doors import check_together
from dlsort.terminal.streams import columns, write
from dlsort.version import __version__
from dlsort.wording import count

if TYPE_CHECKING:
    from dlsort.report import SortReport

__all__ = ["main"]


class SortCommand(Command):
    """``sort``, some of whose flags may stand alone: ``--overwrite`` and ``--unique``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Have what follows a plain ``--overwrite`` or ``--unique`` not taken for its value."""
        n = args.index("--") if "--" in args else len(args)
        known = ["--overwrite=" if arg == "--overwrite" else arg for arg in args[:n]]
        known = [
            "--unique=first" if arg == "--unique" and after not in ("first", "last") else arg
            for arg, after in zip(known, [*known[1:], ""], strict=False)
        ]
        if ("--overwrite=", "force") in pairwise(known):  # else it would be the destination
            msg = (
                "1 more than the expected arguments: force. Write --overwrite=force, with an "
                "equals sign."
            )
            raise click.UsageError(msg, ctx)
        return super().parse_args(ctx, known + args[n:])


@click.group(
    "dlsort",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(),
)
@click.version_option(__version__, prog_name="dlsort", message="%(prog)s %(version)s")
def main() -> None:
    """Sort Parquet datasets on Dask, and check that they are sorted.

    \b
    dlsort sort events/ sorted/ --by "day,price:desc"
    dlsort check sorted/ --by "day,price:desc" --against events/
    dlsort explain events/ --by day
    dlsort stats sorted/ --below 2024-02-01
    """


@main.command("sort", cls=SortCommand)
@click.argument("src", nargs=-1, required=True, shell_complete=path_names)
@click.argument("dst", shell_complete=path_names)
@options_of("sort")
def sort_command(
    src: tuple[str, ...],
    dst: str,
    *,
    report: str | None,
    progress: bool,
    dry_run: bool,
    log_format: str,  # looked at before anything else
    **options: Any,
) -> None:
    """Sort what is in SRC, one or more of them, into the folder DST.

    SRC is a file of Parquet, CSV, JSON lines (.gz and .zst too) or Arrow IPC, a
    folder of them at any depth, a quoted glob, a Delta or Iceberg table, which gives
    its current rows, - for standard input, or @FILE for what a file lists. Folders
    such as day=2024-01-01 give columns. Other files have to be named by --ignore. DST
    becomes a folder of files whose name order is the sort order; one file if its name
    ends in .parquet, .csv, .jsonl (.gz and .zst too) or .arrow; - is standard output
    (--output-format csv, jsonl or arrow). The sort is
    stable. The result is proved (row count, checksum of whole rows, order) before
    it is published; if anything fails, DST stays as it was.

    Example: by day, largest price first, rows without a note before the others:

    \b
    dlsort sort "in/2024-*.parquet" sorted/ --memory 4GiB --report sorted.json \\
        --by "day,price:desc,note:asc:nulls_first"
    """
    check_together(options)
    is_piped = dst == "-"
    if is_piped and report == "-":
        raise Failure("--report is -, but standard output is for the rows; name a file.")
    places = src[0] if len(src) == 1 else src
    if dry_run:
        if report is not None:
            raise Failure("--dry-run makes no report: leave --report out.")
        _show_plan(places, dst, options)
        return
    paths = [check_report_path(report, each, dst) for each in src if report is not None]
    report_path = paths[0] if paths else None
    if report_path is not None and report_path.suffix.lower() in (".html", ".htm"):
        from dlsort.page.run_page import check_bokeh

        check_bokeh()
    with on_signal(leave), silent_compiling(silent=not progress), logged():
        from dlsort.dataset import sort_dataset
        from dlsort.terminal.listener import JsonLines
        from dlsort.terminal.progress import NoProgress, live_progress

        hush_dask()
        if not (is_piped or options["resume"]) and options["if_exists"] != "resume":
            _tell_of_abandoned(dst)
        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            startup_s = waited_s()
            try:
                shown = (
                    nullcontext(JsonLines(sys.stderr, phases=progress))
                    if is_json()
                    else live_progress(show=progress)
                )
                with own_warnings(), shown as watched.progress:
                    done = sort_dataset(places, dst, progress=watched, **options)
            except BrokenPipeError:
                if not is_piped:
                    raise
                raise click.exceptions.Exit(READER_GONE) from None
            except Exception as error:
                if not watched.is_decided:
                    raise
                why, _ = sentence(error)
                tell(f"warning: {dst} is sorted and complete; but after that: {why}")
                if report_path is not None:
                    raise click.exceptions.Exit(NOT_REPORTED) from error
                return
            done.startup_s = startup_s
            if done.passed_over:
                counts = ", ".join(f"{n:,} {why}" for why, n in done.passed_over.items())
                tell(f"note: not read of {done.src}: {counts}.")
            if done.decrypted_files:
                tell("note: the result is not encrypted.")
            watched.tidied()
            _give_report(done, report, report_path, is_piped=is_piped)


def _show_plan(src: str | tuple[str, ...], dst: str, options: dict[str, Any]) -> None:
    """Tell what the sort would do; nothing is written."""
    with on_signal(leave):
        from dlsort.explained.door import explain_sort

        show(explain_sort({"src": src, "dst": dst, "progress": None, **options}), "text")


def _give_report(
    done: SortReport, report: str | None, path: Path | None, *, is_piped: bool
) -> None:
    """Show the report, and write it where it was asked for; the sort itself is done.

    What can't be shown is a warning. What was asked for and can't be written is
    an exit code of its own: other programs may wait for it.
    """
    is_for_pipe = is_piped or report == "-"
    try:
        stream = sys.stderr if is_for_pipe else sys.stdout
        is_told = is_for_pipe and is_json()  # as an event, in the place of text
        text = None if is_told else write(stream, done.to_text(columns(stream)))
    except Stopped as stop:
        text = f"stopped by {stop.name}"
    if text is not None and not is_for_pipe:
        tell(
            f"warning: {done.dst} is sorted and complete, but the report could not be written "
            f"to standard output: {text}."
        )
    if report is None:
        return
    try:
        if path is None:
            why = write(sys.stdout, done.to_json())
        else:
            done.write(path)
            why = None
    except OSError as error:
        why = error.strerror or str(error)
    except Stopped as stop:
        why = f"stopped by {stop.name}"
    if why is not None:
        tell(
            f"Error: {done.dst} is sorted and complete, but --report {report} could not be "
            f"written: {why}.",
            error="NotReported",
            exit_code=NOT_REPORTED,
        )
        raise click.exceptions.Exit(NOT_REPORTED)


@main.command("check")
@click.argument("dst", shell_complete=path_names)
@options_of("check")
def check_command(
    dst: str, *, progress: bool, overlap: bool, max_depth: float | None, **options: Any
) -> None:
    """Check that the Parquet dataset DST is sorted.

    Exit code 0: it is. Exit code 1: it is not, and the message names file, row
    group and row of the first row out of order; or its rows are not those of SRC.

    \b
    dlsort check sorted/ --by "day,price:desc" --against in/
    dlsort check sorted/
    dlsort check events/ --by day --overlap --max-depth 2

    Without --by it also finds parts that are missing, there twice, or another sort's.
    With --overlap no row is read: the footers tell how far from sorted it is.
    """
    if overlap or max_depth is not None:
        show_overlap(dst, max_depth, options)
        return
    with on_signal(leave), silent_compiling(silent=not progress):
        from dlsort.check import check_dataset
        from dlsort.terminal.progress import NoProgress, live_progress

        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            with live_progress(show=progress) as watched.progress:
                found = check_dataset(dst, progress=watched, **options)
            why = write(sys.stdout if found.ok else sys.stderr, found.to_text())
    if found.passed_over:
        tell(f"note: not read of {found.passed_over}.")
    if why is not None and found.ok:
        tell(f"warning: {dst} is as it should be, but standard output can't be written: {why}.")
    if not found.ok:
        raise click.exceptions.Exit(NOT_OK)


main.add_command(append_command)
main.add_command(compact_command)
main.add_command(inspect_command)
main.add_command(explain_command)
main.add_command(stats_command)
main.add_command(model_command)
main.add_command(bench_command)
main.add_command(config_command)
main.add_command(gensort_command)
main.add_command(terasort_command)
main.add_command(valsort_command)
main.add_command(completion_command)


@main.command("tune")
@options_of("tune")
def tune_command(
    *, show: bool, reset: bool, scheduler: str | None, temp_dir: str | None
) -> None:
    """Measure this machine, so that sorts are planned for it.

    Small tables that are made up are sorted in a folder for temporary files, for half
    a minute at the most. What is measured is kept in the user's cache folder. Sorts
    that are done correct it, also where nothing was measured.
    """
    if show + reset + (scheduler is not None) > 1 or (temp_dir and (show or reset)):
        msg = "--show and --reset stand alone: they are about what this machine has kept."
        raise click.UsageError(msg, click.get_current_context())
    with on_signal(leave):
        from dlsort.calibrate import tune
        from dlsort.cli import tuning_shown
        from dlsort.terminal.progress import PlainProgress

        if reset:
            for line in tuning_shown.remove_all():
                click.echo(line)
            return
        if not show:
            hush_dask()
            watched = Watched(PlainProgress(sys.stderr))
            with on_signal(watched.stop):
                if scheduler is not None:
                    for line in tuning_shown.tuned_hosts(scheduler, temp_dir):
                        click.echo(line)
                    return
                tune(temp_dir, watched)
        click.echo(tuning_shown.shown())


@main.command("warm")
def warm_command() -> None:
    """Compile what is not compiled yet, so that no sort waits for it.

    A wheel holds the compiled kernels for most processors, and a checkout compiles
    them when they are first used: half a minute, once. Run it where an environment
    is made that many will use.
    """
    with on_signal(leave):
        started = time.monotonic()
        from dlsort_kernels import compiled, warm

        folder = warm()
        done = f"{count(compiled(), 'kernel')} compiled in {time.monotonic() - started:.1f} s"
    if folder is None:
        msg = (
            "no folder can be written to keep compiled kernels in. "
            "Name one that can be, in NUMBA_CACHE_DIR."
        )
        raise DlsortError(msg)
    click.echo(f"{done if compiled() else 'all kernels are compiled'}; they lie in {folder}")


def _tell_of_abandoned(dst: str) -> None:
    """Report an earlier attempt that could be resumed."""
    from dlsort.io.storage import is_store, without_scheme
    from dlsort.publish.destination import place_of
    from dlsort.publish.staging import find_abandoned

    place = without_scheme(dst)
    found = []
    with suppress(OSError, DlsortError):  # told by the sort itself
        found = find_abandoned(place_of(place))
    goes = (
        "Unless a sort is still at work on them, remove them by hand."
        if is_store(place)
        else "They are removed once this one is done."
    )
    for left in found:
        if left.n_finished:
            tell(
                f"note: an earlier sort into {dst} has left {left.n_finished:,} of "
                f"{count(left.n_parts, 'part')} in {left.folder}; --resume would use "
                f"them. {goes}"
            )
