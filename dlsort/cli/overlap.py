"""``dlsort check --overlap``: how far from sorted a dataset is, by its footers."""

from __future__ import annotations

import sys
from typing import Any

import click

from dlsort.cli.exit_codes import NOT_OK
from dlsort.cli.failures import tell
from dlsort.cli.stop import leave, on_signal
from dlsort.errors import BadOptionError
from dlsort.terminal.streams import write

__all__ = ["show_overlap"]


def show_overlap(dst: str, max_depth: float | None, options: dict[str, Any]) -> None:
    """Show the overlap of a dataset's row groups; the exit code says if it is too deep.

    Parameters
    ----------
    dst : str
        The dataset.
    max_depth : float or None
        More row groups than that a lookup may not touch, on average.
    options : dict of str to object
        The command's other options.
    """
    if options["against"] is not None:
        msg = "--overlap and --against exclude each other: the one reads no row, the other all."
        raise BadOptionError(msg)
    with on_signal(leave):
        from dlsort.overlap import measure_overlap

        names = ("by", "schema", "ignore", "hive_types", "decryption")
        how = {name: options[name] for name in names}
        found = measure_overlap(dst, max_depth=max_depth, **how)
        why = write(sys.stdout if found.ok else sys.stderr, found.to_text())
    if why is not None and found.ok:
        tell(f"warning: standard output can't be written: {why}.")
    if not found.ok:
        raise click.exceptions.Exit(NOT_OK)
