"""Small Parquet files of one schema, one behind the other in memory, made one file.

Their bytes stay as they are. A new footer behind them tells where the column chunks of all of
them are, so that Parquet's reader is called once for hundreds of files.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.parquet_bytes import (
    CODEC,
    KIND,
    PAGES,
    START,
    STOP,
    UNPACKED,
    VALUES,
    Numbers,
    find_chunks,
)
from dlsort_kernels.thrift_bytes import BINARY, I32, I64, LIST, STRUCT, field, skip

__all__ = ["join_files"]

TAIL_BYTES = 8
MOST_CHUNK_BYTES = 100  # of a footer, for each chunk; and for each row group
MAGIC = (80, 65, 82, 49)


def join_files(
    data: Bytes,
    stops: Numbers,
    n_groups: Numbers,
    n_rows: Numbers,
    schema_bytes: int,
    leaves: Numbers,
    names: Bytes,
) -> tuple[Bytes, Numbers] | None:
    """Return a footer for files that lie one behind the other, and where their chunks are.

    Parameters
    ----------
    data : (bytes,) uint8
        The files, without a gap.
    stops : (files,) int64
        Where each ends.
    n_groups, n_rows : (files,) int64
        Row groups and rows that each should have.
    schema_bytes : int
        What the schema takes of the first file's footer; all must have the same one.
    leaves, names
        As of :func:`dlsort_kernels.sound_chunks`.

    Returns
    -------
    footer : (bytes,) uint8
        Without its length and the magic bytes.
    chunks : (chunks, 6) int64
        As of :func:`dlsort_kernels.sound_chunks`, of all files.

        None if a file is not as most are, or not like the first.
    """
    groups = int(n_groups.sum())
    if groups > len(data):
        return None
    chunks = np.zeros((groups * len(leaves), 6), np.int64)
    group_rows = np.zeros(groups, np.int64)
    first = _join(
        data, stops, n_groups, n_rows, schema_bytes, leaves, names, chunks, group_rows
    )
    if first < 0:
        return None
    most = int(stops[0]) + (groups + len(chunks) + 1) * MOST_CHUNK_BYTES
    footer = np.empty(most, np.uint8)
    size = _write_footer(
        data[: stops[0]], first, schema_bytes, leaves, chunks, group_rows, footer
    )
    return (footer[:size], chunks) if size >= 0 else None


@inlined
def _footer_start(data: Bytes, start: Any, stop: Any) -> Any:
    """Return where the footer of a file begins, -1 if it has none."""
    if stop - start < TAIL_BYTES + 4:
        return np.int64(-1)
    size = np.int64(0)
    for i in range(4):
        size |= np.int64(data[stop - TAIL_BYTES + i]) << (8 * i)
        if data[stop - 4 + i] != MAGIC[i]:
            return np.int64(-1)
    begin = stop - TAIL_BYTES - size
    return begin if begin >= start + 4 else np.int64(-1)


@inlined
def _writer(footer: Bytes) -> tuple[Any, Any]:
    """Return where the name of the program begins and ends that has written a file."""
    at = number = np.int64(0)
    while at >= 0:
        kind, number, at = field(footer, at, number)
        if at < 0 or kind == 0 or number > 6:
            break
        begin = at
        at = skip(footer, at, kind)
        if number == 6:
            return (begin, at) if kind == BINARY else (np.int64(-1), np.int64(-1))
    return np.int64(0), np.int64(0)


@inlined
def _same(one: Bytes, other: Bytes) -> Any:
    if len(one) != len(other):
        return False
    for i in range(len(one)):  # noqa: SIM110 - compiled
        if one[i] != other[i]:
            return False
    return True


@kernel(
    types.int64(
        reads(types.uint8),
        reads(types.int64),
        reads(types.int64),
        reads(types.int64),
        types.int64,
        reads(types.int64, 2),
        reads(types.uint8),
        writes(types.int64, 2),
        writes(types.int64),
    )
)
def _join(
    data: Bytes,
    stops: Numbers,
    n_groups: Numbers,
    n_rows: Numbers,
    schema_bytes: int,
    leaves: Numbers,
    names: Bytes,
    chunks: Numbers,
    group_rows: Numbers,
) -> Any:
    """Fill in the chunks of all files, and return where the first one's footer begins."""
    first = _footer_start(data, np.int64(0), stops[0])
    if first < 0 or schema_bytes > stops[0] - TAIL_BYTES - first:
        return np.int64(-1)
    model = data[first : stops[0] - TAIL_BYTES]
    schema = model[:schema_bytes]
    begin, end = _writer(model)
    if begin < 0 or end < 0:
        return np.int64(-1)
    writer = model[begin:end]
    start = group = np.int64(0)
    for i in range(len(stops)):
        stop = stops[i]
        at = _footer_start(data, start, stop)
        if at < 0:
            return np.int64(-1)
        footer = data[at : stop - TAIL_BYTES]
        begin, end = _writer(footer)
        if begin < 0 or end < 0 or not _same(footer[begin:end], writer):
            return np.int64(-1)
        if not _same(footer[:schema_bytes], schema):
            return np.int64(-1)
        last = group + n_groups[i]
        of_file = chunks[group * len(leaves) : last * len(leaves)]
        rows = group_rows[group:last]
        if not find_chunks(footer, at - start, leaves, names, n_rows[i], of_file, rows):
            return np.int64(-1)
        for chunk in range(len(of_file)):
            if of_file[chunk, VALUES]:
                of_file[chunk, START] += start
                of_file[chunk, STOP] += start
                of_file[chunk, PAGES] += start
        start, group = stop, last
    return first


