"""``dlsort explain``: what a sort would do, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dlsort.cli.completion import path_names
from dlsort.cli.failures import Command, Failure, tell
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.report_path import check_report_path
from dlsort.cli.stop import leave, on_signal
from dlsort.options.doors import check_together
from dlsort.terminal.streams import columns, write

if TYPE_CHECKING:
    from dlsort.explained.explanation import Explanation

__all__ = ["explain_command", "show"]


@click.command("explain", cls=Command)
@click.argument("src", shell_complete=path_names)
@click.argument("dst", required=False, shell_complete=path_names)
@options_of("explain")
def explain_command(
    src: str, dst: str | None, *, format: str, output: str | None, **options: Any
) -> None:
    """Tell how the Parquet dataset SRC would be sorted; nothing is sorted or written.

    The plan as a tree, with the rows, bytes, seconds and memory that are predicted;
    the plans that were not taken, and why; what was given, and what the figures are
    from. Only footers are read.

    \b
    dlsort explain events/ --by "day,price:desc"
    dlsort explain events/ sorted/ --by day --threads 4 --format html -o plan.html
    """
    check_together(options)
    path = None
    if output is not None and output != "-":
        path = check_report_path(output, src, dst or "", "--output")
    with on_signal(leave):
        from dlsort.explained.door import explain

        found = explain(src, options.pop("by"), dst=dst, **options)
        if path is not None:
            try:
                found.write(path, format)
            except OSError as error:
                why = error.strerror or str(error)
                raise Failure(f"--output {output} can't be written: {why}.") from error
            return
        show(found, format)


def show(found: Explanation, format: str) -> None:
    """Write a plan to standard output."""
    match format:
        case "json":
            text = found.to_json()
        case "html":
            text = found.to_html()
        case _:
            text = found.to_text(columns(sys.stdout))
    why_not = write(sys.stdout, text)
    if why_not is not None:
        tell(f"warning: standard output can't be written: {why_not}.")
