"""Passed over: which files of a source are not read, why, and when that is an error.

What begins and ends as Parquet does is read. Hidden names, documents, and what the caller
ignores are counted in the report. Anything else may hold rows, so it is an error until it is
ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dlsort.errors import CorruptSourceError, SourceNotFoundError
from dlsort.io.listing.names import is_document
from dlsort.io.storage import read_range
from dlsort.wording import count

__all__ = ["REASONS", "SUFFIXES", "Unread", "look_at", "refuse", "said"]

SUFFIXES = (".parquet", ".pq", ".parq")

_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"

# What files of other formats begin with.
_BEGINNINGS = {
    b"\x1f\x8b": "packed by gzip",
    b"(\xb5/\xfd": "packed by zstd",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"PK\x03\x04": "a ZIP archive",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"ARROW1": "an Arrow IPC file",
    b"FEA1": "a Feather file",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
}
# Of text there is only the name to go by.
_TEXTS = {".csv": "CSV", ".tsv": "TSV", ".json": "JSON", ".jsonl": "JSON", ".ndjson": "JSON"}

#: How reasons are told, in the order in which they are.
REASONS = {
    "hidden": "hidden",
    "ignored": "ignored",
    "linked": "linked to what is read anyway or to a folder above",
    "document": "no data by its name",
}


class Unread(NamedTuple):
    """A file that is not Parquet.

    Attributes
    ----------
    path : str
        The file.
    what : str
        What it is instead.
    is_broken : bool
        It may have been Parquet, or was meant to be.
    """

    path: str
    what: str
    is_broken: bool


def look_at(path: str, n_bytes: int) -> Unread | None:
    """Return what a file is if it is not Parquet by its first and last bytes.

    Raises
    ------
    OSError
        If it can't be read.
    """
    name = path.rsplit("/", 1)[-1].lower()
    was_meant = name.endswith(SUFFIXES)
    if not n_bytes:
        return Unread(path, "empty", was_meant)
    head, tail = read_range(path, 0, 16), read_range(path, max(0, n_bytes - 4), 4)
    begins, ends = head[:4] in (_MAGIC, _ENCRYPTED), tail in (_MAGIC, _ENCRYPTED)
    if begins and ends and n_bytes >= 12:  # twice four bytes, and the footer's length
        return None
    if begins or ends:
        what = "end" if begins else "begin"
        return Unread(
            path, f"a Parquet file that does not {what} as one: it is truncated", True
        )
    for mark, what in _BEGINNINGS.items():
        if head.startswith(mark):
            return Unread(path, what, was_meant)
    text = next((what for suffix, what in _TEXTS.items() if name.endswith(suffix)), None)
    return Unread(path, f"{text} by its name" if text else "not Parquet", was_meant)


def refuse(src: str, unread: Sequence[Unread], n_read: int) -> None:
    """Raise if files were found that may hold rows, and can't be read.

    Raises
    ------
    SourceNotFoundError
        If there is nothing else.
    CorruptSourceError
        Else.
    """
    told = [one for one in unread if not is_document(one.path)]
    if not told and n_read:
        return
    few = "; ".join(f"{one.path} is {one.what}" for one in told[:3])
    more = f"; and {len(told) - 3:,} more" if len(told) > 3 else ""
    if not n_read and not any(one.is_broken for one in told):
        msg = f"{src} holds no Parquet file; expected at least one in it."
        if told:
            msg = f"{msg[:-1]}: {few}{more}."
        raise SourceNotFoundError(msg)
    those = "them" if len(told) > 1 else "it"
    msg = (
        f"{count(len(told), 'file')} of {src} can't be read and may hold rows: {few}{more}. "
        f"Replace or remove {those}, or leave {those} out by ignore (--ignore), as in "
        f"--ignore '*{_suffix(told[0].path)}'."
    )
    raise CorruptSourceError(msg)


def _suffix(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return name[name.rfind(".") :] if "." in name[1:] else name


def said(passed: Mapping[str, Sequence[str]]) -> str:
    """Return how many files and folders were passed over, and why, for people.

    Examples
    --------
    >>> said({"hidden": ["in/_SUCCESS"], "ignored": ["in/a.csv", "in/b.csv"]})
    '1 hidden (_SUCCESS), 2 ignored (a.csv, …)'
    """
    found = []
    for why, how in REASONS.items():
        if names := passed.get(why):
            name = names[0].rstrip("/").rsplit("/", 1)[-1] + "/" * names[0].endswith("/")
            more = ", …" if len(names) > 1 else ""
            found.append(f"{len(names):,} {how} ({name}{more})")
    return ", ".join(found)