@inlined
def _put(out: Bytes, at: Any, number: Any) -> Any:
    """Write an unsigned number, and return where it ends."""
    while number >= 128:
        out[at] = (number & 127) | 128
        number >>= 7
        at += 1
    out[at] = number
    return at + 1


@inlined
def _put_field(out: Bytes, at: Any, step: Any, kind: Any, number: Any) -> Any:
    """Write a field that is a number, not negative, and return where it ends."""
    out[at] = step << 4 | kind
    return _put(out, at + 1, 2 * number)


@inlined
def _put_structs(out: Bytes, at: Any, size: Any) -> Any:
    """Write how a field begins that is the next one, a list of structs."""
    out[at] = 1 << 4 | LIST
    out[at + 1] = 15 << 4 | STRUCT
    return _put(out, at + 2, size)


@kernel(
    types.int64(
        reads(types.uint8),
        types.int64,
        types.int64,
        reads(types.int64, 2),
        reads(types.int64, 2),
        reads(types.int64),
        writes(types.uint8),
    )
)
def _write_footer(
    file: Bytes,
    first: int,
    schema_bytes: int,
    leaves: Numbers,
    chunks: Numbers,
    group_rows: Numbers,
    out: Bytes,
) -> Any:
    """Write the first file's footer with other row groups, and return its bytes."""
    model = file[first : len(file) - TAIL_BYTES]
    # what stands behind its row groups goes on from there
    begin, number = np.int64(0), np.int64(0)
    while number < 4:
        kind, number, begin = field(model, begin, number)
        if begin < 0 or kind == 0:
            return np.int64(-1)
        begin = skip(model, begin, kind)
    if number != 4 or begin < 0:
        return np.int64(-1)
    for at in range(schema_bytes):
        out[at] = model[at]
    at = _put_field(out, np.int64(schema_bytes), 1, I64, group_rows.sum())
    at = _put_structs(out, at, len(group_rows))
    n_leaves = len(leaves)
    for group in range(len(group_rows)):
        at = _put_structs(out, at, n_leaves)
        n_bytes = np.int64(0)
        for i in range(n_leaves):
            chunk = chunks[group * n_leaves + i]
            n_bytes += chunk[UNPACKED]
            at = _put_field(out, at, 2, I64, 0)
            out[at] = 1 << 4 | STRUCT
            at = _put_field(out, at + 1, 1, I32, leaves[i, KIND])
            # no encodings and no names: nobody asks for them
            out[at], out[at + 1] = 1 << 4 | LIST, I32
            out[at + 2], out[at + 3] = 1 << 4 | LIST, BINARY
            at = _put_field(out, at + 4, 1, I32, chunk[CODEC])
            at = _put_field(out, at, 1, I64, chunk[VALUES])
            at = _put_field(out, at, 1, I64, chunk[UNPACKED])
            at = _put_field(out, at, 1, I64, chunk[STOP] - chunk[START])
            at = _put_field(out, at, 2, I64, chunk[PAGES])
            if chunk[START] < chunk[PAGES]:
                at = _put_field(out, at, 2, I64, chunk[START])
            out[at] = out[at + 1] = 0
            at += 2
        at = _put_field(out, at, 1, I64, n_bytes)
        at = _put_field(out, at, 1, I64, group_rows[group])
        out[at] = 0
        at += 1
    for place in range(begin, len(model)):
        out[at] = model[place]
        at += 1
    return at
