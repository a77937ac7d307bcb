"""The command line: ``dlsort sort`` and ``dlsort check``.

Whatever is heavy is imported inside the commands, so that help answers at once.

=========  ================================================================
exit code  means
=========  ================================================================
0          done; for ``check``: in order, and the same rows if compared
1          ``check`` found a row out of order, or other rows
2          a wrong argument or option, or something outside that the message
           names: a broken file, a full disk, a scheduler that is away
3          a bug: the message says how to see the traceback
130, 143   stopped by Ctrl-C or SIGTERM; the destination is as it was
=========  ================================================================
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dlsort import __version__
from dlsort.errors import BadOptionError, DlsortError
from dlsort.options import TUNING, parse_bytes

if TYPE_CHECKING:
    from dlsort.progress import Progress

__all__ = ["main"]

NOT_OK, REFUSED, BUG = 1, 2, 3
TRACEBACK = "DLSORT_TRACEBACK"

KEY_HELP = (
    "Columns to sort by, most significant first, separated by commas: "
    "COLUMN[:asc|:desc][:nulls_first|:nulls_last]. NaN goes with the nulls."
)


class Failure(click.ClickException):
    """Ends the command with one sentence on stderr."""

    exit_code = REFUSED


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived. No ``except Exception`` on the way up holds it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Commands(click.Group):
    """Turns whatever a command raises into one sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Stopped as stop:
            name = signal.Signals(stop.number).name
            # What was noted says it, where that isn't all.
            noted = getattr(stop, "__notes__", ())
            what = f"stopped by {name}{'' if noted else '; the destination is as it was'}."
            _end(_with_notes(what, stop), 128 + stop.number)
        except Exception as error:
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            _end(*_sentence(error))


def _end(message: str, exit_code: int) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    raise click.exceptions.Exit(exit_code)


def _with_notes(message: str, error: BaseException) -> str:
    """Return a message with what was noted on the way up: what is kept, to resume from."""
    return " ".join([message, *getattr(error, "__notes__", ())])


def _sentence(error: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    from dlsort_cluster.exchange import ExchangeError

    if isinstance(error, DlsortError | ExchangeError):
        return _with_notes(str(error), error), REFUSED
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}.", REFUSED
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}{f': {lines[0]}' if lines else ''}"
    how = "" if os.environ.get(TRACEBACK) else f" Set {TRACEBACK}=1 to see the traceback."
    return f"this is a bug in dlsort, sorry: {what}. Please report it.{how}", BUG


Handler = Callable[[int, FrameType | None], None]


