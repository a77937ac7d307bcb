"""Result: whether a destination is a sort's result already, as far as footers tell.

Each part names its job, and what was asked for: key, options, size and time of each source
file. A destination whose parts all name what is asked for now, none missing and none more, need
not be made again. No row is read: ``dlsort check`` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import pyarrow as pa

from dlsort.arrow.hidden import is_hidden
from dlsort.errors import DlsortError
from dlsort.events import Skipped
from dlsort.io.parquet.source import open_source
from dlsort.io.schema.wanted import read_schema
from dlsort.io.source import Source
from dlsort.io.storage import is_store, is_there, join
from dlsort.keys import SortKey, format_by
from dlsort.model.reuse import file_mark
from dlsort.proof.checksum import Proof, total
from dlsort.publish.destination import MARKER
from dlsort.publish.job_file import Wanted
from dlsort.publish.known_parts import manifests_of
from dlsort.publish.manifest import Manifest
from dlsort.publish.replaceable import look
from dlsort.tuning import IoTuning

__all__ = ["Found", "find_result"]


class Found(NamedTuple):
    """What is at a destination.

    Attributes
    ----------
    result : Skipped or None
        The result, if it is that; its seconds are not known yet.
    why_not : str
        Else what differs, for a sentence; empty if nothing is there.
    """

    result: Skipped | None
    why_not: str = ""


def find_result(
    place: str,
    wanted: Wanted,
    source: Source,
    keys: Sequence[SortKey],
    tuning: IoTuning,
    *,
    partitions: int | None,
) -> Found:
    """Return what is at a destination: the result of a sort, or something else.

    Parameters
    ----------
    place : str
        The destination, absolute.
    wanted : Wanted
        What is asked for.
    source : Source
        What is to be sorted.
    keys : sequence of SortKey
        The key.
    tuning : IoTuning
        How footers are read.
    partitions : int or None
        Number of parts, if it is asked for.
    """
    with suppress(OSError):  # told by who looks at it as a destination
        if not look(place, deep=False):
            return Found(None)
    try:
        there = open_source(place, tuning, read_schema("union"))
    except (DlsortError, OSError, pa.ArrowException):
        return Found(None, "its files can't be read as one dataset")
    parts = manifests_of(there, of_key=False)
    if parts is None:
        return Found(None, "its files do not tell that they are the parts of one sort")
    n_parts = parts[0].n_parts
    n_there = len({part.part for part in parts})
    is_cut = any(not part.is_last for part in parts[-1:])
    if is_cut or n_there != n_parts or (is_store(place) and not is_there(join(place, MARKER))):
        return Found(None, "it is not complete")
    if parts[0].job.partition(".")[2] != wanted.mark:
        return Found(None, _difference(parts[0], source, keys))
    if partitions not in (None, n_parts):
        return Found(None, f"it has {n_parts:,} parts")
    proof = total(_proof_of(part) for part in parts)
    rows = [part.rows for part in parts]
    n_bytes = sum(stamp.n_bytes for stamp in there.stamps)
    return Found(Skipped(rows, n_bytes, proof.checksum, 0.0))


def _difference(first: Manifest, source: Source, keys: Sequence[SortKey]) -> str:
    """Say how what was sorted, or how it was, differs from what is asked for."""
    n_told = len(first.by)
    is_all = n_told == len(keys) or is_hidden(keys[min(n_told, len(keys) - 1)].column)
    if first.by and not (is_all and first.by == tuple(keys[:n_told])):
        return f"it is sorted by {format_by(first.by)}"
    both = zip(source.files, source.stamps, strict=True)
    marks = [file_mark(path, *stamp) for path, stamp in both]
    if first.source and first.source != marks:
        return "the source has changed since"
    return "it was made with other options, or of other files"


def _proof_of(part: Manifest) -> Proof:
    high, low = (int(part.checksum[i : i + 16], 16) for i in (0, 16))
    return Proof(part.rows, low, high)
