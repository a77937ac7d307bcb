"""A part: its rows sorted, checked and written; the tasks of strategies without an exchange."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import MANIFEST
from dlsort.proof.checksum import NOTHING, Proof
from dlsort.proof.ordered import Ordered
from dlsort.proof.stats import Clock, InputStats, OutputStats
from dlsort.publish.finished import find_finished, keep_finished
from dlsort.publish.manifest import Manifest, quantile_rows
from dlsort.strategies.fewer_rows import FewerRows, KeptOfPart
from dlsort.strategies.oversized import is_one_piece, sort_in_pieces
from dlsort_cluster.exchange import Layer, Shards, Slot, Transferred
from dlsort_cluster.tasks import call, ref

__all__ = ["Moved", "find_moved", "lay_parts", "write_partition"]


def write_partition(
    writer: Writer,
    shards: Shards,
    slot: Slot,
    read: Proof | None = None,
    fewer: FewerRows | None = None,
) -> OutputStats:
    """Sort, check, prove, write and record one output partition.

    Parameters
    ----------
    writer : Writer
        Where it goes.
    shards : Shards
        Its rows.
    slot : Slot
        Which partition it is.
    read : Proof, optional
        Of what was read for it, to be recorded too.
    fewer : FewerRows, optional
        Which of the rows are kept; None: all of them.

    Raises
    ------
    OutOfOrderError
        If the rows are not in order after the sort.
    """
    clock = Clock()
    keys, tuning = writer.keys, writer.tuning
    place = slot.part, slot.n_parts
    pieces = sort_in_pieces(shards, keys, *place, writer.part_bytes, tuning)
    kept, n_rows = None, slot.n_rows
    if fewer is not None:
        is_whole = is_one_piece(shards, writer.part_bytes, tuning)
        kept = KeptOfPart(fewer, slot, is_whole=is_whole, tuning=tuning)
        with clock.step("sort"):
            pieces, n_rows = kept.among(pieces, shards)
    wanted = quantile_rows(n_rows) if writer.job else ()
    checked = Ordered(keys, slot.part, tuning, wanted)
    with writer.open(slot.part, slot.n_parts, slot.n_rows) as file:
        while True:
            with clock.step("sort"):
                table = next(pieces, None)
            if table is None:
                break
            with clock.step("prove"):
                checked.add(table)
            with clock.step("write"):
                file.write(table)
            del table  # before there is another
        with clock.step("write"):
            file.close(_manifest(writer, checked, slot))
    left_out = NOTHING if kept is None else kept.left_out
    edges = checked.edges()
    written = OutputStats(slot.part, checked.proof, file.n_bytes, edges, clock, left_out)
    keep_finished(writer.folder, file.name, written, read)
    return written


def _manifest(writer: Writer, checked: Ordered, slot: Slot) -> dict[bytes, bytes]:
    """Return what a part says of itself in its footer, if it is to say anything."""
    keys = writer.manifest_keys
    if not writer.job:
        return {}
    manifest = Manifest.of(
        writer.job,
        keys,
        slot.part,
        slot.n_parts,
        checked.proof,
        pa.schema([*writer.schema, *writer.made_fields]),
        [table.select(range(len(keys))) for table in checked.picked],
        writer.marks,
        writer.growth,
    )
    return {MANIFEST: manifest.to_json()}


class Moved(NamedTuple):
    """What was read and what was written for a part."""

    read: InputStats
    written: OutputStats


def lay_parts(token: str, calls: Iterable[Sequence[Any]], before: Mapping[Any, Any]) -> Layer:
    """Return the tasks that make the parts, and what they refer to.

    Parameters
    ----------
    token : str
        Names the job's tasks; unique.
    calls : iterable of (function, *arguments)
        One a part, in order; each gives a :class:`Moved`.
    before : mapping
        The tasks that arguments refer to.
    """
    graph = dict(before)
    receipts, outputs = [], []
    for part, (function, *arguments) in enumerate(calls):
        moved, receipt, output = (
            f"dlsort-{step}-{token}-{part}" for step in ("move", "read", "part")
        )
        graph[moved] = call(moved, function, *arguments)
        graph[receipt] = call(receipt, _receipt, ref(moved))
        graph[output] = call(output, _output, ref(moved))
        receipts.append(receipt)
        outputs.append(output)
    return Layer(graph, receipts, outputs)


def find_moved(writer: Writer, part: int) -> Moved | None:
    """Return what was read and written for a part, if it is finished."""
    finished = find_finished(writer.folder, part)
    if finished is None or finished.read is None:
        return None
    return Moved(InputStats(finished.read, Clock()), finished.written)


def _receipt(moved: Moved) -> Transferred:
    return Transferred(0, np.empty(0, np.int64), moved.read)


def _output(moved: Moved) -> OutputStats:
    return moved.written
