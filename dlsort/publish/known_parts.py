"""Known parts: the ranks of the keys that the footers of a sorted dataset's parts tell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from dlsort.arrow.kinds import is_bytes, is_nested, is_text
from dlsort.arrow.paths import field_at
from dlsort.arrow.transport import concat_rows
from dlsort.io.parquet.source import ParquetSource
from dlsort.keys import SortKey
from dlsort.model.known_ranks import KnownKeys, KnownRanks
from dlsort.publish.manifest import (
    MOST_BYTES,
    MOST_ELEMENTS,
    Manifest,
    read_manifest,
    value_type,
)
from dlsort.publish.places import list_parts

__all__ = ["is_cut", "manifests_of", "ranks_of_parts"]


def manifests_of(source: ParquetSource, *, of_key: bool = True) -> list[Manifest] | None:
    """Return what the parts of one dataset say, in its order; None if the files are no such.

    Parts may be missing: those that are there are sorted still. None is changed, as far as
    its number of rows and the names and types of its keys tell. If ``of_key`` is false, they
    may tell no key.
    """
    if source.fits or any(source.told):
        return None
    found: list[Manifest] = []
    for footer in source.footers:
        manifest = read_manifest(footer.metadata.metadata, of_key=of_key)
        if manifest is None or manifest.rows != int(footer.rows.sum()):
            return None
        found.append(manifest)
    listed, by = list_parts(found)
    if listed is None or by is None:
        return None
    is_alike = all((m.keys, m.key_types) == (by.keys, by.key_types) for m in found)
    places = [listed.place(manifest) for manifest in found]
    is_listed = is_alike and None not in places
    both = zip(places, found, strict=True)
    numbers = [(place, m.first_row) for place, m in both if place is not None]
    in_order = all(one < other for one, other in pairwise(numbers))
    return found if is_listed and in_order else None


def ranks_of_parts(
    manifests: Sequence[Manifest], schema: pa.Schema, keys: Sequence[SortKey]
) -> KnownRanks | None:
    """Return what the footers tell of a key's ranks; None if the parts are sorted by others.

    Parameters
    ----------
    manifests : sequence of Manifest
        The parts', in order.
    schema : pyarrow.Schema
        The dataset's.
    keys : sequence of SortKey
        The key that the parts are sorted by, or its first columns.
    """
    n_columns = len(keys)
    if manifests[0].by[:n_columns] != tuple(keys):
        return None
    names = [key.column for key in keys]
    kinds = [value_type(field_at(schema, name).type) for name in names]
    nested = [c for c, kind in enumerate(kinds) if is_nested(kind)]
    texts = [c for c, kind in enumerate(kinds) if is_bytes(kind)]
    tables, rows = [], list[int]()
    cut: list[list[bool]] = [[] for _ in kinds]
    n_rows = 0
    for manifest in manifests:
        try:
            table = manifest.table(schema, n_columns).rename_columns(names)
        except (pa.ArrowException, ValueError, TypeError, LookupError, OverflowError):
            return None
        places = manifest.told_rows
        if table.num_rows != len(places):
            return None
        kept: Sequence[int] = range(len(places))
        # How a nested value goes on can't be told from what it begins with: it is left out.
        for c in nested:
            kept = [i for i in kept if not _holds_cut(manifest.quantiles[c][i])]
        for c in texts:
            is_hex = not is_text(kinds[c])
            values = (manifest.quantiles[c][i] for i in kept)
            cut[c] += [is_cut(value, is_hex=is_hex) for value in values]
        tables.append(table.take(pa.array(kept, pa.int64())) if nested else table)
        rows += [n_rows + places[i] for i in kept]
        n_rows += manifest.rows
    columns = [of_column or [False] * len(rows) for of_column in cut] if texts else ()
    known = KnownKeys.of(concat_rows(tables), keys, columns)
    if any(one > other for one, other in pairwise(known.codes)):
        return None
    return KnownRanks.of_runs(known, [(rows, n_rows)])


def is_cut(value: str | None, *, is_hex: bool) -> bool:
    """Return whether more of a text may have been there than the manifest has."""
    if value is None or len(value) * 4 < MOST_BYTES:
        return False
    n_bytes = len(value) // 2 if is_hex else len(value.encode("utf-8", "surrogateescape"))
    return n_bytes >= MOST_BYTES


def _holds_cut(value: Any) -> bool:
    """Return whether what was cut may be in a nested value."""
    if isinstance(value, str):
        return is_cut(value, is_hex=False)
    if isinstance(value, list):
        return len(value) >= MOST_ELEMENTS or any(map(_holds_cut, value))
    return False
