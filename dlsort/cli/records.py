"""``dlsort gensort``, ``terasort`` and ``valsort``: records of the sort benchmark."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dlsort.cli.completion import path_names
from dlsort.cli.exit_codes import NOT_OK, NOT_REPORTED, READER_GONE
from dlsort.cli.failures import Command, tell, waited_s
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.quiet import hush_dask, own_warnings, silent_compiling
from dlsort.cli.report_path import check_report_path
from dlsort.cli.stop import Watched, leave, on_signal
from dlsort.terminal.streams import write

__all__ = ["gensort_command", "terasort_command", "valsort_command"]


@click.command("gensort", cls=Command)
@click.argument("n")
@click.argument("dst", shell_complete=path_names)
@options_of("gensort")
def gensort_command(n: str, dst: str, **options: Any) -> None:
    """Make N records of the sort benchmark in DST: the same bytes as gensort 1.5.

    N is a number such as 1000, 10M or 1e8. DST is a file; or a folder of files, if it
    ends in / or --files is given; or - for standard output. A record has 100 bytes, of
    which the first 10 are its key.

    \b
    dlsort gensort 10M records
    dlsort gensort 1e9 records/ --ascii --skew
    dlsort gensort 1M part-7 --start 7M --checksum
    """
    with on_signal(leave):
        from dlsort.records.generate import generate_records
        from dlsort.terminal.progress import NoProgress

        hush_dask()
        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            try:
                made = generate_records(n, dst, **options)
            except BrokenPipeError:
                raise click.exceptions.Exit(READER_GONE) from None
    if made.checksum is not None:
        write(sys.stderr, f"{made.checksum:x}")


@click.command("terasort", cls=Command)
@click.argument("src", nargs=-1, required=True, shell_complete=path_names)
@click.argument("dst", shell_complete=path_names)
@options_of("terasort")
def terasort_command(
    src: tuple[str, ...], dst: str, *, report: str | None, progress: bool, **options: Any
) -> None:
    """Sort the sort benchmark's records in SRC, by their keys, into DST.

    SRC is a file of 100-byte records, whose first 10 bytes are the key, a folder of files
    in the order of their names, or several of these. DST becomes a folder of files whose
    name order is the sort order; one file if its name ends in .dat, or is a file. The sort
    is stable. The result is proved (count, checksum of whole records, order) before it is
    published; if anything fails, DST stays as it was.

    \b
    dlsort gensort 10M records
    dlsort terasort records sorted --memory 1GiB
    dlsort valsort sorted
    """
    places = src[0] if len(src) == 1 else src
    paths = [check_report_path(report, each, dst) for each in src if report is not None]
    path = paths[0] if paths else None
    with on_signal(leave), silent_compiling(silent=not progress):
        from dlsort.records.sort import sort_records
        from dlsort.terminal.progress import NoProgress, live_progress

        hush_dask()
        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            startup_s = waited_s()
            with own_warnings(), live_progress(show=progress) as watched.progress:
                done = sort_records(places, dst, progress=watched, **options)
            done.startup_s = startup_s
            watched.tidied()
    text = done.to_text()
    why = write(sys.stderr if report == "-" else sys.stdout, text)
    if why is not None:
        tell(f"warning: {dst} is sorted and complete, but the report can't be shown: {why}.")
    if report is None:
        return
    try:
        why = write(sys.stdout, done.to_json()) if path is None else None
        if path is not None:
            done.to_json(path)
    except OSError as error:
        why = error.strerror or str(error)
    if why is not None:
        msg = (
            f"{dst} is sorted and complete, but --report {report} could not be written: {why}."
        )
        tell(f"Error: {msg}", error="NotReported", exit_code=NOT_REPORTED)
        raise click.exceptions.Exit(NOT_REPORTED)


@click.command("valsort", cls=Command)
@click.argument("src", nargs=-1, required=True, shell_complete=path_names)
@options_of("valsort")
def valsort_command(
    src: tuple[str, ...], *, summary: str | None, quiet: bool, **options: Any
) -> None:
    """Tell whether the records of the sort benchmark in SRC are in order.

    SRC is a file, a folder of files in the order of their names, several of these, or
    - for standard input. What valsort 1.5 says is written to standard error: records,
    checksum, duplicate keys, and whether all are in order. Exit code 1: they are not.

    \b
    dlsort valsort sorted/
    dlsort valsort -o 0.sum part-0; dlsort valsort -o 1.sum part-1
    dlsort valsort -s 0.sum 1.sum
    """
    with on_signal(leave):
        from dlsort.io.storage import write_error
        from dlsort.records.validate import validate_records
        from dlsort.terminal.progress import NoProgress

        hush_dask()
        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            found = validate_records(src, **options)
        if summary is not None:
            try:
                Path(summary).write_bytes(found.to_bytes())
            except OSError as error:
                raise write_error(error, summary) from error
    if not quiet:
        write(sys.stderr, found.to_text())
    if not found.ok:
        raise click.exceptions.Exit(NOT_OK)