@contextmanager
def _on_signal(handler: Handler) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM handled for a while, if this thread may decide that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, handler) for n in (signal.SIGINT, signal.SIGTERM)}
    tell_unraisable = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        # Raised where a finalizer happened to run: `_Watched` stops the command instead.
        if not isinstance(lost.exc_value, Stopped):
            tell_unraisable(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = tell_unraisable
        for number, former in before.items():
            signal.signal(number, former)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: nothing is begun yet, and LLVM, at work, would not survive an exception."""
    os.write(2, f"Error: stopped by {signal.Signals(number).name}.\n".encode())
    os._exit(128 + number)


class _Watched:
    """A progress display that knows when a signal stops the command, and when it may not.

    Once it is decided that the destination is the new, only tidying up is left, which no
    signal interrupts: the command ends well, as it has done what it was asked for. Python
    drops what a handler raises where a finalizer happens to run: then the next word does it.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._seen: list[int] = []
        self._is_decided = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: unwind the command, which takes down what it set up."""
        if not self._is_decided:
            self._seen.append(number)
            raise Stopped(number)

    def _check(self) -> None:
        if self._seen and not self._is_decided:
            raise Stopped(self._seen[0])

    def phase(self, name: str, total_rows: int) -> None:
        self._check()
        self.progress.phase(name, total_rows)

    def rows(self, name: str, done: int) -> None:
        self._check()
        self.progress.rows(name, done)

    def finish(self, name: str) -> None:
        self._is_decided |= name == "publish"
        self._check()
        self.progress.finish(name)


class SortCommand(click.Command):
    """``sort``, whose ``--overwrite`` stands alone or has a value after ``=``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Have what follows a plain ``--overwrite`` not taken for its value."""
        n = args.index("--") if "--" in args else len(args)
        known = ["--overwrite=yes" if arg == "--overwrite" else arg for arg in args[:n]]
        return super().parse_args(ctx, known + args[n:])


def _overwrite(ctx: click.Context, param: click.Parameter, value: str | None) -> bool | str:
    return value if value == "force" else value is not None


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_bytes(value, param.opts[0])
    except BadOptionError as error:
        raise Failure(str(error)) from error


@click.group("dlsort", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dlsort", message="%(prog)s %(version)s")
def main() -> None:
    """Sort Parquet datasets on Dask, and check that they are sorted.

    \b
    dlsort sort events/ sorted/ --by "day,price:desc"
    dlsort check sorted/ --by "day,price:desc" --against events/
    """


@main.command("sort", cls=SortCommand)
@click.argument("src")
@click.argument("dst")
@click.option("--by", required=True, metavar="KEY", help=KEY_HELP)
@click.option(
    "--scheduler",
    metavar="ADDR",
    help="Run on this Dask cluster, as in tcp://host:8786. It must see SRC and DST under the "
    "same paths. Default: an embedded cluster in this process.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Start N worker processes on this machine instead of the embedded cluster.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads of all workers together. Default: one a core.",
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of files to write. Default: files of about 128 MiB in memory.",
)
@click.option(
    "--partition-size",
    callback=_size,
    metavar="SIZE",
    help="Size of a file's rows in memory, as in 128MiB; not with --partitions.",
)
@click.option(
    "--memory",
    callback=_size,
    metavar="SIZE",
    help="Memory for the whole job, as in 4GiB. What does not fit goes to --temp-dir. "
    "Default: 70 % of the machine's, or of what the cluster's workers have.",
)
@click.option(
    "--temp-dir",
    metavar="DIR",
    help="Existing folder for rows that do not fit the memory. Default: the system's.",
)
@click.option(
    "--compression",
    default="snappy",
    show_default=True,
    metavar="CODEC",
    help="snappy, zstd, gzip, lz4, brotli or none.",
)
@click.option(
    "--row-group-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Rows of each row group of the files. Default: {TUNING.row_group_rows:,}.",
)
@click.option(
    "--overwrite",
    type=click.Choice(["yes", "force"]),
    callback=_overwrite,
    metavar="[=force]",
    help="Replace DST, once the new one is proved, if it holds nothing but a Parquet dataset; "
    "with =force whatever it holds.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from what an earlier attempt has kept that was killed or lost its cluster; and "
    "keep what is finished if this one fails.",
)
@click.option(
    "--report", metavar="FILE.json", help="Write the report's figures there as JSON too."
)
@click.option(
    "--no-progress", is_flag=True, help="No live display (there is none off a terminal)."
)
def sort_command(
    src: str, dst: str, *, report: str | None, no_progress: bool, **options: Any
) -> None:
    """Sort the Parquet dataset SRC into the folder DST.

    SRC is a Parquet file, a folder of them at any depth, or a quoted glob. DST
    becomes a folder of files whose name order is the sort order. The sort is
    stable. The result is proved (row count, checksum of whole rows, order) before
    it is published; if anything fails, DST stays as it was.

    Example: by day, largest price first, rows without a note before the others:

    \b
    dlsort sort "in/2024-*.parquet" sorted/ --memory 4GiB --report sorted.json \\
        --by "day,price:desc,note:asc:nulls_first"
    """
    _refuse_both(options, "partitions", "partition_size")
    _refuse_both(options, "scheduler", "workers")
    _refuse_both(options, "scheduler", "threads")
    report_path = None if report is None else _check_report_path(report, dst)
    with _on_signal(_leave), _compiling_notice(show=not no_progress):
        from dlsort.dataset import sort_dataset
        from dlsort.progress import live_progress
    _hush_dask()
    if not options["resume"]:
        _tell_of_abandoned(dst)
    with live_progress(show=False if no_progress else None) as progress:
        watched = _Watched(progress)
        with _on_signal(watched.stop):
            done = sort_dataset(src, dst, progress=watched, **options)
    click.echo(done.to_text())
    if report_path is not None:
        try:
            done.to_json(report_path)
        except OSError as error:
            why = error.strerror or error
            raise Failure(
                f"{dst} is sorted and complete, but --report {report} can't be written: {why}."
            ) from error


@main.command("check")
@click.argument("dst")
@click.option("--by", required=True, metavar="KEY", help=KEY_HELP)
@click.option(
    "--against",
    metavar="SRC",
    help="Compare row count, columns and checksum of all rows with this dataset too.",
)
def check_command(dst: str, by: str, against: str | None) -> None:
    """Check that the Parquet dataset DST is sorted.

    Exit code 0: it is. Exit code 1: it is not, and the message names file, row
    group and row of the first row out of order; or its rows are not those of SRC.

    \b
    dlsort check sorted/ --by "day,price:desc" --against in/
    """
    with _on_signal(_leave), _compiling_notice(show=True):
        from dlsort.check import check_dataset
        from dlsort.progress import live_progress
    with live_progress() as progress:
        watched = _Watched(progress)
        with _on_signal(watched.stop):
            found = check_dataset(dst, by=by, against=against, progress=watched)
    click.echo(found.to_text(), err=not found.ok)
    if not found.ok:
        raise click.exceptions.Exit(NOT_OK)


def _refuse_both(options: dict[str, Any], one: str, other: str) -> None:
    if options[one] is not None and options[other] is not None:
        names = [f"--{name.replace('_', '-')}" for name in (one, other)]
        raise Failure(f"{names[0]} and {names[1]} exclude each other; give one of them.")


def _check_report_path(report: str, dst: str) -> Path:
    """Return the report's path if it can be written and is apart from the destination."""
    from dlsort.storage import is_store, without_scheme

    path = Path(report).absolute()
    place = without_scheme(dst)
    if not is_store(place) and path.is_relative_to(Path(place).absolute()):
        raise Failure(
            f"--report {report} lies inside the destination {dst}, where readers would take it "
            "for a part; choose a place outside."
        )
    is_new = not path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise Failure(f"--report {report} can't be written: {error.strerror}.") from error
    if is_new:
        path.unlink()
    return path


def _tell_of_abandoned(dst: str) -> None:
    """Say that an earlier attempt could be gone on from."""
    from dlsort.destination import place_of
    from dlsort.staging import find_abandoned
    from dlsort.storage import is_store, without_scheme

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
            click.echo(
                f"note: an earlier sort into {dst} has left {left.n_finished:,} of "
                f"{left.n_parts:,} parts in {left.folder}; --resume would go on from them. "
                f"{goes}",
                err=True,
            )


def _hush_dask() -> None:
    """Keep Dask's log off the terminal: what goes wrong is told in a sentence."""
    if not os.environ.get(TRACEBACK):
        for handler in logging.getLogger("distributed").handlers:
            handler.setLevel(logging.CRITICAL + 1)


@contextmanager
def _compiling_notice(*, show: bool) -> Iterator[None]:
    """Say on a terminal what the wait is for, once a first kernel had to be compiled."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            jit = sys.modules.get("dlsort_kernels.jit")
            if jit is not None and getattr(jit, "compiled", int)():
                click.echo(
                    "compiling the kernels for this machine, once; under a minute …", err=True
                )
                return

    if show and sys.stderr.isatty():
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


if __name__ == "__main__":
    main()
