"""What the parts of a sorted dataset tell, as a model for the next sort by the same key."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes, is_nested, is_text
from dlsort.arrow.transport import concat_rows, transport_schema
from dlsort.keys import SortKey
from dlsort.model.known_model import KnownModel, weights_of
from dlsort.publish.known_parts import is_cut
from dlsort.publish.manifest import Manifest, value_type

__all__ = ["keys_told", "model_of_parts"]


def model_of_parts(
    manifests: Sequence[Manifest],
    schema: pa.Schema,
    keys: Sequence[SortKey],
    as_dictionary: Collection[str] = (),
) -> KnownModel | None:
    """Return what the footers tell as a model; None where they tell of other keys.

    Parameters
    ----------
    manifests : sequence of Manifest
        The parts', in order.
    schema : pyarrow.Schema
        The key columns of the source to be sorted, in order.
    keys : sequence of SortKey
        The key: that of the parts, or its first columns.
    as_dictionary : collection of str
        Columns that are read as dictionaries.
    """
    first = manifests[0]
    n = len(keys)
    kinds = transport_schema(schema).types
    is_same = first.by[:n] == tuple(keys) and first.key_types[:n] == list(
        map(str, schema.types)
    )
    if not is_same:
        return None
    tables, ranks, cut, n_rows = [], [], [np.empty(0, np.bool_)], 0
    for manifest in manifests:
        told = keys_told(manifest, schema)
        if told is None:
            return None
        tables.append(told[0])
        cut.append(told[1])
        ranks += [n_rows + place for place in manifest.told_rows]
        n_rows += manifest.rows
    known = concat_rows(tables)
    for i, key in enumerate(keys):
        if key.column in as_dictionary and not pt.is_dictionary(kinds[i]):
            coded = known.column(i).dictionary_encode()
            known = known.set_column(i, key.column, coded)
    told_by = hashlib.blake2b(digest_size=8)
    for manifest in manifests:
        told_by.update(manifest.to_json())
    return KnownModel(
        known,
        weights_of([(ranks, n_rows)]),
        np.concatenate(cut),
        n_rows,
        frozenset(mark for manifest in manifests for mark in manifest.source),
        told_by.hexdigest(),
    )


def keys_told(
    manifest: Manifest, schema: pa.Schema
) -> tuple[pa.Table, npt.NDArray[np.bool_]] | None:
    """Return the keys that a part's footer tells, and which of them are cut.

    None where keys of these types can't be made of what is told.

    Parameters
    ----------
    manifest : Manifest
        The part's.
    schema : pyarrow.Schema
        The key columns, in order; there may be fewer than the part's.
    """
    if not all(map(_is_told, schema.types)):
        return None
    n, kinds = len(manifest.told_rows), transport_schema(schema).types
    try:
        told = zip(manifest.values(schema.types), kinds, strict=True)
        columns = [_column(values, kind) for values, kind in told]
    except (pa.ArrowException, ValueError, TypeError, LookupError, OverflowError):
        return None
    if any(len(column) != n for column in columns):
        return None
    cut = np.zeros(n, np.bool_)
    for values, kind in zip(manifest.quantiles, map(value_type, kinds), strict=False):
        if is_bytes(kind):
            is_hex = not is_text(kind)
            cut |= [is_cut(value, is_hex=is_hex) for value in values]
    return pa.Table.from_arrays(columns, names=schema.names), cut


def _is_told(kind: pa.DataType) -> bool:
    """Return whether keys of a type can be made of what a manifest tells of them."""
    is_ordered = pt.is_dictionary(kind) and kind.ordered
    return not (is_ordered or is_nested(kind) or isinstance(kind, pa.BaseExtensionType))


def _column(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values in the type in which keys are partitioned; cut ones end with a letter."""
    plain = kind.value_type if pt.is_dictionary(kind) else kind
    if is_text(value_type(plain)):
        texts = [v if v is None else v.decode("utf-8", "ignore") for v in values.to_pylist()]
        values = pa.array(texts, pa.large_string())
    values = values.cast(plain)
    return values.dictionary_encode().cast(kind) if plain != kind else values
