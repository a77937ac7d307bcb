"""Whether the footer and the page headers of a Parquet file are as most are, without Python.

Only what is plainly in order is passed: Thrift fields in ascending order, chunks one after the
other, pages of known kinds. Of anything else nothing is said, and whoever asks looks again,
thoroughly. Bytes are taken to be hostile: nothing is read beyond their end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from dlsort_kernels.arrays import Bytes
from dlsort_kernels.jit import inlined, kernel, reads, writes

__all__ = [
    "Outline",
    "field",
    "find_chunks",
    "outline",
    "page_sizes",
    "skip",
    "sound_chunks",
    "varint",
]

Numbers = npt.NDArray[np.int64]

# Kinds of Thrift's compact protocol.
TRUE, FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

DEEPEST = 16  # structs and lists inside of one another that are followed
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


def page_sizes(data: Bytes, chunks: Numbers, widths: Numbers) -> tuple[int, int]:
    """Return what the pages of some column chunks unpack to, by their headers.

    Parameters
    ----------
    data : (bytes,) uint8
        A whole file.
    chunks : (m, 6) int64
        From :func:`sound_chunks`.
    widths : (m,) int64
        Bytes of a value of each.

    Returns
    -------
    n_bytes, repeated : int
        Bytes of all of them; and the most that a chunk may have where one text stands for many:
        a dictionary's size times the values that are looked up in it, or a page's size times
        its values where texts share what they begin with. -1 and -1 if the pages are not as
        most are.
    """
    n_bytes, repeated = _page_sizes(data, chunks, widths)
    return int(n_bytes), int(repeated)


@inlined
def varint(data: Bytes, at: Any) -> tuple[Any, Any]:
    """Return an unsigned number, and where it ends, which is -1 if there is none."""
    found = np.uint64(0)
    if at < 0:
        return found, np.int64(-1)
    for n in range(9):  # of 63 bits, as all are that make sense
        if at >= len(data):
            return found, np.int64(-1)
        byte = np.uint64(data[at])
        at += 1
        found |= (byte & np.uint64(127)) << np.uint64(7 * n)
        if byte < 128:
            return found, np.int64(at)
    return found, np.int64(-1)


@inlined
def _integer(data: Bytes, at: Any) -> tuple[Any, Any]:
    """Return a signed number, and where it ends, -1 if there is none."""
    found, at = varint(data, at)
    return np.int64(found >> np.uint64(1)) ^ -np.int64(found & np.uint64(1)), at


@inlined
def _count(data: Bytes, at: Any, kind: Any, wanted: Any) -> tuple[Any, Any]:
    """Return a number of a kind that is not negative, and where it ends, else -1."""
    found, at = _integer(data, at)
    if kind != wanted or found < 0 or (wanted == I32 and found >= 1 << 31):
        return found, np.int64(-1)
    return found, at


@inlined
def text(data: Bytes, at: Any, kind: Any) -> tuple[Any, Any]:
    """Return where a text begins and ends; -1 if there is none."""
    size, at = varint(data, at)
    if kind != BINARY or at < 0 or size > np.uint64(len(data) - at):
        return np.int64(-1), np.int64(-1)
    return at, at + np.int64(size)


@inlined
def items(data: Bytes, at: Any, kind: Any) -> tuple[Any, Any, Any]:
    """Return the kind and number of a list's items, and where they begin; -1 if it is none."""
    if kind not in (LIST, SET) or at < 0 or at >= len(data):
        return np.int64(0), np.int64(0), np.int64(-1)
    inner, size = np.int64(data[at] & 15), np.uint64(data[at] >> 4)
    at += 1
    if size == 15:
        size, at = varint(data, at)
    if at < 0 or size > np.uint64(len(data) - at):
        return np.int64(0), np.int64(0), np.int64(-1)
    return inner, np.int64(size), np.int64(at)


@inlined
def field(data: Bytes, at: Any, number: Any) -> tuple[Any, Any, Any]:
    """Return kind and number of the next field, and where its value begins.

    The kind is 0 at the end of the struct. -1 where fields don't ascend, so none comes twice.
    """
    if at < 0 or at >= len(data):
        return np.int64(0), np.int64(0), np.int64(-1)
    head = np.int64(data[at])
    if head == 0:
        return np.int64(0), np.int64(0), np.int64(at + 1)
    if head >> 4 == 0:
        return np.int64(0), np.int64(0), np.int64(-1)
    return head & 15, number + (head >> 4), np.int64(at + 1)


