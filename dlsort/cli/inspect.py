"""``dlsort inspect``: what a dataset's footers tell of its parts, columns and order."""

from __future__ import annotations

import sys
from typing import Any

import click

from dlsort.cli.completion import path_names
from dlsort.cli.failures import Command, tell
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.stop import leave, on_signal
from dlsort.terminal.streams import write

__all__ = ["inspect_command"]


@click.command("inspect", cls=Command)
@click.argument("dst", shell_complete=path_names)
@options_of("inspect")
def inspect_command(dst: str, *, json: bool, **options: Any) -> None:
    """Show parts, columns and order of the Parquet dataset DST, from its footers alone.

    Rows, row groups and size of each file; encodings and codecs of each column;
    whether its order is claimed, or told by dlsort's own parts; and a picture of the
    ranges of the key: whether they follow one another, or overlap.

    \b
    dlsort inspect sorted/
    dlsort inspect events/ --by day --json
    """
    with on_signal(leave):
        from dlsort.inspection import inspect_dataset

        found = inspect_dataset(dst, options.pop("by"), **options)
        why = write(sys.stdout, found.to_json() if json else found.to_text())
    if why is not None:
        tell(f"warning: standard output can't be written: {why}.")
