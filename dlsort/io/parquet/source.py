"""Parquet datasets as sources: what their footers say, and the rows of their pieces.

Only footers are read when one is opened.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import holds
from dlsort.arrow.paths import field_at
from dlsort.arrow.same_names import given_name
from dlsort.errors import SourceUnsupportedError
from dlsort.io.find import Listing, SourceFile, find_files
from dlsort.io.listing.hive import HiveTypes
from dlsort.io.listing.passed_over import Unread, refuse
from dlsort.io.parquet.files.file_footers import read_footers
from dlsort.io.parquet.files.layouts import ColumnLayout, layouts_of, readable_as_dictionary
from dlsort.io.parquet.files.row_groups import find_groups
from dlsort.io.parquet.footers import Footer
from dlsort.io.parquet.reader import read_piece
from dlsort.io.parquet.statistics import compare_raw, range_of, raw_factor, raw_values
from dlsort.io.parquet.stored_schema import is_inside, is_wanted
from dlsort.io.paths import Places, shown_places
from dlsort.io.schema.metadata import FileSchema
from dlsort.io.schema.told_types import ARROW, told_types
from dlsort.io.schema.united import SchemaWanted, unite
from dlsort.io.source import FileGroups, Piece, Range, Source, Stamp
from dlsort.io.tables.columns import table_columns
from dlsort.io.told import find_told, in_table_order, told_ranges, with_told
from dlsort.keys import SortKey
from dlsort.tuning import IoTuning

__all__ = ["ParquetSource", "open_source", "top_columns"]


@dataclass(frozen=True)
class ParquetSource(Source):
    """A Parquet dataset, as its footers tell it.

    Parameters
    ----------
    layouts : dict of str to ColumnLayout
        How each leaf column is stored, by its path.
    footers : tuple of Footer
        The footers; they stay on the client.
    told_types : pyarrow.Schema or None
        The Arrow schema that parts are to tell.
    """

    layouts: Mapping[str, ColumnLayout] = field(default_factory=dict)
    footers: tuple[Footer, ...] = ()
    told_types: pa.Schema | None = None
    # What has been asked for: every strategy that is tried asks again.
    _ranges: dict[str, Mapping[int, Range]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def as_dictionary(self) -> tuple[str, ...]:
        """The string columns that are best kept as dictionaries on the way through."""
        return tuple(
            f.name for f in self.schema if readable_as_dictionary(f, self.layouts, self.tuning)
        )

    def read(self, piece: Piece, columns: Sequence[str]) -> pa.Table:
        """Read some columns of a piece; see :func:`read_piece`."""
        how = self.tuning, self.as_dictionary, self.most_bytes
        return read_piece(piece, self.schema, list(columns), *how)

    def ranges(self, column: str) -> Mapping[int, Range]:
        """Return what the footers tell of a column's values, by row group."""
        if (of_files := self._told_ranges(column)) is not None:
            return of_files
        if column not in self._ranges:
            places = self._places(column)
            factors = self._factors(column)
            closed = [_encrypted_places(footer) for footer in self.footers]
            found = {}
            for g, group in enumerate(self.row_groups):
                place, factor = places[group.file], factors[group.file]
                is_open = place not in closed[group.file]
                if place is not None and factor is not None and is_open:
                    metadata = self.footers[group.file].metadata.row_group(group.index)
                    if told := range_of(metadata.column(place)):
                        found[g] = told if factor == 1 else told.times(factor)
            self._ranges[column] = found
        return self._ranges[column]

    def exact_ranges(self, column: str) -> dict[int, Range] | None:
        """Return the range of each row group that has rows, if all tell one that compares."""
        if any(group.first_row is not None for group in self.row_groups):
            return None  # of a slice nothing is known
        kind = field_at(self.schema, column).type
        if (of_files := self._told_ranges(column)) is not None:
            return of_files if compare_raw(kind, {"INT32"}) else None
        places = self._places(column)
        stored = {
            footer.leaves[place].kind
            for footer, place in zip(self.footers, places, strict=True)
            if place is not None
        }
        if not compare_raw(kind, stored):
            return None
        ranges, found = self.ranges(column), {}
        for g, group in enumerate(self.row_groups):
            if group.n_rows:
                told = ranges.get(g)
                if told is None or told.n_nulls is None:
                    return None
                if told.n_nulls == group.n_rows:
                    told = Range(None, None, told.n_nulls)
                elif told.low is None:
                    return None
                found[g] = told
        return found

    def claims_order(self, keys: Sequence[SortKey]) -> bool:
        """Return whether every row group says that its rows are in the order of a key.

        A column that is told of a file is the same in all of its rows, so it is in any order.
        """
        places_of = [top_columns(footer) for footer in self.footers]
        told_of = [{told.column for told in of_file} for of_file in self.told]
        if any(None in self._factors(key.column) for key in keys):
            return False  # a file's order is of its own types
        for group in self.row_groups:
            places = places_of[group.file]
            told = told_of[group.file] if told_of else set()
            same = {places.get(column) for column in told}
            claims = self.footers[group.file].metadata.row_group(group.index).sorting_columns
            claims = [claim for claim in claims if claim.column_index not in same]
            wanted = [key for key in keys if key.column not in told]
            if len(claims) < len(wanted):
                return False
            for key, claim in zip(wanted, claims, strict=False):
                order = (places.get(key.column), key.descending, key.nulls_first)
                if (claim.column_index, claim.descending, claim.nulls_first) != order:
                    return False
        return True

    def _told_ranges(self, column: str) -> dict[int, Range] | None:
        return told_ranges(self, column, raw_values)

    def check_columns(self, columns: Collection[str], *, copied: bool) -> None:
        """Raise if some columns are encrypted; or, if copied, of types that Arrow changes."""
        names, seen = set(columns), set[int]()
        given = set(map(given_name, names))
        for path, footer in zip(self.files, self.footers, strict=True):
            for leaf in footer.leaves if footer.encrypted and not footer.keys else ():
                if leaf.path in footer.encrypted and is_wanted(leaf, names):
                    raise SourceUnsupportedError(
                        f"column {leaf.path!r} of {path} is encrypted: give its keys by "
                        "decryption (--decryption), or leave the column out."
                    )
            if copied and id(footer.annotations) not in seen:
                seen.add(id(footer.annotations))
                for column, name in footer.annotations.lost.items():
                    if not is_inside(column, given):
                        continue
                    raise SourceUnsupportedError(
                        f"column {column!r} of {path} is {name}, which Arrow reads as another "
                        "type: a sorted copy would not have it. Write the column as text, "
                        "binary or numbers first, or leave it out."
                    )
        for column in self.schema if copied else ():
            if holds(column.type, _is_of_no_elements):
                raise SourceUnsupportedError(
                    f"column {column.name!r} has arrays of a fixed size of 0, which pyarrow "
                    "writes so that they can't be read again. Write lists instead, or leave "
                    "the column out."
                )
        if copied and len(in_utc := self._times()) > 1:
            raise SourceUnsupportedError(
                f"columns {in_utc[True]!r} and {in_utc[False]!r} are times of day with and "
                "without UTC (TIME WITH TIME ZONE), which can't be kept beside one another. "
                "Write both in one way first."
            )

    @cached_property
    def has_elements(self) -> bool:
        """Whether the values of all lists are called ``element`` in all files.

        The format has it so, and Arrow's own types take the name from the file; extension types
        don't. A repetition is one of a list or of a map.
        """
        kinds = {id(footer.leaves): footer.leaves for footer in self.footers}.values()
        return all(
            leaf.path.count(".list.element") + leaf.path.count(".key_value.") == leaf.levels[0]
            for leaves in kinds
            for leaf in leaves
        )

    @property
    def n_passed_groups(self) -> int:
        """Row groups that are not read, as no row of them is kept."""
        return 0

    @property
    def n_decrypted(self) -> int:
        """Files of which something is encrypted, and read by keys."""
        return sum(footer.keys is not None for footer in self.footers)

    def _groups_of(self, file: int, *groups: Any, **more: Any) -> FileGroups:
        return super()._groups_of(file, *groups, **more)._replace(keys=self.footers[file].keys)

    @cached_property
    def times_in_utc(self) -> bool:
        """Whether the parts are to say of times of day that they are in UTC."""
        return True in self._times()

    def _times(self) -> dict[bool, str]:
        """Return a column with times of day that are, and one of those that aren't in UTC."""
        return {
            in_utc: column
            for footer in self.footers
            for column, in_utc in footer.annotations.in_utc.items()
            if is_inside(column, list(map(given_name, self.schema.names)))
        }

    def _factors(self, column: str) -> list[int | None]:
        """Return by what each file's raw values are multiplied to compare; None: they don't."""
        kind = field_at(self.schema, column).type
        fits = self.fits or (None,) * len(self.files)
        return [
            1
            if fit is None or column not in fit.differs or column not in footer.schema.names
            else raw_factor(footer.schema.field(column).type, kind)
            for fit, footer in zip(fits, self.footers, strict=True)
        ]

    def _places(self, column: str) -> list[int | None]:
        """Return a column's place in each file; None where it is nested."""
        return [top_columns(footer).get(column) for footer in self.footers]


