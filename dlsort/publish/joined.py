"""Joined: the finished parts as one file, with one manifest of theirs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import pyarrow.parquet as pq

from dlsort.io.parquet.one_file import join_parts
from dlsort.io.parts import MANIFEST
from dlsort.proof.checksum import Proof
from dlsort.publish.manifest import Manifest, read_manifest

__all__ = ["join_to"]

# Keys in the footer of one file: as many as ten parts tell.
MOST_TOLD = 1_010


def join_to(paths: Sequence[str], path: str) -> int:
    """Write some parts, in order, as one file, and return its size in bytes.

    Parameters
    ----------
    paths : sequence of str
        The parts, at least one.
    path : str
        The file; replaced if it is there.

    Raises
    ------
    OSError
        If one can't be read, or the file not be written.
    """
    told = _joined([read_manifest(pq.read_metadata(part).metadata) for part in paths])
    pairs = {} if told is None else {MANIFEST: told.to_json()}
    with open(path, "wb") as sink:  # noqa: PTH123 - as the parts are opened
        join_parts(paths, sink, pairs)
        sink.flush()
        os.fsync(sink.fileno())
        return sink.tell()


def _joined(found: Sequence[Manifest | None]) -> Manifest | None:
    """Return what parts say of themselves as one, with fewer of their keys."""
    parts = [each for each in found if each is not None]
    if not parts:
        return None
    proof, places, quantiles = (
        Proof(),
        list[int](),
        [list[object]() for _ in parts[0].quantiles],
    )
    for part in parts:
        places += [proof.rows + row for row in part.told_rows]
        for column, values in zip(quantiles, part.quantiles, strict=True):
            column += values
        high, low = (int(part.checksum[at : at + 16], 16) for at in (0, 16))
        proof += Proof(part.rows, low, high)
    n = len(places)
    kept = sorted({i * (n - 1) // (MOST_TOLD - 1) for i in range(MOST_TOLD)} if n else ())
    return replace(
        parts[0],
        n_parts=1,
        rows=proof.rows,
        checksum=proof.checksum,
        quantiles=[[column[i] for i in kept] for column in quantiles],
        places=[places[i] for i in kept],
    )
