"""How shards look on the wire and on disk: Arrow IPC streams.

A unit is what one input has for one worker: the rows of all partitions that
the worker owns, and where each partition starts. Between workers it is two
byte arrays: the starts, and one IPC stream of the rows. Where the two can see the
same memory, the stream is there instead (:mod:`dlsort_cluster.store.shared`), and only its
place is sent. What is sent together has a checksum: TCP's own misses one damaged
segment in 65,536.

Small units of several inputs travel as one: to make a stream, send and read it takes as long
for a few rows as for thousands.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.types as pt
from xxhash import xxh3_64

from dlsort_cluster.arrow_sizes import count_bytes, held_bytes

__all__ = [
    "DamagedError",
    "Message",
    "Unit",
    "apart",
    "compact",
    "cut",
    "frame",
    "join",
    "pack",
    "pack_starts",
    "read_stream",
    "together",
    "unframe",
    "unpack",
    "write_stream",
]

# Arrow aligns buffers to this inside of a stream, and rows are looked at through
# NumPy views that count on it; but a message read from a socket starts anywhere.
_ALIGNMENT = 8

# Messages of fewer bytes, on average, are sent as one array: each takes time of its own.
_SMALL_BYTES = 64 * 2**10

# Bytes that a slice may keep alive beyond its own before it is worth a copy.
_SLACK = 1.25


class Unit(NamedTuple):
    """What one input has for one worker.

    Attributes
    ----------
    table : pyarrow.Table
        The rows of the worker's partitions.
    starts : (k + 1,) int64
        The worker's ``j``-th partition is ``table[starts[j]:starts[j + 1]]``.
    """

    table: pa.Table
    starts: np.ndarray


def cut(table: pa.Table, starts: np.ndarray, parts: np.ndarray) -> Unit:
    """Take the rows of some partitions, without copying them.

    Parameters
    ----------
    table : pyarrow.Table
        Rows grouped by partition.
    starts : (n_parts + 1,) int64
        Partition ``p`` is ``table[starts[p]:starts[p + 1]]``.
    parts : (k,) int64
        Ascending partition numbers; neighbours are taken as one slice.
    """
    lengths = starts[parts + 1] - starts[parts]
    unit_starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum(lengths, out=unit_starts[1:])
    breaks = np.flatnonzero(np.diff(parts) != 1) + 1
    slices = [
        table.slice(starts[run[0]], starts[run[-1] + 1] - starts[run[0]])
        for run in np.split(parts, breaks)
        if len(run)
    ]
    if len(slices) == 1:
        return Unit(slices[0], unit_starts)
    return Unit(pa.concat_tables(slices) if slices else table.slice(0, 0), unit_starts)


def pack(unit: Unit, codec: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(starts, stream)`` as two uint8 arrays, ready to be sent.

    ``codec`` names what compresses the stream, if it is to be done.
    """
    if codec is not None:  # how large that is can't be told before
        sink = pa.BufferOutputStream()
        write_stream(unit.table, sink, codec)
        return pack_starts(unit), np.frombuffer(sink.getvalue(), np.uint8)
    # A stream that grows would be copied, into fresh memory, each time it does.
    measured = pa.MockOutputStream()
    write_stream(unit.table, measured)
    buffer = pa.allocate_buffer(measured.size())
    write_stream(unit.table, pa.FixedSizeBufferWriter(buffer))
    return pack_starts(unit), np.frombuffer(buffer, np.uint8)


def pack_starts(unit: Unit) -> np.ndarray:
    """Return a unit's starts as a uint8 array."""
    return np.ascontiguousarray(unit.starts).view(np.uint8)


def write_stream(table: pa.Table, sink: pa.NativeFile, codec: str | None = None) -> None:
    """Write a table as one IPC stream."""
    how = pa.ipc.IpcWriteOptions(compression=codec, use_threads=False)
    with pa.ipc.new_stream(sink, table.schema, options=how) as writer:
        writer.write_table(table)


def unpack(starts: np.ndarray, stream: np.ndarray) -> Unit:
    """Undo :func:`pack`; the rows stay where they are if they are aligned."""
    # A received array may lie anywhere and be read-only; starts are small.
    return Unit(read_stream(stream), np.frombuffer(bytes(starts), np.int64))


class DamagedError(Exception):
    """What arrived is not what was sent."""


class Message(NamedTuple):
    """What is sent of units: their rows, or where they are.

    Attributes
    ----------
    inputs : sequence of int
        The inputs whose units they are.
    starts, stream : uint8 arrays
        From :func:`pack`; ``stream`` may be a place instead.
    is_place : bool
        It is.
    """

    inputs: Sequence[int]
    starts: np.ndarray
    stream: np.ndarray
    is_place: bool