def open_source(
    src: Places | Path,
    tuning: IoTuning,
    schema: SchemaWanted = "union",
    ignore: Sequence[str] = (),
    hive_types: HiveTypes | None = None,
    decryption: str | None = None,
    listing: Listing | None = None,
) -> ParquetSource:
    """Read the footers of a dataset.

    Parameters
    ----------
    src : str, path-like or tuple of str
        A Parquet file, a folder of them or a glob, or a list of such.
    tuning : IoTuning
        How it, and its rows later, are read.
    schema : "union", "strict", pyarrow.Schema or ColumnTypes
        The schema that files are to have.
    ignore : sequence of str
        Patterns of names to leave out.
    hive_types : mapping of str to pyarrow.DataType, optional
        Types of columns that folders tell.
    decryption : str, optional
        Names the function that gives the keys of encrypted files.
    listing : Listing, optional
        Its files, if they have been found.

    Raises
    ------
    SourceNotFoundError
        If there is no Parquet file.
    CorruptSourceError
        If a file is truncated or is not Parquet; the message names it.
    SchemaMismatchError
        If two files disagree on a column, and can't be united; the message names all three.
    """
    places = src if isinstance(src, tuple) else str(src)
    listing = listing or find_files(places, ignore)
    with _no_collection():
        read = _read_all(shown_places(places), listing, tuning, decryption)
        return _make_source(*read, tuning, schema, hive_types or {})


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the garbage collector out while many objects are made, all of which stay.

    Looked through again and again, those of 30,000 footers took 0.9 s of 4.1.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_all(
    src: str, listing: Listing, tuning: IoTuning, decryption: str | None
) -> tuple[list[SourceFile], list[tuple[Footer, Stamp]], dict[str, list[str]]]:
    """Return the files that are Parquet, what they tell, and what is passed over."""
    files, opened = [], []
    unread: list[Unread] = []
    footers = read_footers(listing.files, tuning, decryption)
    for file, found in zip(listing.files, footers, strict=True):
        if isinstance(found, Unread):
            unread.append(found)
        else:
            files.append(file)
            opened.append(found)
    refuse(src, unread, len(files))
    passed = {why: list(names) for why, names in listing.passed.items()}
    if unread:
        passed["document"] = [one.path for one in unread]
    return files, opened, passed


