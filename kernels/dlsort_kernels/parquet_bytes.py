"""Whether the footer of a Parquet file is as most are, without Python.

Only what is plainly in order is passed: Thrift fields in ascending order, chunks one after the
other, pages of known kinds. Of anything else nothing is said, and whoever asks looks again,
thoroughly. Bytes are taken to be hostile: nothing is read beyond their end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dlsort_kernels import kernel_types as types
from dlsort_kernels.arrays import Bytes
from dlsort_kernels.declare import inlined
from dlsort_kernels.jit import kernel
from dlsort_kernels.kernel_types import reads, writes
from dlsort_kernels.thrift_bytes import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    count,
    field,
    items,
    skip,
    text,
)

__all__ = ["Outline", "find_chunks", "outline", "sound_chunks"]

Numbers = npt.NDArray[np.int64]

MAGIC_BYTES = 4
LEAST_PAGE_BYTES = 20  # the shortest header of a data page that has values
MOST_PAGE_VALUES = 2**31 - 1
N_CODECS = 8
MOST_FILE_BYTES = 2**36  # products of its sizes stay within 64 bits
MOST_BYTES = 2**40  # more than any memory: whoever asks looks again

# What a leaf column is told by: a row of numbers.
KIND, END_WIDTH, REPETITION, DEFINITION, NAME_START, NAME_STOP = range(6)
# What a chunk is told by: its pages of data begin behind those of a dictionary, if it has one.
START, STOP, VALUES, PAGES, UNPACKED, CODEC = range(6)


class Outline(NamedTuple):
    """Where the parts of a footer are, and what it counts; all -1 if it is not as most are.

    Attributes
    ----------
    schema_stop : int
        The schema is the first of them.
    tail_start : int
        What stands behind the row groups.
    n_rows, n_groups : int
        Rows and row groups that it claims.
    """

    schema_stop: int
    tail_start: int
    n_rows: int
    n_groups: int


def outline(footer: Bytes) -> Outline:
    """Return where the parts of a footer are.

    Parameters
    ----------
    footer : (bytes,) uint8
    """
    return Outline(*_outline(footer))


def sound_chunks(
    footer: Bytes, data_stop: int, leaves: Numbers, names: Bytes, n_groups: int, n_rows: int
) -> tuple[Numbers, Numbers] | None:
    """Return where the column chunks of a footer are, if it is one that can be true.

    Parameters
    ----------
    footer : (bytes,) uint8
        Of a schema that is known.
    data_stop : int
        Where it begins in the file.
    leaves : (n, 6) int64
        Of each leaf column: number of its type, bytes of its minimum (-1: any), most levels of
        repetition and of definition, and where its path begins and ends in ``names``.
    names : (bytes,) uint8
        The paths, with dots.
    n_groups, n_rows : int
        Row groups and rows that there should be.

    Returns
    -------
    chunks : (n_groups * n, 6) int64
        Of each chunk, by row group and column: first byte, byte after the last, values, first
        byte of a page of data, bytes once unpacked, codec.
    rows : (n_groups,) int64
        Rows of each row group.

        None if the footer is not as most are.
    """
    if data_stop > MOST_FILE_BYTES or n_groups > len(footer):
        return None
    chunks = np.zeros((n_groups * len(leaves), 6), np.int64)
    rows = np.zeros(n_groups, np.int64)
    is_sound = _sound_chunks(footer, data_stop, leaves, names, n_rows, chunks, rows)
    return (chunks, rows) if is_sound else None


@kernel(types.UniTuple(types.int64, 4)(reads(types.uint8)))
def _outline(data: Bytes) -> Any:
    at = number = np.int64(0)
    schema = n_rows = n_groups = np.int64(-1)
    none = np.int64(-1), np.int64(-1), np.int64(-1), np.int64(-1)
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0 or kind == 0 or number > 4:
            return none
        if number == 3:
            n_rows, at = count(data, at, kind, I64)
            continue
        if number == 4:
            _, n_groups, _ = items(data, at, kind)
        at = skip(data, at, kind)
        if number == 2:
            schema = at
        if number == 4:
            if at < 0 or schema < 0 or n_rows < 0:
                return none
            return schema, at, n_rows, n_groups
    return none


@inlined
def _is_named(data: Bytes, at: Any, kind: Any, names: Bytes, start: Any, stop: Any) -> Any:
    """Return where a list of names ends that make a path, -1 if they make another."""
    inner, size, at = items(data, at, kind)
    if at < 0 or kind != LIST or inner != BINARY or size == 0:
        return np.int64(-1)
    for i in range(size):
        if i:
            if start >= stop or names[start] != 46:  # a dot
                return np.int64(-1)
            start += 1
        first, at = text(data, at, BINARY)
        if at < 0 or at - first > stop - start:
            return np.int64(-1)
        for place in range(first, at):
            if data[place] != names[start]:
                return np.int64(-1)
            start += 1
    return at if start == stop else np.int64(-1)


@inlined
def _after_statistics(data: Bytes, at: Any, width: Any, n_values: Any) -> Any:
    number = np.int64(0)
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0 or kind == 0:
            return at
        if number in (1, 2, 5, 6):
            first, at = text(data, at, kind)
            if width >= 0 and at - first != width:
                return np.int64(-1)
        elif number in (3, 4):
            found, at = count(data, at, kind, I64)
            if found > n_values:
                return np.int64(-1)
        else:
            at = skip(data, at, kind)
    return np.int64(-1)


@inlined
def _after_sizes(data: Bytes, at: Any, leaf: Numbers) -> Any:
    number = np.int64(0)
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0 or kind == 0:
            return at
        if number == 1 and leaf[KIND] != 6:  # bytes of text
            return np.int64(-1)
        if number in (2, 3):
            _, size, after = items(data, at, kind)
            most = leaf[REPETITION] if number == 2 else leaf[DEFINITION]
            if kind != LIST or after < 0 or (size and size != most + 1):
                return np.int64(-1)
        at = skip(data, at, kind)
    return np.int64(-1)


@inlined
def _after_chunk(
    data: Bytes, at: Any, leaf: Numbers, names: Bytes, data_stop: Any, chunk: Numbers
) -> Any:
    """Read what a chunk tells of itself, and return where that ends."""
    codec = n_values = packed = unpacked = start = np.int64(-1)
    kind_of = dictionary = number = np.int64(0)
    is_named = has_encodings = False
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0 or kind == 0:
            break
        if number == 1:
            kind_of, at = count(data, at, kind, I32)
            if kind_of != leaf[KIND]:
                return np.int64(-1)
            kind_of = np.int64(-1)
        elif number == 2:
            at = skip(data, at, kind)
            has_encodings = kind == LIST
        elif number == 3:
            at = _is_named(data, at, kind, names, leaf[NAME_START], leaf[NAME_STOP])
            is_named = True
        elif number == 4:
            codec, at = count(data, at, kind, I32)
        elif number == 5:
            n_values, at = count(data, at, kind, I64)
        elif number == 6:
            unpacked, at = count(data, at, kind, I64)
        elif number == 7:
            packed, at = count(data, at, kind, I64)
        elif number == 9:
            start, at = count(data, at, kind, I64)
        elif number == 11:
            dictionary, at = count(data, at, kind, I64)
        elif number == 12:
            if kind != STRUCT or n_values < 0:
                return np.int64(-1)
            at = _after_statistics(data, at, leaf[END_WIDTH], n_values)
        elif number == 16:
            if kind != STRUCT:
                return np.int64(-1)
            at = _after_sizes(data, at, leaf)
        else:
            at = skip(data, at, kind)
    if at < 0 or kind_of == 0 or not (is_named and has_encodings) or not 0 <= codec < N_CODECS:
        return np.int64(-1)
    if n_values < 0 or unpacked < 0 or packed < 0 or packed > data_stop:
        return np.int64(-1)
    if n_values > packed // LEAST_PAGE_BYTES * MOST_PAGE_VALUES:
        return np.int64(-1)
    if n_values:
        pages = start
        if 0 < dictionary < start:
            start = dictionary
        if not MAGIC_BYTES <= start <= data_stop - packed or pages >= start + packed:
            return np.int64(-1)
        chunk[START], chunk[STOP], chunk[VALUES] = start, start + packed, n_values
        chunk[PAGES], chunk[UNPACKED] = pages, unpacked
    chunk[CODEC] = codec
    return at


@inlined
def find_chunks(
    data: Bytes,
    data_stop: Any,
    leaves: Numbers,
    names: Bytes,
    n_rows: Any,
    chunks: Numbers,
    group_rows: Numbers,
) -> Any:
    """Fill in the chunks of a footer, and the rows of its row groups, if it can be true."""
    at = number = np.int64(0)
    n_leaves, n_found, total, claimed = len(leaves), np.int64(0), np.int64(0), np.int64(-1)
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0:
            return False
        if kind == 0:
            break
        if number == 3:
            claimed, at = count(data, at, kind, I64)
            continue
        if number != 4:
            at = skip(data, at, kind)
            continue
        inner, n_groups, at = items(data, at, kind)
        if kind != LIST or at < 0 or n_groups != len(group_rows):
            return False
        if n_groups and inner != STRUCT:
            return False
        for group in range(n_groups):
            rows, of_group = np.int64(-1), np.int64(0)
            has_size = False
            first = n_found
            while at >= 0:
                kind, of_group, at = field(data, at, of_group)
                if at < 0 or kind == 0:
                    break
                if of_group == 2:
                    at = skip(data, at, kind)
                    has_size = kind == I64
                elif of_group == 3:
                    rows, at = count(data, at, kind, I64)
                elif of_group == 1:
                    inner, size, at = items(data, at, kind)
                    if kind != LIST or inner != STRUCT or size != n_leaves:
                        return False
                    for i in range(size):
                        of_chunk, is_there, has_place = np.int64(0), False, False
                        while at >= 0:
                            kind, of_chunk, at = field(data, at, of_chunk)
                            if at < 0 or kind == 0:
                                break
                            if of_chunk == 3 and kind == STRUCT:
                                chunk = chunks[n_found]
                                at = _after_chunk(data, at, leaves[i], names, data_stop, chunk)
                                is_there = True
                            elif of_chunk == 2 and kind == I64:
                                at = skip(data, at, kind)
                                has_place = True
                            elif of_chunk in (1, 3, 8):  # another file; encrypted
                                return False
                            else:
                                at = skip(data, at, kind)
                        if at < 0 or not is_there or not has_place:
                            return False
                        n_found += 1
                else:
                    at = skip(data, at, kind)
            if at < 0 or not has_size or n_found != first + n_leaves:
                return False
            if rows < 0 or rows > n_rows:
                return False
            for i in range(n_leaves):
                n_values = chunks[first + i, VALUES]
                if n_values < rows or (n_values > rows and leaves[i, REPETITION] == 0):
                    return False
            group_rows[group] = rows
            total += rows
            if total > n_rows:
                return False
    if total != n_rows or claimed != n_rows or n_found != len(chunks):
        return False
    last = np.int64(0)
    for i in range(len(chunks)):
        if chunks[i, VALUES]:
            if chunks[i, START] < last:
                return False
            last = chunks[i, STOP]
    return True


@kernel(
    types.boolean(
        reads(types.uint8),
        types.int64,
        reads(types.int64, 2),
        reads(types.uint8),
        types.int64,
        writes(types.int64, 2),
        writes(types.int64),
    )
)
def _sound_chunks(
    data: Bytes,
    data_stop: int,
    leaves: Numbers,
    names: Bytes,
    n_rows: int,
    chunks: Numbers,
    group_rows: Numbers,
) -> Any:
    return find_chunks(data, data_stop, leaves, names, n_rows, chunks, group_rows)
