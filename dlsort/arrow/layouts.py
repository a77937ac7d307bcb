"""The same values in another Arrow type: views as offsets, wider numbers, at any depth.

Arrow's own ``cast`` does not reach dictionaries inside lists and structs.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes, is_list, is_text, is_variable, is_view, narrow, widened
from dlsort.arrow.made import array_of
from dlsort.arrow.unite import UnlikeError, unite_types

__all__ = ["lists_of_views", "recast", "with_names_of", "with_null_fields", "without_views"]

_LISTS = (
    (pt.is_list, pa.list_),
    (pt.is_large_list, pa.large_list),
    (pt.is_list_view, pa.list_view),
    (pt.is_large_list_view, pa.large_list_view),
)


def without_views(
    kind: pa.DataType, *, nested_dictionaries: bool = True, wide: bool = False
) -> pa.DataType:
    """Return a type with every view of strings or binary, at any depth, as offsets.

    Parameters
    ----------
    kind : pyarrow.DataType
    nested_dictionaries : bool
        Keep dictionaries inside lists and structs, rather than their values' type.
    wide : bool
        Have offsets of 64 bits, at any depth; those of maps stay 32 bits wide.

    Examples
    --------
    >>> without_views(pa.list_(pa.dictionary(pa.int8(), pa.string_view())))
    ListType(list<item: dictionary<values=string, indices=int8, ordered=0>>)
    """

    def inner(part: pa.DataType) -> pa.DataType:
        if pt.is_dictionary(part) and not nested_dictionaries:
            part = part.value_type
        return without_views(part, nested_dictionaries=nested_dictionaries, wide=wide)

    def field(part: pa.Field) -> pa.Field:
        return part.with_type(inner(part.type))

    if isinstance(kind, pa.BaseExtensionType):
        how = {"nested_dictionaries": nested_dictionaries, "wide": wide}
        storage = without_views(kind.storage_type, **how)
        return kind if storage == kind.storage_type else storage
    if is_view(kind):
        kind = narrow(kind)
    if is_variable(kind):
        return widened(kind) if wide else kind
    if pt.is_dictionary(kind):
        return pa.dictionary(kind.index_type, inner(kind.value_type), kind.ordered)
    if pt.is_struct(kind):
        return pa.struct([field(part) for part in kind])
    if pt.is_fixed_size_list(kind):
        return pa.list_(field(kind.value_field), kind.list_size)
    if pt.is_large_list(kind) or (wide and pt.is_list(kind)):
        return pa.large_list(field(kind.value_field))
    if pt.is_list(kind):
        return pa.list_(field(kind.value_field))
    if pt.is_map(kind):
        return pa.map_(field(kind.key_field), field(kind.item_field), kind.keys_sorted)
    return kind


def with_names_of(kind: pa.DataType, like: pa.DataType) -> pa.DataType:
    """Return a type in which the values of lists have the names that they have in another.

    Arrow takes types for equal that differ in such names, and they are stored in files.

    Examples
    --------
    >>> with_names_of(pa.list_(pa.int8()), pa.list_(pa.field("element", pa.int8())))
    ListType(list<element: int8>)
    """
    if is_list(kind) and is_list(like):
        inner = with_names_of(kind.value_type, like.value_type)
        field = kind.value_field.with_type(inner).with_name(like.value_field.name)
        if pt.is_fixed_size_list(kind):
            return pa.list_(field, kind.list_size)
        return next(make for is_such, make in _LISTS if is_such(kind))(field)
    if pt.is_struct(kind) and pt.is_struct(like):
        kinds = {part.name: part.type for part in like}
        return pa.struct(
            [f.with_type(with_names_of(f.type, kinds.get(f.name, f.type))) for f in kind]
        )
    if pt.is_map(kind) and pt.is_map(like):
        key = kind.key_field.with_type(with_names_of(kind.key_type, like.key_type))
        item = kind.item_field.with_type(with_names_of(kind.item_type, like.item_type))
        return pa.map_(key, item, kind.keys_sorted)
    return kind


def with_null_fields(kind: pa.DataType) -> pa.DataType:
    """Return a type in which fields of nothing but nulls may be null, at any depth.

    Spark writes empty arrays as lists of nulls that may not be null. pyarrow reads them, but
    can't make such a field itself, as when a schema arrives at a worker. Keys of maps are never
    null, so those of empty maps become text.
    """
    if pt.is_struct(kind):
        return pa.struct([_null_field(part) for part in kind])
    if is_list(kind):
        value = _null_field(kind.value_field)
        if pt.is_fixed_size_list(kind):
            return pa.list_(value, kind.list_size)
        return next(make for is_such, make in _LISTS if is_such(kind))(value)
    if pt.is_map(kind):
        key = kind.key_field
        inner = pa.string() if pt.is_null(key.type) else with_null_fields(key.type)
        return pa.map_(key.with_type(inner), _null_field(kind.item_field), kind.keys_sorted)
    return kind


def _null_field(field: pa.Field) -> pa.Field:
    nullable = field.nullable or pt.is_null(field.type)
    kind = with_null_fields(field.type)
    return pa.field(field.name, kind, nullable, metadata=field.metadata)


def recast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return the same values in another type, in which each must be what it was.

    Fields of structs are taken by name; those that the array has not are null.

    Raises
    ------
    pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError
        If a value would be another one, or doesn't fit: more bytes than 32-bit offsets reach,
        more different values than a dictionary's indices count, a null where none may be.
    """
    if array.type.equals(kind, check_metadata=True):
        return array
    if pt.is_null(array.type):
        return pa.nulls(len(array), kind)
    if isinstance(kind, pa.BaseExtensionType):
        storage = array.storage if isinstance(array, pa.ExtensionArray) else array
        return pa.ExtensionArray.from_storage(kind, recast(storage, kind.storage_type))
    if isinstance(array, pa.ExtensionArray):
        return recast(array.storage, kind)
    if pt.is_dictionary(kind):
        if not pt.is_dictionary(array.type):
            array = recast(array, kind.value_type).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            array.indices.cast(kind.index_type),
            recast(array.dictionary, kind.value_type),
            ordered=kind.ordered,
            safe=False,
        )
    if pt.is_dictionary(array.type):
        return recast(array.dictionary_decode(), kind)
    if pt.is_struct(kind) and pt.is_struct(array.type):
        return _recast_struct(array, kind)
    n, n_null = len(array), array.null_count
    if is_list(kind) and is_list(array.type):
        array = _same_lists(array, kind)
        buffers = array.buffers()[: 1 if pt.is_fixed_size_list(kind) else 2]
        child = recast(array.values, kind.value_type)
        _check_nulls(kind.value_field, array.flatten())
    elif pt.is_map(kind) and pt.is_map(array.type):
        buffers = array.buffers()[:2]
        keys, items = array.keys, array.items
        if pt.is_null(items.type):  # Arrow's cast of lists of maps leaves another length
            items = pa.nulls(len(keys))
        child = pa.StructArray.from_arrays(
            [recast(keys, kind.key_type), recast(items, kind.item_type)],
            fields=[kind.key_field, kind.item_field],
        )
        _check_nulls(kind.key_field, keys)
        _check_nulls(kind.item_field, items)
    else:
        return _recast_values(array, kind)
    return pa.Array.from_buffers(kind, n, buffers, n_null, array.offset, children=[child])