def frame(messages: Sequence[Message]) -> list[np.ndarray]:
    """Return messages as arrays to be sent together: checksum, header, and what they hold."""
    sizes = [(len(m.inputs), m.starts.nbytes, m.stream.nbytes, m.is_place) for m in messages]
    inputs = [input_id for m in messages for input_id in m.inputs]
    header = np.array([len(messages), *itertools.chain(*sizes), *inputs], np.int64)
    bodies = [array for m in messages for array in (m.starts, m.stream)]
    if sum(body.nbytes for body in bodies) < _SMALL_BYTES * len(messages):
        bodies = [np.concatenate(bodies)]
    return [np.array([_checksum(header, bodies)], np.uint64), header, *bodies]


def unframe(arrays: Sequence[np.ndarray]) -> list[Message]:
    """Undo :func:`frame`.

    Raises
    ------
    DamagedError
        If a bit of it is another than was sent.
    """
    checksum, header, *bodies = arrays
    if int(checksum[0]) != _checksum(header, bodies):
        msg = "the checksum differs"
        raise DamagedError(msg)
    end = 1 + 4 * int(header[0])
    sizes, inputs = header[1:end].reshape(-1, 4), iter(header[end:].tolist())
    if len(bodies) == 1:  # joined
        bodies = np.split(bodies[0], np.cumsum(sizes[:, 1:3])[:-1])
    pairs = zip(bodies[::2], bodies[1::2], strict=True)
    return [
        Message(list(itertools.islice(inputs, n_inputs)), starts, stream, bool(is_place))
        for (n_inputs, _, _, is_place), (starts, stream) in zip(
            sizes.tolist(), pairs, strict=True
        )
    ]


def _checksum(header: np.ndarray, bodies: Sequence[np.ndarray]) -> int:
    found = xxh3_64(np.ascontiguousarray(header).data)
    for body in bodies:
        found.update(body.data)
    digest: int = found.intdigest()
    return digest


def read_stream(stream: np.ndarray) -> pa.Table:
    """Read a whole IPC stream (uint8) from memory, zero-copy if it is aligned."""
    if stream.ctypes.data % _ALIGNMENT:
        stream = stream.copy()
    return pa.ipc.open_stream(pa.py_buffer(stream)).read_all()


def together(units: Sequence[Unit]) -> Unit | None:
    """Return the rows of several units one after the other, as a unit with all their starts.

    None where :func:`apart` would not give them back as they are.
    """
    if len(units) == 1:
        return units[0]
    if not _are_alike(units):
        return None
    try:
        table = pa.concat_tables([unit.table for unit in units]).combine_chunks()
    except pa.ArrowException:  # too much text for one array, or views
        return None
    first_row = np.cumsum([0, *(unit.table.num_rows for unit in units[:-1])])
    starts = [unit.starts + first for unit, first in zip(units, first_row, strict=True)]
    return Unit(table, np.concatenate(starts))


def apart(unit: Unit, n_units: int) -> list[Unit]:
    """Undo :func:`together`, without copying the rows."""
    starts = unit.starts.reshape(n_units, -1)
    bounds = zip(starts[:, 0].tolist(), starts[:, -1].tolist(), strict=True)
    return [
        Unit(unit.table.slice(first, last - first), of_one - first)
        for of_one, (first, last) in zip(starts, bounds, strict=True)
    ]


def _are_alike(units: Sequence[Unit]) -> bool:
    """Return whether units have one schema, and no type whose values depend on a table."""
    schema = units[0].table.schema
    same = all(unit.table.schema.equals(schema, check_metadata=True) for unit in units[1:])
    return same and not any(
        pt.is_dictionary(kind) or pt.is_nested(kind) for kind in schema.types
    )


def join(units: Sequence[Unit]) -> Unit | None:
    """Return the rows of several units as those of one, by partition and then by unit.

    None where Arrow can't do it, or where the units' schemas differ, as they do
    if the units know more of their rows (what a dictionary holds, bands).
    """
    if not _are_alike(units):
        return None
    table = pa.concat_tables([unit.table for unit in units]).combine_chunks()
    first_row = np.cumsum([0, *(unit.table.num_rows for unit in units[:-1])])
    starts = np.stack([unit.starts for unit in units])  # (n_units, k + 1)
    lengths = np.diff(starts).T.ravel()  # by partition, then by unit
    begins = (starts[:, :-1] + first_row[:, np.newaxis]).T.ravel()
    shifts = begins - (np.cumsum(lengths) - lengths)
    rows = np.repeat(shifts, lengths) + np.arange(table.num_rows)
    try:
        return Unit(table.take(pa.array(rows)), starts.sum(axis=0))
    except pa.ArrowNotImplementedError:  # views
        return None


def compact(table: pa.Table) -> pa.Table:
    """Copy a table that keeps much more memory alive than its own rows need."""
    if held_bytes(table) <= _SLACK * count_bytes(table):
        return table
    return read_stream(pack(Unit(table, np.zeros(1, np.int64)))[1])
