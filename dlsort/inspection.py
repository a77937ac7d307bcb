"""Inspection: what a dataset's footers tell of its parts, and of their order.

Whoever wrote it. The ranges of the key are those that dlsort's own parts tell, whole keys; of
other files the least and the greatest value of the key's first column, by the statistics of
their row groups, which are believed. No row is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from os import PathLike
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from dlsort.arrow.paths import field_at
from dlsort.arrow.shown import values_at
from dlsort.io.listing.hive import read_hive_types
from dlsort.io.listing.names import read_ignore
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.paths import read_places, shown_places
from dlsort.io.schema.wanted import read_schema
from dlsort.io.told import check_all_told
from dlsort.key_parts import expression_of
from dlsort.keys import By, SortKey, format_by, parse_by
from dlsort.model.known_groups import ranks_of_groups
from dlsort.model.known_ranks import KnownKeys
from dlsort.options.doors import read_options
from dlsort.order.key_types import check_compared_by_value, check_key_types
from dlsort.publish.known_parts import manifests_of
from dlsort.publish.manifest import Manifest, value_type
from dlsort.sizes import format_bytes
from dlsort.tuning import TUNING
from dlsort.wording import count, printable

__all__ = ["ColumnStored", "Inspection", "PartSeen", "inspect_dataset"]

_WIDTH = 80
_MOST_LINES = 24  # of the picture, and of parts as text
_MOST_COLUMNS = 40
_MOST_CHARACTERS = 16  # of a key in the picture


@dataclass(frozen=True)
class PartSeen:
    """A file of a dataset.

    Parameters
    ----------
    path : str
        Where it is.
    rows, row_groups, bytes : int
        What it holds, and its size.
    low, high : str or None
        First and last key, in the key's order, as far as they are known.
    begins, ends : int or None
        Their places among those of all parts, from 0.
    """

    path: str
    rows: int
    row_groups: int
    bytes: int
    low: str | None = None
    high: str | None = None
    begins: int | None = None
    ends: int | None = None


@dataclass(frozen=True)
class ColumnStored:
    """How a leaf column is stored, in all of the files together."""

    name: str
    encodings: tuple[str, ...]
    codecs: tuple[str, ...]
    bytes: int
    raw_bytes: int


@dataclass(frozen=True)
class Inspection:
    """What :func:`dlsort.inspect_dataset` tells; printed, it is tables of 80 columns.

    Parameters
    ----------
    src, by : str
        The dataset; the key, empty if nobody says one.
    rows, row_groups, bytes : int
        Of all parts together.
    parts : list of PartSeen
        The files, in natural order of their names.
    columns : list of ColumnStored
        The leaf columns, in order.
    told_by : str
        What keys are known from: ``manifest``, ``statistics``, or nothing.
    claimed : bool
        Every row group says that its rows are in the key's order.
    of_one_sort : bool
        The parts say that dlsort has made them in one sort, by this key.
    missing : int
        How many parts of that sort are not there.
    apart, touching, overlapping : int
        How many neighbours' ranges follow one another; share a key; overlap, or are the wrong
        way round. Neighbours of whom one is not known count nowhere.
    """

    src: str
    by: str
    rows: int
    row_groups: int
    bytes: int
    parts: Sequence[PartSeen]
    columns: Sequence[ColumnStored]
    told_by: str = ""
    claimed: bool = False
    of_one_sort: bool = False
    missing: int = 0
    apart: int = 0
    touching: int = 0
    overlapping: int = 0
    notes: Sequence[str] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain figures and text."""
        return asdict(self)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=1)

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Return it for people, in lines of up to 80 columns."""
        sizes = f"{count(self.rows, 'row')}, {count(len(self.parts), 'file')}"
        groups = f"{count(self.row_groups, 'row group')}, {format_bytes(self.bytes)}"
        lines = [f"dataset    {self.src}", f"           {sizes}, {groups}"]
        if self.by:
            lines += [f"key        {self.by}", *self._order_lines()]
        lines += [f"note       {note}" for note in self.notes]
        lines += ["", *_parts_table(self.parts), "", *_columns_table(self.columns)]
        if any(part.begins is not None for part in self.parts):
            lines += ["", *_picture(self.parts)]
        return "\n".join(printable(line)[:_WIDTH].rstrip() for line in lines)

    def _order_lines(self) -> list[str]:
        claim = "all row groups claim this order" if self.claimed else "not by all row groups"
        told = "the parts of one sort" if self.of_one_sort else "no, or of another key"
        if self.missing:
            told += f", of which {self.missing:,} are missing"
        pairs = self.apart + self.touching + self.overlapping
        ranges = f"not known of {count(len(self.parts), 'file')}"
        if pairs or len(self.parts) == 1:
            ranges = (
                f"{self.apart:,} apart, {self.touching:,} share a key, "
                f"{self.overlapping:,} overlap (told by {self.told_by or 'nothing'})"
            )
        return [f"claimed    {claim}", f"manifest   {told}", f"neighbours {ranges}"]


def inspect_dataset(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    by: By | None = None,
    *,
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
) -> Inspection:
    """Tell what the footers of a Parquet dataset say: parts, columns, and order.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        A dataset, as of :func:`dlsort.sort_dataset`, of which only footers are read.
    by : str, SortKey or a sequence of these, optional
        The key whose ranges are looked at. By default the one that dlsort has sorted the
        dataset by; else none is.
    ignore : str or a sequence of str
        Patterns of files to leave out.
    hive_types : str, mapping or Schema, optional
        Types of the columns that folders give.

    Returns
    -------
    Inspection
        Printed it is tables, and a picture of the key's range in each part.

    Raises
    ------
    DlsortError
        If the dataset can't be read or the key does not fit it.

    Examples
    --------
    >>> import tempfile, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> for i in range(3):
    ...     pq.write_table(pa.table({"x": range(i * 10, i * 10 + 12)}), f"{folder.name}/{i}.pq")
    >>> found = inspect_dataset(folder.name, "x")
    >>> found.rows, found.overlapping, found.parts[1].low, found.parts[1].high
    (36, 2, '10', '21')
    >>> folder.cleanup()
    """
    asked = read_options("inspect_dataset", locals())
    places, types = read_places(src, "source (src)"), read_hive_types(hive_types)
    source = open_source(places, TUNING.io, read_schema("union"), read_ignore(ignore), types)
    check_all_told(types, source)
    manifests = manifests_of(source)
    by = asked["by"]
    keys: tuple[SortKey, ...] = ()
    note = "no key is told: give one, by (--by), to see its ranges"
    if by is not None:
        keys = parse_by(by, source.schema.names)
        check_key_types(source.schema, keys)
        check_compared_by_value(source.schema, keys)
    elif manifests is not None:
        keys = manifests[0].by
        if any(expression_of(key.column) is not None for key in keys):
            keys, note = (
                (),
                f"sorted by {format_by(keys)}: of what is computed no range is told",
            )
    is_one_sort = manifests is not None and manifests[0].by[: len(keys)] == keys
    spans: dict[int, _Span] = {}
    if keys:
        told = manifests if is_one_sort else None
        spans = _spans_told(told, source, keys) if told else _spans_of_groups(source, keys)
    parts = _parts(source, spans)
    found = Inspection(
        src=shown_places(places),
        by=format_by(keys),
        rows=source.n_rows,
        row_groups=len(source.row_groups),
        bytes=sum(part.bytes for part in parts),
        parts=parts,
        columns=_columns(source),
        told_by="" if not spans else "manifest" if is_one_sort else "statistics",
        claimed=bool(keys) and source.claims_order(keys),
        of_one_sort=bool(keys) and is_one_sort,
        missing=manifests[0].n_parts - len(manifests) if manifests and is_one_sort else 0,
        notes=() if keys else (note,),
    )
    return _with_neighbours(found, [spans.get(i) for i in range(len(parts))])


# ---------------------------------------------------------------- ranges

# First and last key of a part: bytes that compare, and what to show.
_Span = tuple[tuple[bytes, str], tuple[bytes, str]]


def _spans_told(
    manifests: Sequence[Manifest], source: ParquetSource, keys: Sequence[SortKey]
) -> dict[int, _Span]:
    """Return the first and the last key of each part, as the part tells them."""
    names = [key.column for key in keys]
    kinds = _kinds(source, keys)
    found = {}
    for i, manifest in enumerate(manifests):
        if not manifest.rows:
            continue
        table = manifest.table(source.schema).select(range(len(keys))).rename_columns(names)
        ends = table.take(pa.array([0, table.num_rows - 1]))
        codes = KnownKeys.of(ends, keys).codes
        low, high = ((codes[row], _shown(ends, row, kinds)) for row in (0, 1))
        found[i] = low, high
    return found


def _spans_of_groups(source: ParquetSource, keys: Sequence[SortKey]) -> dict[int, _Span]:
    """Return the range of the first key column in each file, if all its row groups tell one."""
    kinds = _kinds(source, keys)
    known, spans = ranks_of_groups(source, keys, kinds)
    shown: dict[bytes, str] = {}
    for steps in (known.lower, known.upper):
        for row, code in enumerate(steps.keys.codes):
            if code not in shown:
                shown[code] = _shown(steps.keys.table, row, kinds)
    found: dict[int, _Span] = {}
    untold = set()
    for g, group in enumerate(source.row_groups):
        if not group.n_rows:
            continue
        if g not in spans:
            untold.add(group.file)
            continue
        low, high = spans[g]
        if group.file in found:
            before = found[group.file]
            low, high = min(low, before[0][0]), max(high, before[1][0])
        found[group.file] = (low, shown[low]), (high, shown[high])
    return {file: span for file, span in found.items() if file not in untold}


def _kinds(source: ParquetSource, keys: Sequence[SortKey]) -> pa.Schema:
    fields = [field_at(source.schema, key.column) for key in keys]
    return pa.schema([(f.name, value_type(f.type)) for f in fields])


def _shown(table: pa.Table, row: int, kinds: pa.Schema) -> str:
    """Return a key for people; text is there as bytes, whose end may be cut off."""
    return ", ".join(
        "null"
        if value is None
        else repr(value)
        if isinstance(value, str | bytes)
        else str(value)
        for value in values_at(table, row, kinds, is_cut=True)
    )


def _parts(source: ParquetSource, spans: Mapping[int, _Span]) -> list[PartSeen]:
    ends = sorted({code for span in spans.values() for code, _ in span})
    place = {code: i for i, code in enumerate(ends)}
    parts = []
    for i, (path, stamp) in enumerate(zip(source.files, source.stamps, strict=True)):
        groups = source.footers[i].rows
        where: dict[str, Any] = {}
        if (span := spans.get(i)) is not None:
            (low, low_shown), (high, high_shown) = span
            where = {"low": low_shown, "high": high_shown}
            where |= {"begins": place[low], "ends": place[high]}
        parts.append(PartSeen(path, int(groups.sum()), len(groups), stamp.n_bytes, **where))
    return parts


def _with_neighbours(found: Inspection, spans: Sequence[_Span | None]) -> Inspection:
    counts = {"apart": 0, "touching": 0, "overlapping": 0}
    known = [span for span in spans if span is not None]
    for (_, (high, _)), ((low, _), _) in pairwise(known):
        how = "apart" if high < low else "touching" if high == low else "overlapping"
        counts[how] += 1
    return Inspection(**{**vars(found), **counts})


# ---------------------------------------------------------------- columns


def _columns(source: ParquetSource) -> list[ColumnStored]:
    """Return how each leaf column is stored; of encrypted ones nothing is told."""
    seen: dict[str, tuple[set[str], set[str], list[int]]] = {}
    for footer in source.footers:
        for i, leaf in enumerate(footer.leaves):
            if leaf.path in footer.encrypted:
                continue
            encodings, codecs, sizes = seen.setdefault(leaf.path, (set(), set(), [0, 0]))
            for g in range(len(footer.rows)):
                chunk = footer.metadata.row_group(g).column(i)
                encodings.update(chunk.encodings)
                codecs.add(chunk.compression.lower())
                sizes[0] += chunk.total_compressed_size
                sizes[1] += chunk.total_uncompressed_size
    return [
        ColumnStored(name, tuple(sorted(encodings)), tuple(sorted(codecs)), *sizes)
        for name, (encodings, codecs, sizes) in seen.items()
    ]


# ---------------------------------------------------------------- text


def _parts_table(parts: Sequence[PartSeen]) -> list[str]:
    lines = [f"{'file':<34}{'rows':>14}{'groups':>8}{'size':>12}"]
    for part in parts[:_MOST_LINES]:
        name = _short(PurePath(part.path).name, 33)
        size = format_bytes(part.bytes)
        lines.append(f"{name:<34}{part.rows:>14,}{part.row_groups:>8,}{size:>12}")
    more = len(parts) - _MOST_LINES
    return lines + ([f"and {count(more, 'more file')}"] if more > 0 else [])


def _columns_table(columns: Sequence[ColumnStored]) -> list[str]:
    lines = [f"{'column':<22}{'size':>10}{'raw':>11}  codec   encodings"]
    for column in columns[:_MOST_COLUMNS]:
        sizes = f"{format_bytes(column.bytes):>10}{format_bytes(column.raw_bytes):>11}"
        codec, encodings = ",".join(column.codecs), ",".join(column.encodings)
        lines.append(f"{_short(column.name, 21):<22}{sizes}  {codec:<7} {encodings}")
    more = len(columns) - _MOST_COLUMNS
    return lines + ([f"and {count(more, 'more column')}"] if more > 0 else [])


def _picture(parts: Sequence[PartSeen]) -> list[str]:
    """Return a line a part, or some, with a bar from its first key's place to its last's."""
    known = [(i, part) for i, part in enumerate(parts) if part.begins is not None]
    every = -(-len(known) // _MOST_LINES)
    n_places = max(part.ends or 0 for _, part in known) + 1
    room = _WIDTH - 8 - 2 * (_MOST_CHARACTERS + 1)
    head = "first key".ljust(_MOST_CHARACTERS + 1)
    lines = [f"part    {head}{'ranges, by the places of their ends'.ljust(room)} last key"]
    for at in range(0, len(known), every):
        some = known[at : at + every]
        first = min((part for _, part in some), key=lambda part: part.begins or 0)
        last = max((part for _, part in some), key=lambda part: part.ends or 0)
        begin = (first.begins or 0) * (room - 1) // max(n_places - 1, 1)
        end = (last.ends or 0) * (room - 1) // max(n_places - 1, 1)
        bar = (" " * begin + "█" * (end - begin + 1)).ljust(room)
        name = f"{some[0][0]}" if len(some) == 1 else f"{some[0][0]}-{some[-1][0]}"
        low = _short(first.low or "", _MOST_CHARACTERS).ljust(_MOST_CHARACTERS + 1)
        lines.append(f"{name:<8}{low}{bar} {_short(last.high or '', _MOST_CHARACTERS)}")
    return lines


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
