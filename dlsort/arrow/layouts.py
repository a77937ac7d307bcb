"""The same values in another Arrow layout: views as offsets, and back, at any depth.

Arrow's own ``cast`` does not reach dictionaries inside lists and structs.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_view, narrow

__all__ = ["recast", "without_views"]


def without_views(kind: pa.DataType, *, nested_dictionaries: bool = True) -> pa.DataType:
    """Return a type with every view of strings or binary, at any depth, as offsets.

    Parameters
    ----------
    kind : pyarrow.DataType
    nested_dictionaries : bool
        Keep dictionaries inside lists and structs, rather than their values' type.

    Examples
    --------
    >>> without_views(pa.list_(pa.dictionary(pa.int8(), pa.string_view())))
    ListType(list<item: dictionary<values=string, indices=int8, ordered=0>>)
    """

    def inner(part: pa.DataType) -> pa.DataType:
        if pt.is_dictionary(part) and not nested_dictionaries:
            part = part.value_type
        return without_views(part, nested_dictionaries=nested_dictionaries)

    def field(part: pa.Field) -> pa.Field:
        return part.with_type(inner(part.type))

    if isinstance(kind, pa.BaseExtensionType):
        storage = without_views(kind.storage_type, nested_dictionaries=nested_dictionaries)
        return kind if storage == kind.storage_type else storage
    if is_view(kind):
        return narrow(kind)
    if pt.is_dictionary(kind):
        return pa.dictionary(kind.index_type, inner(kind.value_type), kind.ordered)
    if pt.is_struct(kind):
        return pa.struct([field(part) for part in kind])
    if pt.is_fixed_size_list(kind):
        return pa.list_(field(kind.value_field), kind.list_size)
    if pt.is_large_list(kind):
        return pa.large_list(field(kind.value_field))
    if pt.is_list(kind):
        return pa.list_(field(kind.value_field))
    if pt.is_map(kind):
        return pa.map_(field(kind.key_field), field(kind.item_field), kind.keys_sorted)
    return kind


def recast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array in a type of the same structure that differs in layouts only.

    Raises
    ------
    pyarrow.ArrowInvalid
        If values don't fit: more bytes than 32-bit offsets reach, more different values
        than a dictionary's indices count.
    """
    if array.type == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        storage = array.storage if isinstance(array, pa.ExtensionArray) else array
        return pa.ExtensionArray.from_storage(kind, recast(storage, kind.storage_type))
    if isinstance(array, pa.ExtensionArray):
        return recast(array.storage, kind)
    if pt.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(
            array.indices.cast(kind.index_type),
            recast(array.dictionary, kind.value_type),
            ordered=kind.ordered,
            safe=False,
        )
    n, n_null = len(array), array.null_count
    if pt.is_struct(kind):
        # field() applies the slice offset, so the nulls are given anew
        children = [recast(array.field(i), kind.field(i).type) for i in range(kind.num_fields)]
        mask = array.is_null() if n_null else None
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=mask)
    is_list = pt.is_list(kind) or pt.is_large_list(kind)
    if is_list or pt.is_fixed_size_list(kind):
        buffers = array.buffers()[: 2 if is_list else 1]
        child = recast(array.values, kind.value_type)
    elif pt.is_map(kind):
        buffers = array.buffers()[:2]
        entries = pa.StructArray.from_arrays(
            [recast(array.keys, kind.key_type), recast(array.items, kind.item_type)],
            fields=[kind.key_field, kind.item_field],
        )
        child = entries
    else:
        return array.cast(kind)
    return pa.Array.from_buffers(kind, n, buffers, n_null, array.offset, children=[child])