def _recast_struct(array: pa.StructArray, kind: pa.DataType) -> pa.StructArray:
    mask = array.is_null() if array.null_count else None
    children = []
    names = [[field.name for field in struct] for struct in (array.type, kind)]
    is_same = names[0] == names[1]
    if not is_same and any(len(set(of_one)) < len(of_one) for of_one in names):
        msg = "fields of one name can't be told apart"
        raise pa.ArrowInvalid(msg)
    for i, field in enumerate(kind):
        place = i if is_same else array.type.get_field_index(field.name)
        # field() applies the slice offset, so the nulls are given anew
        child = pa.nulls(len(array)) if place < 0 else array.field(place)
        child = recast(child, field.type)
        if not field.nullable:
            _check_nulls(field, child if mask is None else child.filter(pc.invert(mask)))
        children.append(child)
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=mask)


def lists_of_views(array: pa.Array) -> pa.LargeListArray:
    """Return list views as lists.

    Arrow's own cast takes the views' offsets, of which there is one less than a list has.
    """
    sizes = array.sizes.to_numpy().astype(np.int64)
    null = array.is_null() if array.null_count else None
    if null is not None:
        sizes[null.to_numpy(zero_copy_only=False)] = 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    kind = pa.large_list(array.type.value_field)
    return pa.LargeListArray.from_arrays(
        array_of(offsets), array.flatten(), type=kind, mask=null
    )


def _same_lists(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return lists of the same values with the offsets that a type has."""
    if pt.is_list_view(array.type) or pt.is_large_list_view(array.type):
        array = lists_of_views(array)
    inner = array.type.value_field
    if pt.is_fixed_size_list(kind):
        wanted = pa.list_(inner, kind.list_size)
    else:
        wanted = pa.large_list(inner) if pt.is_large_list(kind) else pa.list_(inner)
    return array if array.type == wanted else array.cast(wanted)


def _check_nulls(field: pa.Field, values: pa.Array) -> None:
    if not field.nullable and values.null_count:
        msg = f"{field.name!r} is null, and may not be"
        raise pa.ArrowInvalid(msg)


def _recast_values(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values that have no others inside; raise where one would change.

    Arrow looks whether integers, decimals and times fit, but not whether a float is the same,
    a time loses its day or a text its zeros: so they are brought back and compared.
    """
    if is_text(array.type) != is_text(kind) and is_bytes(array.type) and is_bytes(kind):
        array = array.cast(pa.large_binary())  # Arrow knows no other way to views
    if pt.is_timestamp(kind) and pt.is_timestamp(array.type) and _no_zone(kind, array.type):
        msg = "a time of a zone is none without a zone"
        raise pa.ArrowInvalid(msg)
    if pt.is_integer(array.type) and pt.is_decimal(kind):
        array = array.cast(pa.decimal256(20 + max(0, kind.scale), kind.scale))
    if pt.is_floating(array.type) and not (pt.is_floating(kind) or is_text(kind)):
        _check_signs(array, kind)
    found = array.cast(kind)
    try:
        is_wider = unite_types(array.type, kind) == kind
    except UnlikeError:
        is_wider = False
    if not is_wider and not _without_nan(found.cast(array.type)).equals(_without_nan(array)):
        msg = f"a value of {array.type} would not be the same as {kind}"
        raise pa.ArrowInvalid(msg)
    return found


def _check_signs(array: pa.Array, kind: pa.DataType) -> None:
    floats = array.cast(pa.float64()).drop_null().to_numpy()
    if np.signbit(floats[floats == 0]).any():
        msg = f"-0.0 would lose its sign as {kind}"
        raise pa.ArrowInvalid(msg)


def _no_zone(one: pa.DataType, other: pa.DataType) -> bool:
    return (one.tz is None) != (other.tz is None)


def _without_nan(array: pa.Array) -> pa.Array:
    if not pt.is_floating(array.type):
        return array
    return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
