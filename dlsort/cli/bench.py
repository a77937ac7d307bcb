"""``dlsort bench``: dlsort beside other engines, on this machine or cluster, and data."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlsort.cli.exit_codes import NOT_OK
from dlsort.cli.failures import Command, Failure, tell
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.quiet import hush_dask, silent_compiling
from dlsort.cli.report_path import check_report_path
from dlsort.cli.stop import Stopped, Watched, leave, on_signal
from dlsort.terminal.streams import columns, write

if TYPE_CHECKING:
    from dlsort.bench.door import Bench

__all__ = ["bench_command"]

_WIDEST = 100


@click.command("bench", cls=Command)
@options_of("bench")
def bench_command(*, out: str, progress: bool, **options: Any) -> None:
    """Compare dlsort with other engines, on this machine or cluster, and data.

    In each round every engine has one turn, each result is checked (rows, order,
    checksum), and one page is written that needs no other file, with a JSON file beside
    it: hardware, versions, medians with their spread, ratios, rates, where the time
    went, and what others have published. What dlsort loses stands first.

    \b
    dlsort bench
    dlsort bench --data events/ --by "day,price:desc" --against polars,duckdb
    dlsort bench --suite frames --scheduler tcp://host:8786 --price 0.53

    Exit code 1: a result was wrong, or an engine failed.
    """
    path = _checked(out, options["data"])
    with on_signal(leave), silent_compiling(silent=not progress):
        from dlsort.bench.door import Bench
        from dlsort.terminal.progress import NoProgress

        hush_dask()
        bench = Bench(**options)
        watched = Watched(NoProgress())
        with on_signal(watched.stop):
            try:
                bench.run(tell if progress else _nothing)
            except BaseException as error:
                bench.document["stopped"] = (
                    f"it was stopped by {error.name}"
                    if isinstance(error, Stopped)
                    else str(error).rstrip(".")
                )
                with suppress(Failure):  # what ended it is told
                    _give(bench, path)
                raise
            is_good = _give(bench, path)
    if not is_good:
        raise click.exceptions.Exit(NOT_OK)


def _nothing(message: str) -> None:
    """Tell nobody."""


def _checked(out: str, data: str | None) -> Path:
    """Return the page's path, if it and its neighbour can be written."""
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise Failure(f"--out {out} does not end in .html; name the page, as in bench.html.")
    for each in (path, path.with_suffix(".json")):
        check_report_path(str(each), data or os.devnull, "", "--out")
    return path


def _give(bench: Bench, path: Path) -> bool:
    """Write the page and the JSON file, and show the tables; return whether all is right."""
    document = bench.document
    if not any(race["engines"] for race in document.get("races", ())):
        return False
    from dlsort.bench.page import page
    from dlsort.bench.shown import shown
    from dlsort.page.write import write_whole

    beside = path.with_suffix(".json")
    why = write(sys.stdout, shown(document, min(columns(sys.stdout) or 80, _WIDEST)))
    if why is not None:
        tell(f"warning: standard output can't be written: {why}.")
    try:
        write_whole(path, page(document).encode())
        write_whole(beside, f"{json.dumps(document, indent=1)}\n".encode())
    except OSError as error:
        raise Failure(f"--out {path} can't be written: {error.strerror or error}.") from error
    write(sys.stdout, f"written to {path} and {beside}")
    verdicts = [e["verdict"] for race in document["races"] for e in race["engines"].values()]
    return all(verdict == "ok" for verdict in verdicts)
