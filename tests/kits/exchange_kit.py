"""Rows whose every place is known, to send through an exchange and look at afterwards."""

from __future__ import annotations

import os
import signal
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from dlsort_cluster.exchange import Exchange, Shards, Slot, Split


class CorruptFileError(Exception):
    """Stands for an error of the caller's own, with a type that it relies on."""


@dataclass(frozen=True)
class Source:
    """An input, and what goes wrong with it.

    ``trouble`` is "" (nothing), "split" (raises CorruptFileError), "always-die"
    (kills the process) or "die-in-split" (kills it, but only the first time: then
    ``marker`` exists).
    """

    n_rows: int = 200
    trouble: str = ""
    marker: str = ""


def sources(
    n_inputs: int, *, trouble: str = "", at: int = 0, marker: str = "", n_rows: int = 200
):
    """Return inputs of which number ``at`` is in trouble."""
    plain = [Source(n_rows) for _ in range(n_inputs)]
    plain[at] = replace(plain[at], trouble=trouble, marker=str(marker))
    return plain


def part_of(n_parts: int, input_id: int, n_rows: int) -> np.ndarray:
    """Return each row's partition. Skewed; partition 1 has no row at all."""
    rng = np.random.default_rng(input_id)
    part = np.minimum(rng.geometric(0.3, n_rows) - 1, n_parts - 1)
    return np.where(part == 1, 0, part)


def make_table(part: np.ndarray, input_id: int, rows: np.ndarray) -> pa.Table:
    """Return rows that say where they come from, in columns of several layouts."""
    texts = [f"{input_id}/{row}" * (row % 5) for row in rows]
    kinds = pa.array([f"kind {row % 3}" for row in rows], pa.string())
    flags = [None if row % 7 == 0 else row % 2 == 0 for row in rows]
    return pa.table(
        {
            "part": part,
            "input": np.full(len(rows), input_id),
            "row": rows,
            "text": pa.array(texts, pa.string()),
            "kind": kinds.dictionary_encode(),
            "flag": pa.array(flags, pa.bool_()),
        }
    )


def split(source: Source, context: int, input_id: int) -> Split:
    """Group an input's rows; ``context`` is the number of partitions."""
    if source.trouble == "split":
        raise CorruptFileError("part 7 is truncated")
    if source.trouble == "always-die":
        die()
    if source.trouble == "die-in-split":
        die_once(source.marker)
    part = part_of(context, input_id, source.n_rows)
    order = np.argsort(part, kind="stable")
    starts = np.searchsorted(part[order], np.arange(context + 1))
    table = make_table(part[order], input_id, order)
    return Split(table, starts, ("stats", input_id), note_of(input_id))


def note_of(input_id: int) -> str | None:
    """Return what every merge is told of an input: the same of some, nothing of others."""
    return (None, "one", "two")[input_id % 3]


def merge(shards: Shards, context: int, slot: Slot) -> tuple[Slot, pa.Table]:
    """Return where the partition stands, and its rows."""
    return slot, pa.concat_tables(shards.read_all())


def merge_with_trouble(shards: Shards, context: int, slot: Slot):
    """Fail over partition 2."""
    if slot.part == 2:
        raise CorruptFileError("part 2 is cursed")
    return merge(shards, context, slot)


@dataclass(frozen=True)
class DeadlyMerge:
    """Merge, but the first time kill the worker over partition 2."""

    marker: str

    def __call__(self, shards: Shards, context: int, slot: Slot):
        if slot.part == 2:
            die_once(self.marker)
        return merge(shards, context, slot)


def die_once(marker: str) -> None:
    """Kill this process unless ``marker`` exists."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return
    die()


def die() -> None:
    """Kill this process, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def exchange(n_parts: int = 6, merge=merge, **kwargs) -> Exchange:
    """Return an exchange with a token of its own."""
    return Exchange(uuid.uuid4().hex, n_parts, split, merge, **kwargs)


def name() -> str:
    """Return a name for outputs: no two exchanges on a cluster may share one."""
    return f"out-{uuid.uuid4().hex}"


def check(outputs, n_inputs: int, n_parts: int = 6, parts=None, n_rows: int = 200) -> None:
    """Assert that every row arrived once, in input order, with all its columns."""
    part = [part_of(n_parts, i, n_rows) for i in range(n_inputs)]
    counts = np.bincount(np.concatenate(part), minlength=n_parts)
    wanted = range(n_parts) if parts is None else parts
    notes = ("one", "two")[: max(n_inputs - 1, 0)]
    assert [slot.part for slot, _ in outputs] == list(wanted)
    for slot, table in outputs:
        first_row = counts[: slot.part].sum()
        assert slot == Slot(slot.part, n_parts, first_row, counts[slot.part], notes)
        here = [np.flatnonzero(part[i] == slot.part) for i in range(n_inputs)]
        expected = [make_table(part[i][here[i]], i, here[i]) for i in range(n_inputs)]
        assert table.unify_dictionaries().to_pylist() == pa.concat_tables(expected).to_pylist()
