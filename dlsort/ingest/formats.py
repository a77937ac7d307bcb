"""Formats: what a file of a source is, by what was asked, its name, or its first bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa

from dlsort.errors import BadOptionError
from dlsort.io.find import SourceFile
from dlsort.io.listing.names import is_document
from dlsort.io.storage import read_range

__all__ = [
    "PARQUET",
    "FileKind",
    "is_direct",
    "is_web",
    "kind_of_bytes",
    "kinds_of",
    "packed_by",
]

PARQUET = "parquet"
_SUFFIXES = {
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), "arrow"),
    **dict.fromkeys((".parquet", ".pq", ".parq"), PARQUET),
}
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = b"PAR1", b"PARE"
_HEAD_BYTES = 64


class FileKind(NamedTuple):
    """What a file is.

    Attributes
    ----------
    format : str
        As of ``input_format``.
    packed : str or None
        The codec that all of it is packed by.
    is_tabbed : bool
        Its name says that tabs part its values.
    """

    format: str
    packed: str | None = None
    is_tabbed: bool = False


def is_web(place: str) -> bool:
    """Return whether a place is a file of a web server: no folder, and no glob."""
    return place.startswith(("http://", "https://"))


def is_direct(place: str) -> bool:
    """Return whether a place is one file that is read once, from its beginning to its end."""
    return place == "-" or is_web(place)


def _by_name(path: str, asked: str | None) -> FileKind | None:
    """Return what a file's name says of it; None if that is nothing.

    Examples
    --------
    >>> _by_name("in/x.CSV.gz", None), _by_name("x", "csv"), _by_name("part-0", None)
    (FileKind(format='csv', packed='gzip', is_tabbed=False), \
FileKind(format='csv', packed=None, is_tabbed=False), None)
    """
    name = (urlsplit(path).path if is_web(path) else path).rsplit("/", 1)[-1].lower()
    packed = _PACKED.get(name[-4:]) or _PACKED.get(name[-3:])
    if packed is not None:
        name = name.rpartition(".")[0]
    suffix = name[name.rfind(".") :] if "." in name else ""
    found = asked or _SUFFIXES.get(suffix)
    if found == PARQUET:
        return FileKind(PARQUET)
    return None if found is None else FileKind(found, packed, suffix == ".tsv")


def packed_by(head: bytes) -> str | None:
    """Return the codec that all of a file is packed by, by its first bytes."""
    return {b"\x1f\x8b": "gzip", b"(\xb5": "zstd"}.get(head[:2])


def kind_of_bytes(head: bytes) -> FileKind | None:
    """Return what a file is by its first bytes, packed or not; None if they don't tell.

    Examples
    --------
    >>> import gzip
    >>> kind_of_bytes(gzip.compress(b'{"x": 1}'))
    FileKind(format='jsonl', packed='gzip', is_tabbed=False)
    """
    if packed := packed_by(head):
        with pa.input_stream(pa.BufferReader(head), compression=packed) as stream:
            try:
                found = kind_of_bytes(stream.read(_HEAD_BYTES))
            except OSError:  # they are too few
                return None
        is_text = found is not None and found.format not in (PARQUET, "arrow")
        return found._replace(packed=packed) if found is not None and is_text else None
    if head[:4] in _MAGIC:
        return FileKind(PARQUET)
    if head[:6] == b"ARROW1" or head[:4] == b"\xff\xff\xff\xff":
        return FileKind("arrow")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return FileKind("jsonl")
    return None


def kinds_of(files: Sequence[SourceFile], asked: str | None) -> list[FileKind | None]:
    """Return what each file is; None: Parquet, or what is to be refused as none.

    Files that were only met stand for themselves where all of them, documents aside, are of
    one format; else they may be anything beside a dataset.

    Parameters
    ----------
    files : sequence of SourceFile
        The files.
    asked : str or None
        Their format, if that was given.

    Raises
    ------
    BadOptionError
        If files that were met are of more than one format of text.
    """
    found = [_kind_of(file, asked) for file in files]
    met = [
        (file, kind)
        for file, kind in zip(files, found, strict=True)
        if not (file.is_named or is_document(file.path))
    ]
    formats = {None if kind is None else kind.format: file.path for file, kind in met}
    if None in formats:
        return [
            kind if file.is_named or asked else None
            for file, kind in zip(files, found, strict=True)
        ]
    if len(formats) > 1:
        (one, path), (other, its) = list(formats.items())[:2]
        msg = (
            f"{path} is {one} and {its} is {other}, by their names; expected files of one "
            "format in a folder or glob. Leave the others out by ignore (--ignore), or name "
            "each file."
        )
        raise BadOptionError(msg)
    return found


def _kind_of(file: SourceFile, asked: str | None) -> FileKind | None:
    """Return what a file is; None for Parquet."""
    if file.table is not None:
        return None
    kind = _by_name(file.path, asked)
    if kind is None or kind.format == PARQUET:
        return None
    if not asked and not is_direct(file.path):
        try:
            if read_range(file.path, 0, 4) in _MAGIC:
                return None  # whatever it is called
        except OSError:
            pass
    return kind
