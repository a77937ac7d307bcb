"""Overlap: how far from sorted a dataset is, by its footers alone.

Each row group tells the least and the greatest value of the first key column. Whoever looks for
one value reads the row groups whose range holds it. Where rows are in order that is one; each
further one is read in vain:

    row group 0   ├──────┤                         a lookup here touches
    row group 1      ├────────────┤                ↓ 2    ↓ 1     ↓ 1
    row group 2                        ├──────┤

The depth at a place is the number of row groups whose ranges hold it, as of the clustering
information of Snowflake and others; the average is over the dataset's rows, which are taken to
lie evenly in their row group's range. A row group of one value alone is never read in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.paths import field_at
from dlsort.errors import BadKeyError
from dlsort.io.listing.hive import read_hive_types
from dlsort.io.listing.names import read_ignore
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.parquet.statistics import rank_raw
from dlsort.io.paths import read_places, shown_places
from dlsort.io.schema.wanted import read_schema
from dlsort.io.source import Range, RowGroup
from dlsort.io.told import check_all_told
from dlsort.keys import By, SortKey, format_by, parse_by
from dlsort.options.doors import read_options
from dlsort.order.key_types import check_key_types
from dlsort.publish.manifest import read_manifest
from dlsort.sizes import format_bytes
from dlsort.tuning import TUNING
from dlsort.wording import count, printable

__all__ = ["Depth", "OverlapReport", "measure_overlap"]

Places = npt.NDArray[np.int64]
Amounts = npt.NDArray[np.float64]


class Depth(NamedTuple):
    """How much a lookup of a key touches.

    Attributes
    ----------
    mean, most : float
        On average over the rows, and at most.
    total : float
        What there is in all.
    """

    mean: float
    most: float
    total: float


@dataclass(frozen=True)
class OverlapReport:
    """What :func:`measure_overlap` found.

    Parameters
    ----------
    src, by : str
        The dataset, and the key.
    files, row_groups, rows, bytes : Depth
        What a lookup of a value of the key's first column touches.
    breaks : int
        Row groups that begin before the one above them, in the order of the files, ends.
    claimed : int
        Row groups that claim to be in order, in their footers.
    untold : int
        Row groups that tell no range: each lookup reads them.
    max_depth : float or None
        More row groups than that a lookup may not touch, on average.
    """

    src: str
    by: str
    files: Depth
    row_groups: Depth
    rows: Depth
    bytes: Depth
    breaks: int
    claimed: int
    untold: int
    max_depth: float | None = None

    @property
    def ok(self) -> bool:
        """Whether lookups touch no more row groups than they may, on average."""
        return self.max_depth is None or self.row_groups.mean <= self.max_depth

    def to_text(self) -> str:
        """Return the findings as a small table for people."""
        n = int(self.row_groups.total)
        lines = [
            f"overlap    of {self.src} by {self.by}, by the footers of {count(n, 'row group')}",
            f"{'a lookup':<11}{'touches':>12}{'at most':>12}{'of':>12}",
        ]
        for name, depth in (("files", self.files), ("row groups", self.row_groups)):
            lines.append(
                f"{name:<11}{depth.mean:>12,.2f}{depth.most:>12,.0f}{depth.total:>12,.0f}"
            )
        lines.append("rows       " + "".join(f"{value:>12,.0f}" for value in self.rows))
        lines.append("bytes      " + "".join(f"{format_bytes(int(v)):>12}" for v in self.bytes))
        lines.append(
            f"in order   {n - self.breaks:,} of {count(n, 'row group')} begin where the one "
            f"above ends, or later; {self.claimed:,} claim to be in order"
        )
        if self.untold:
            lines.append(f"untold     {count(self.untold, 'row group')} without a range")
        if not self.ok:
            lines.append(
                f"too deep   {self.row_groups.mean:,.2f} row groups a lookup, where at most "
                f"{self.max_depth:,g} are wanted: sort it by dlsort sort --by {self.by}"
            )
        return "\n".join(map(printable, lines))


def measure_overlap(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    *,
    by: By | None = None,
    max_depth: float | None = None,
    schema: str | PathLike[str] | pa.Schema = "union",
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
    decryption: str | Callable[[], Any] | None = None,
) -> OverlapReport:
    """Tell how far from sorted a Parquet dataset is, whoever wrote it; no row is read.

    Parameters
    ----------
    src : str, path-like or a sequence of these
        A dataset, as of :func:`dlsort.sort_dataset`.
    by : str, SortKey or a sequence of these, optional
        The key; its first column counts. By default the one that dlsort sorted the dataset by.
    max_depth : float, optional
        More row groups than that a lookup may not touch, on average: else the report is not
        ``ok``.
    schema : str, path-like, mapping or pyarrow.Schema
        As of :func:`dlsort.sort_dataset`.
    ignore : str or a sequence of str
        Patterns of files to leave out.
    hive_types : str, mapping or Schema, optional
        Types of the columns that folders give.
    decryption : str or callable, optional
        Gives the keys of encrypted files.

    Returns
    -------
    OverlapReport
        What a lookup touches; of a dataset in order one row group, and one file.

    Raises
    ------
    DlsortError
        If the dataset can't be read, or the key does not fit it.

    Notes
    -----
    Time O(row groups · log row groups). Footers are believed.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = folder.name + "/x.parquet"
    >>> pq.write_table(pa.table({"x": [1, 5, 2, 6]}), path, row_group_size=2)
    >>> report = measure_overlap(path, by="x")
    >>> report.row_groups, report.breaks
    (Depth(mean=1.5, most=2.0, total=2.0), 1)
    >>> folder.cleanup()
    """
    asked = read_options("measure_overlap", locals())
    places = read_places(src, "source (src)")
    types = read_hive_types(hive_types)
    how = read_schema(schema), read_ignore(ignore), types, asked["decryption"]
    source = open_source(places, TUNING.io, *how)
    check_all_told(types, source)
    name = shown_places(places)
    if asked["by"] is not None:
        keys = parse_by(asked["by"], source.schema.names)
    else:
        told = (read_manifest(footer.metadata.metadata) for footer in source.footers)
        keys = next((manifest.by for manifest in told if manifest is not None), ())
    if not keys:
        msg = (
            f"the footers of {name} do not say by what it is sorted, as those of dlsort do; "
            "give the key: by (--by)."
        )
        raise BadKeyError(msg)
    check_key_types(source.schema, keys)
    return _measure(name, source, keys, asked["max_depth"])


def _measure(
    src: str, source: ParquetSource, keys: tuple[SortKey, ...], max_depth: float | None
) -> OverlapReport:
    ranges = _comparable(source, keys[0].column)
    groups = [(g, group) for g, group in enumerate(source.row_groups) if group.n_rows]
    told = [(g, group) for g, group in groups if g in ranges]
    rest = [group for g, group in groups if g not in ranges]
    low, high, breaks = _ranked([ranges[g] for g, _ in told], keys[0])
    weight, at = _slots(low, high, np.array([float(group.n_rows) for _, group in told]))
    amounts, others = _amounts([group for _, group in told]), _amounts(rest)
    files = np.array([group.file for _, group in told])
    of_files = _of_files(files, at)
    n_slots = len(weight)
    deep = [
        _covered(*of_files, np.ones(len(of_files[0])), n_slots) - _constant(of_files, n_slots),
        _covered(*at, amounts[:, 0], n_slots) - _constant(at, n_slots),
        _covered(*at, amounts[:, 1], n_slots),
        _covered(*at, amounts[:, 2], n_slots),
    ]
    all_files = {group.file for _, group in groups}
    more = [len(all_files - set(files.tolist())), *others.sum(axis=0).tolist()]
    totals = [len(all_files), *(amounts.sum(axis=0) + others.sum(axis=0)).tolist()]
    in_files, in_groups, in_rows, in_bytes = (
        _depth(depth, untold, weight, total)
        for depth, untold, total in zip(deep, more, totals, strict=True)
    )
    return OverlapReport(
        src=src,
        by=format_by(keys),
        files=in_files,
        row_groups=in_groups,
        rows=in_rows,
        bytes=in_bytes,
        breaks=breaks,
        claimed=len(groups) if groups and source.claims_order(keys) else 0,
        untold=len(rest),
        max_depth=max_depth,
    )


def _amounts(groups: Sequence[RowGroup]) -> Amounts:
    """Return the number, rows and stored bytes of each row group: 1 and so on."""
    found = [(1.0, float(g.n_rows), float(g.stored_bytes)) for g in groups]
    return np.array(found).reshape(-1, 3)


def _comparable(source: ParquetSource, column: str) -> dict[int, Range]:
    """Return the ranges of the row groups that tell one, so that their ends compare."""
    kind = field_at(source.schema, column).type
    exact = source.exact_ranges(column)
    if exact is not None:
        return {g: told for g, told in exact.items() if told.low is not None or told.n_nulls}
    found = {}
    for g, told in source.ranges(column).items():
        if told.low is None:
            continue
        low, high = told.low, told.high
        if pt.is_unsigned_integer(kind):  # stored as if they had a sign
            low, high = (value % 2**kind.bit_width for value in (low, high))
        elif not pt.is_floating(kind):
            continue
        found[g] = Range(low, high, told.n_nulls)
    return found


def _ranked(ranges: Sequence[Range], key: SortKey) -> tuple[Places, Places, int]:
    """Return the first and last place of each row group, and how many begin too early."""
    ends: list[Any] = []
    for told in ranges:
        ends += [told.low, told.high]
    ranks = rank_raw(ends, key).reshape(-1, 2) + 1  # nulls may be before all, at -1
    low, high = ranks.min(axis=1), ranks.max(axis=1)
    return low, high, int((low[1:] < high[:-1]).sum())


def _slots(low: Places, high: Places, rows: Amounts) -> tuple[Amounts, tuple[Places, Places]]:
    """Return the rows at each place, and the first and last place of each row group.

    Places are the ends' values, and what lies between them: 2 · rank, and 2 · rank + 1. Rows of
    a wide range lie between its ends, evenly by the number of ends.
    """
    n = 2 * int(high.max(initial=0)) + 1
    wide = high > low
    first, last = np.where(wide, 2 * low + 1, 2 * low), np.where(wide, 2 * high - 1, 2 * low)
    weight = np.zeros(n)
    np.add.at(weight, first[~wide], rows[~wide])
    share = rows[wide] / (high - low)[wide]
    change = np.zeros(n + 1)
    np.add.at(change, first[wide], share)
    np.add.at(change, last[wide] + 1, -share)
    between = np.cumsum(change)[:n]
    between[::2] = 0
    return weight + between, (first, last)


def _covered(first: Places, last: Places, amount: Amounts, n_slots: int) -> Amounts:
    """Return how much of what has a first and a last place is at each place."""
    change = np.zeros(n_slots + 1)
    np.add.at(change, first, amount)
    np.add.at(change, last + 1, -amount)
    return np.cumsum(change)[:n_slots]


def _constant(at: tuple[Places, Places], n_slots: int) -> Amounts:
    """Return how many more than one have no other value, at each place.

    All of them are wanted by who looks for it: they count as one.
    """
    first, last = at
    is_one = (first == last) & (first % 2 == 0)
    return np.maximum(np.bincount(first[is_one], minlength=n_slots) - 1.0, 0)


def _of_files(files: Places, at: tuple[Places, Places]) -> tuple[Places, Places]:
    """Return the first and the last place of each file's row groups."""
    _, number = np.unique(files, return_inverse=True)
    n = int(number.max(initial=-1)) + 1
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(low, number, at[0])
    np.maximum.at(high, number, at[1])
    return low, high


def _depth(depth: Amounts, more: float, weight: Amounts, total: float) -> Depth:
    """Return the average over the rows, and the most, of what is touched."""
    is_there = weight > 0
    if not is_there.any():
        return Depth(more, more, total)
    mean = float(np.average(depth[is_there], weights=weight[is_there])) + more
    return Depth(round(mean, 6), float(depth[is_there].max()) + more, total)
