"""One file of many: column chunks are copied as they are, and the footers become one.

    PAR1 │ chunks and column indexes of part 0 │ its offset indexes │ … of part 1 │ … │ footer

Nothing is decoded. What tells a place in the file is moved by as much as the part's bytes are:
the chunks' places in the footer, and the pages' in the offset indexes, which are written anew.
Memory O(footer), and one part's footer besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from dlsort.io.parquet.thrift import I64, LIST, STRUCT, Struct, field_of, read_struct
from dlsort.io.parquet.thrift_out import struct_bytes
from dlsort.sizes import MIB

__all__ = ["MOST_ROW_GROUPS", "join_parts"]

# The format numbers row groups with 16 bits.
MOST_ROW_GROUPS = 32_767

_MAGIC = b"PAR1"
_COPIED_BYTES = 8 * MIB

# Numbers of fields in parquet.thrift.
_FILE_SCHEMA, _FILE_ROWS, _FILE_GROUPS, _FILE_PAIRS = 2, 3, 4, 5
_GROUP_CHUNKS, _GROUP_ROWS, _GROUP_PLACE, _GROUP_NUMBER = 1, 3, 5, 7
_CHUNK_PLACE, _CHUNK_META, _OFFSET_INDEX, _OFFSET_INDEX_BYTES, _COLUMN_INDEX = 2, 3, 4, 5, 6
_META_PLACES = (9, 10, 11, 14)  # of pages, an index page, the dictionary and the bloom filter
_INDEX_PAGES, _PAGE_PLACE = 1, 1


def join_parts(paths: Sequence[str], sink: BinaryIO, pairs: Mapping[bytes, bytes]) -> None:
    """Write the row groups of some files, in order, as one file.

    Parameters
    ----------
    paths : sequence of str
        Files of one writer and one schema, at least one.
    sink : binary file
        Where it goes; empty.
    pairs : mapping of bytes to bytes
        Metadata that is other than the first file's.

    Raises
    ------
    OSError
        If a file can't be read, or the sink not be written.
    """
    at = sink.write(_MAGIC)
    groups: list[bytes] = []
    n_rows, first = 0, None
    for path in paths:
        with open(path, "rb") as file:  # noqa: PTH123 - as it is, with a seek
            stop, footer = _read_footer(file)
            first = footer if first is None else first
            assert footer[_FILE_SCHEMA] == first[_FILE_SCHEMA], "parts differ in their schemas"
            found = [g for g in _list(footer, _FILE_GROUPS) if g[_GROUP_ROWS][1]]
            chunks = [chunk for group in found for chunk in _list(group, _GROUP_CHUNKS)]
            begin = min(
                (c[_OFFSET_INDEX][1] for c in chunks if _OFFSET_INDEX in c), default=stop
            )
            assert all(c[_COLUMN_INDEX][1] < begin for c in chunks if _COLUMN_INDEX in c)
            shift = at - len(_MAGIC)
            file.seek(len(_MAGIC))
            at += _copy(file, sink, begin - len(_MAGIC))
            for chunk in chunks if begin < stop else ():
                at += sink.write(_moved_index(file, chunk, shift, at))
            for group in found:
                _move(group, shift, len(groups))
                n_rows += group[_GROUP_ROWS][1]
                groups.append(struct_bytes(group))
    assert first is not None
    assert len(groups) <= MOST_ROW_GROUPS, "more row groups than a file can have"
    kept = {pair[1][1]: pair[2][1] for pair in _list(first, _FILE_PAIRS)} | dict(pairs)
    listed = [{1: (8, key), 2: (8, value)} for key, value in kept.items()]
    whole = {
        **first,
        _FILE_ROWS: (I64, n_rows),
        _FILE_GROUPS: (LIST, (STRUCT, groups)),
        _FILE_PAIRS: (LIST, (STRUCT, listed)),
    }
    footer_bytes = struct_bytes(whole)
    sink.write(footer_bytes + len(footer_bytes).to_bytes(4, "little") + _MAGIC)


def _read_footer(file: BinaryIO) -> tuple[int, Struct]:
    """Return where a file's footer begins, and what it says."""
    n_bytes = file.seek(-8, 2) + 8
    size = int.from_bytes(file.read(4), "little")
    start = file.seek(n_bytes - 8 - size)
    return start, read_struct(file.read(size))[0]


def _list(struct: Struct, number: int) -> Sequence[Any]:
    found = field_of(struct, number, LIST)
    return found[1] if found else ()


def _copy(file: BinaryIO, sink: BinaryIO, n_bytes: int) -> int:
    for start in range(0, n_bytes, _COPIED_BYTES):
        sink.write(file.read(min(_COPIED_BYTES, n_bytes - start)))
    return n_bytes


def _moved_index(file: BinaryIO, chunk: Struct, shift: int, at: int) -> bytes:
    """Return a chunk's offset index, whose pages are elsewhere now; it will be at a place."""
    file.seek(chunk[_OFFSET_INDEX][1])
    index, _ = read_struct(file.read(chunk[_OFFSET_INDEX_BYTES][1]))
    for page in _list(index, _INDEX_PAGES):
        _shift(page, _PAGE_PLACE, shift)
    data = struct_bytes(index)
    chunk[_OFFSET_INDEX] = chunk[_OFFSET_INDEX][0], at
    chunk[_OFFSET_INDEX_BYTES] = chunk[_OFFSET_INDEX_BYTES][0], len(data)
    return data


def _move(group: Struct, shift: int, number: int) -> None:
    """Have a row group say where it is now."""
    _shift(group, _GROUP_PLACE, shift)
    if _GROUP_NUMBER in group:
        group[_GROUP_NUMBER] = group[_GROUP_NUMBER][0], number
    for chunk in _list(group, _GROUP_CHUNKS):
        _shift(chunk, _CHUNK_PLACE, shift)
        _shift(chunk, _COLUMN_INDEX, shift)
        for place in _META_PLACES:
            _shift(chunk[_CHUNK_META][1], place, shift)


def _shift(struct: Struct, number: int, shift: int) -> None:
    if number in struct and struct[number][1] > 0:  # 0: not told
        struct[number] = struct[number][0], struct[number][1] + shift
