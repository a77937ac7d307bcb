"""Poured: the finished parts in another format, as one file or as a file each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dlsort.io.sinks.pour import pour
from dlsort.io.sinks.sink import Sink

__all__ = ["pour_to"]


def pour_to(
    place: str, paths: Sequence[str], sink: Sink, n_threads: int, *, single_file: bool
) -> tuple[dict[str, int], int]:
    """Write some parts, in order, in another format.

    Parameters
    ----------
    place : str
        The file, or the folder, which is not there yet.
    paths : sequence of str
        The parts, at least one.
    sink : Sink
        What is written.
    n_threads : int
        At most so many make text at once.
    single_file : bool
        Write one file; else a file of each part, named as that is.

    Returns
    -------
    sizes : dict of str to int
        In bytes, by name; one file has none.
    n_rows : int
        Rows that were written.

    Raises
    ------
    OSError
        If one can't be read, or the file not be written.
    """
    if single_file:
        n_bytes, n_rows = _write(place, paths, sink, n_threads)
        return {"": n_bytes}, n_rows
    Path(place).mkdir()
    sizes, n_rows = {}, 0
    for path in paths:
        name = Path(path).stem + sink.suffix
        sizes[name], n = _write(str(Path(place, name)), [path], sink, n_threads)
        n_rows += n
    return sizes, n_rows


def _write(place: str, paths: Sequence[str], sink: Sink, n_threads: int) -> tuple[int, int]:
    with open(place, "wb") as file:  # noqa: PTH123 - as the parts are opened
        n_rows = pour(paths, file, sink, n_threads)
        file.flush()
        os.fsync(file.fileno())
        return file.tell(), n_rows