def _make_source(
    files: Sequence[SourceFile],
    opened: Sequence[tuple[Footer, Stamp]],
    passed: Mapping[str, Sequence[str]],
    tuning: IoTuning,
    wanted: SchemaWanted,
    hive_types: HiveTypes,
) -> ParquetSource:
    footers = [footer for footer, _ in opened]
    stored = [
        table_columns(file.path, file.table, footer.schema)
        for file, footer in zip(files, footers, strict=True)
    ]
    told, types = find_told(files, stored, hive_types)
    whole = list(with_told(stored, told, types))
    united = unite(
        [
            FileSchema(
                file.path,
                schema,
                footer.metadata.num_rows,
                None if file.table is None else file.table.schema,
            )
            for file, schema, footer in zip(files, whole, footers, strict=True)
        ],
        wanted,
        are_stored=all(
            schema is footer.schema or schema.names == footer.schema.names
            for schema, footer in zip(whole, footers, strict=True)
        ),
    )
    schema = united.schema
    has_own = isinstance(wanted, pa.Schema)
    if not has_own:
        schema = in_table_order(schema, files, told)
    return ParquetSource(
        tuple(file.path for file in files),
        schema,
        tuple(find_groups(footers, united.fits, schema)),
        tuple(stamp for _, stamp in opened),
        tuning,
        told=tuple(told),
        passed=passed,
        fits=united.fits if any(united.fits) else (),
        changes=united.changes,
        dropped=united.dropped,
        layouts=layouts_of(footers, united.fits, types),
        footers=tuple(footers),
        told_types=_told_types(
            footers, schema, has_own=has_own or isinstance(wanted, dict) or bool(types)
        ),
    )


def _told_types(
    footers: Sequence[Footer], schema: pa.Schema, *, has_own: bool
) -> pa.Schema | None:
    kinds = {id(footer.schema): footer for footer in footers}.values()
    told = [(f.schema, (f.metadata.metadata or {}).get(ARROW)) for f in kinds]
    return told_types(told, schema, has_own=has_own)


def top_columns(footer: Footer) -> dict[str, int]:
    """Return the places of the columns that are not nested, by name.

    Paths would not do: a column "a.b" has that of the field b of a struct a.
    """
    leaves = footer.leaves
    return {leaf.path: i for i, leaf in enumerate(leaves) if leaf.is_top}


def _encrypted_places(footer: Footer) -> set[int]:
    """Return the places of encrypted columns: what is told of their values is not known."""
    if not footer.encrypted:
        return set()
    return {i for i, leaf in enumerate(footer.leaves) if leaf.path in footer.encrypted}


def _is_of_no_elements(kind: pa.DataType) -> bool:
    return pt.is_fixed_size_list(kind) and kind.list_size == 0