@inlined
def skip(data: Bytes, at: Any, kind: Any) -> Any:
    """Return where the value of a field ends, -1 if it makes no sense."""
    if kind in (TRUE, FALSE):
        return at
    inner = np.zeros(DEEPEST, np.int64)  # the kind of a list's items, or STRUCT + 1
    left = np.zeros(DEEPEST, np.int64)  # its items, or the number of the last field
    depth = 0
    while at >= 0:
        if kind in (I16, I32, I64):
            found, at = _integer(data, at)
            bits = 15 if kind == I16 else 31 if kind == I32 else 62
            if found >> bits not in (0, -1):
                return np.int64(-1)
        elif kind == BINARY:
            _, at = text(data, at, kind)
        elif kind == DOUBLE:
            at += 8
        elif kind in (TRUE, FALSE, I8):  # inside of a list
            at += 1
        elif kind in (STRUCT, LIST, SET):
            if depth == DEEPEST:
                return np.int64(-1)
            inner[depth], left[depth] = STRUCT + 1, 0
            if kind != STRUCT:
                inner[depth], left[depth], at = items(data, at, kind)
            depth += 1
        else:
            return np.int64(-1)
        if at > len(data):
            return np.int64(-1)
        while at >= 0:  # find the next value
            if depth == 0:
                return at
            if inner[depth - 1] == STRUCT + 1:
                kind, left[depth - 1], at = field(data, at, left[depth - 1])
                if kind == 0:
                    depth -= 1
                elif kind not in (TRUE, FALSE):
                    break
            elif left[depth - 1] == 0:
                depth -= 1
            else:
                left[depth - 1] -= 1
                kind = inner[depth - 1]
                break
    return np.int64(-1)


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
            n_rows, at = _count(data, at, kind, I64)
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
            found, at = _count(data, at, kind, I64)
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
            kind_of, at = _count(data, at, kind, I32)
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
            codec, at = _count(data, at, kind, I32)
        elif number == 5:
            n_values, at = _count(data, at, kind, I64)
        elif number == 6:
            unpacked, at = _count(data, at, kind, I64)
        elif number == 7:
            packed, at = _count(data, at, kind, I64)
        elif number == 9:
            start, at = _count(data, at, kind, I64)
        elif number == 11:
            dictionary, at = _count(data, at, kind, I64)
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
            claimed, at = _count(data, at, kind, I64)
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
                    rows, at = _count(data, at, kind, I64)
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


@inlined
def _page(data: Bytes, at: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Return kind, sizes, values and encoding of a page, and where its header ends, or -1."""
    page_kind = packed = unpacked = n_values = encoding = np.int64(-1)
    number = np.int64(0)
    while at >= 0:
        kind, number, at = field(data, at, number)
        if at < 0 or kind == 0:
            break
        if number == 1:
            page_kind, at = _count(data, at, kind, I32)
        elif number == 2:
            unpacked, at = _count(data, at, kind, I32)
        elif number == 3:
            packed, at = _count(data, at, kind, I32)
        elif (
            (number == 5 and page_kind == 0)
            or (number == 7 and page_kind == 2)
            or (number == 8 and page_kind == 3)
        ):
            if kind != STRUCT:
                return page_kind, packed, unpacked, n_values, encoding, np.int64(-1)
            inner, of_encoding = np.int64(0), 4 if page_kind == 3 else 2
            while at >= 0:
                kind, inner, at = field(data, at, inner)
                if at < 0 or kind == 0:
                    break
                if inner == 1:
                    n_values, at = _count(data, at, kind, I32)
                elif inner == of_encoding:
                    encoding, at = _count(data, at, kind, I32)
                else:
                    at = skip(data, at, kind)
        else:
            at = skip(data, at, kind)
    if min(page_kind, packed, unpacked, n_values, encoding) < 0:
        at = np.int64(-1)
    return page_kind, packed, unpacked, n_values, encoding, at


@kernel(
    types.UniTuple(types.int64, 2)(
        reads(types.uint8), reads(types.int64, 2), reads(types.int64)
    )
)
def _page_sizes(data: Bytes, chunks: Numbers, widths: Numbers) -> Any:
    n_bytes = repeated = np.int64(0)
    for i in range(len(chunks)):
        at, stop, left = chunks[i, START], chunks[i, STOP], chunks[i, VALUES]
        n_values = left
        of_pages = looked_up = dictionary = prefixed = np.int64(0)
        if stop > len(data) or n_values > MOST_BYTES or widths[i] >= 1 << 20:
            return np.int64(-1), np.int64(-1)
        while left > 0:
            if at >= stop:
                return np.int64(-1), np.int64(-1)
            kind, packed, unpacked, values, encoding, at = _page(data, at)
            if at < 0 or packed > stop - at:
                return np.int64(-1), np.int64(-1)
            at += packed
            of_pages += unpacked
            if kind == 2:
                dictionary = max(dictionary, unpacked)
                continue
            left -= values
            if encoding in (2, 8):
                looked_up += values
            elif encoding == 7:
                prefixed += min(values * unpacked, MOST_BYTES)
        if left < 0:
            return np.int64(-1), np.int64(-1)
        n_bytes += max(of_pages, n_values * widths[i])
        if looked_up > MOST_PAGE_VALUES:
            return np.int64(-1), np.int64(-1)
        repeated = max(repeated, dictionary * looked_up, prefixed)
        if n_bytes > MOST_BYTES or repeated > MOST_BYTES:
            return np.int64(-1), np.int64(-1)
    return n_bytes, repeated
