"""A dataset that dlsort has sorted, as its parts' footers tell it: the ground of all upkeep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from dlsort.arrow.paths import field_at, top_columns_of
from dlsort.arrow.transport import concat_rows
from dlsort.errors import DestinationError
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.parts import MANIFEST
from dlsort.key_parts import expression_of, shown_name
from dlsort.keys import SortKey, format_by
from dlsort.options.arguments import COMPRESSIONS
from dlsort.order.words import key_table
from dlsort.proof.checksum import Proof, total
from dlsort.publish.known_model import keys_told
from dlsort.publish.manifest import Manifest, quantile_rows, read_manifest
from dlsort.publish.places import find_problems, list_parts
from dlsort.tuning import Tuning
from dlsort.upkeep.report import UpkeepReport

__all__ = ["SortedDataset", "open_sorted"]


@dataclass(frozen=True)
class SortedDataset:
    """A sorted dataset.

    Parameters
    ----------
    source : ParquetSource
        Its files, which are its parts, in order.
    manifests : tuple of Manifest
        What each part says.
    generation : int
        How many times it was appended to, or evened.
    part_rows : int
        Rows of a part of the usual size, by then; 0 if it never was.
    tuning : Tuning
        The tunables.
    """

    source: ParquetSource
    manifests: tuple[Manifest, ...]
    generation: int
    part_rows: int
    tuning: Tuning

    @property
    def keys(self) -> tuple[SortKey, ...]:
        """The key."""
        return self.manifests[0].by

    @property
    def rows(self) -> list[int]:
        """Rows of each part."""
        return [manifest.rows for manifest in self.manifests]

    def proof(self, part: int) -> Proof:
        """Return what a part's footer says that its rows amount to."""
        manifest = self.manifests[part]
        high, low = manifest.checksum[:16], manifest.checksum[16:]
        return Proof(manifest.rows, int(low, 16), int(high, 16))

    @cached_property
    def key_schema(self) -> pa.Schema:
        """The key columns, in order, as files have them."""
        return pa.schema([field_at(self.source.schema, key.column) for key in self.keys])

    @cached_property
    def row_bytes(self) -> float:
        """What a row takes in memory, about."""
        return max(1.0, self.source.arrow_bytes / max(1, self.source.n_rows))

    def has_appended(self, marks: tuple[str, ...]) -> bool:
        """Return whether what was appended last came from files with these marks."""
        last = next(
            (m for m in self.manifests if m.generation == self.generation and m.members), None
        )
        return bool(marks) and last is not None and last.source[: len(marks)] == list(marks)

    def usual_rows(self, partition_size: int | None = None) -> int:
        """Return how many rows a part has, usually; in parts of a size, if it is given."""
        if partition_size is not None:
            return max(1, int(partition_size / self.row_bytes))
        if self.part_rows:
            return self.part_rows
        mean = max(1, -(-self.source.n_rows // len(self.manifests)))
        if len(self.manifests) > 1:
            return mean
        # One part says nothing of how large several should be.
        return max(mean, int(self.tuning.budget.partition_bytes / self.row_bytes))

    @cached_property
    def compression(self) -> str:
        """The codec of its pages, as far as the first part tells."""
        metadata = self.source.footers[0].metadata
        if not metadata.num_row_groups or not metadata.num_columns:
            return "snappy"
        codec = str(metadata.row_group(0).column(0).compression).lower()
        codec = {"uncompressed": "none", "lz4_raw": "lz4"}.get(codec, codec)
        return codec if codec in COMPRESSIONS else "snappy"

    @cached_property
    def group_rows(self) -> int:
        """Rows of a row group, as far as some part has several."""
        for footer in self.source.footers:
            if len(footer.rows) > 1:
                return int(max(footer.rows))
        return self.tuning.io.row_group_rows

    def report(self, door: str, dst: str, src: str = "") -> UpkeepReport:
        """Return the report of a job that had nothing to do."""
        checksum = total(map(self.proof, range(len(self.manifests)))).checksum
        return UpkeepReport(
            door=door,
            src=src,
            dst=dst,
            by=format_by(self.keys),
            added_rows=0,
            rows=self.source.n_rows,
            kept_parts=len(self.manifests),
            remade_parts=0,
            written_parts=0,
            written_bytes=0,
            bytes=sum(stamp.n_bytes for stamp in self.source.stamps),
            seconds=0.0,
            checksum=checksum,
            resumed_parts=0,
            generation=self.generation,
        )

    @cached_property
    def edges(self) -> list[pa.Table]:
        """The first and the last key of each part; no rows, where it has none.

        The footers tell them; where they are long or nested, they are read.
        """
        return [self._edges_of(part) for part in range(len(self.manifests))]

    def _edges_of(self, part: int) -> pa.Table:
        manifest = self.manifests[part]
        if not manifest.rows:
            return self.keys_of(self.source, 0, 0).slice(0, 0)
        if all(len(q) == len(quantile_rows(manifest.rows)) for q in manifest.quantiles):
            ends = [[q[0], q[-1]][: manifest.rows] for q in manifest.quantiles]
            of_ends = replace(manifest, rows=min(2, manifest.rows), quantiles=ends)
            told = keys_told(of_ends, self.key_schema)
            if told is not None and not told[1].any():
                table = told[0]
                return concat_rows([table.slice(0, 1), table.slice(table.num_rows - 1)])
        groups = self._groups[part]
        first = self.keys_of(self.source, groups[0], groups[0] + 1)
        last = self.keys_of(self.source, groups[-1], groups[-1] + 1)
        return concat_rows([first.slice(0, 1), last.slice(last.num_rows - 1)])

    @cached_property
    def _groups(self) -> dict[int, list[int]]:
        """The row groups of each part that have rows."""
        found: dict[int, list[int]] = {}
        for number, group in enumerate(self.source.row_groups):
            if group.n_rows:
                found.setdefault(group.file, []).append(number)
        return found

    def keys_of(self, source: ParquetSource, first: int, last: int) -> pa.Table:
        """Return the keys in some row groups of a source that has this one's columns."""
        names = top_columns_of(self.source.schema, self.keys)
        table = source.read(source.piece(first, last), names)
        return self.plain(key_table(table, self.keys))

    def plain(self, keys: pa.Table) -> pa.Table:
        """Return keys in types that do not depend on how files store them."""
        columns = [
            column.cast(column.type.value_type)
            if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(kind)
            else column
            for column, kind in zip(keys.columns, self.key_schema.types, strict=True)
        ]
        return pa.Table.from_arrays(columns, names=self.key_schema.names)


def open_sorted(place: str, dst: str, tuning: Tuning) -> SortedDataset:
    """Open a dataset that dlsort has sorted, and that is whole.

    Parameters
    ----------
    place : str
        Where it is.
    dst : str
        What the caller has called it.
    tuning : Tuning
        The tunables.

    Raises
    ------
    DestinationError
        If it was not sorted by dlsort, or its parts are not those of one dataset.
    """
    source = open_source(place, tuning.io)
    told = [footer.metadata.metadata for footer in source.footers]
    found = [read_manifest(each) for each in told]
    manifests = tuple(manifest for manifest in found if manifest is not None)
    if not manifests:
        _check_has_key(dst, told)
        what = (
            "say nothing of it"
            if not any(MANIFEST in (each or {}) for each in told)
            else ("are of a version that this one does not know")
        )
        msg = (
            f"{dst} is no dataset that dlsort has sorted, or was sorted without a manifest: "
            f"its footers {what}. Sort it first, by dlsort sort --overwrite."
        )
        raise DestinationError(msg)
    _check_can_be_read(dst, manifests[0].by)
    if any(m.first_row or not m.is_last or m.partition_by for m in manifests):
        msg = (
            f"{place} was sorted into folders (partition_by) or files of a size "
            "(target_file_size), which are not kept up: sort it anew, with the new rows."
        )
        raise DestinationError(msg)
    rows = [int(footer.rows.sum()) for footer in source.footers]
    problems = find_problems(zip(source.files, rows, found, strict=True))
    if not problems and (len({str(m.keys) + str(m.key_types) for m in manifests}) > 1):
        problems = ["its parts are sorted by different keys."]
    if not problems and (source.fits or any(source.told)):
        problems = ["its parts differ in their columns, or lie in folders that tell some."]
    if problems:
        more = f" (and {len(problems) - 1:,} more like it)" if len(problems) > 1 else ""
        msg = (
            f"{dst} is not whole, or not only what dlsort has sorted: {problems[0]}{more} "
            "Nothing was changed; restore it, or sort it anew."
        )
        raise DestinationError(msg)
    _, lead = list_parts(manifests)
    assert lead is not None
    return SortedDataset(source, manifests, lead.generation, lead.part_rows, tuning)


def _check_has_key(dst: str, told: Sequence[Mapping[bytes, bytes] | None]) -> None:
    """Raise if parts are dlsort's, and have not the columns that they are sorted by.

    Raises
    ------
    DestinationError
    """
    if any(read_manifest(each, of_key=False) is not None for each in told):
        msg = (
            f"{dst} has not the columns that it is sorted by, so that no rows can be put among "
            "its own. Sort it anew from the source."
        )
        raise DestinationError(msg)


def _check_can_be_read(dst: str, keys: Sequence[SortKey]) -> None:
    """Raise if a part of the key is computed: upkeep reads keys of files as they are there.

    Raises
    ------
    DestinationError
    """
    computed = next((key.column for key in keys if expression_of(key.column)), None)
    if computed is not None:
        msg = (
            f"{dst} is sorted by {format_by(keys)}, and what is appended to, or made even, has "
            f"to be sorted by columns: {shown_name(computed)} is computed. Sort all rows anew, "
            "by dlsort sort."
        )
        raise DestinationError(msg)
