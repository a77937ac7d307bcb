"""Kinds: what a type is, where the layout of its values does not matter."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.types as pt

__all__ = [
    "holds",
    "is_binary",
    "is_bytes",
    "is_fixed_width",
    "is_list",
    "is_nested",
    "is_text",
    "is_variable",
    "is_view",
    "is_wide",
    "narrow",
    "widened",
]


def is_text(kind: pa.DataType) -> bool:
    """Return whether values are UTF-8, in any layout."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Return whether values are bytes of any length, in any layout."""
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind))


def is_view(kind: pa.DataType) -> bool:
    """Return whether values are text or bytes as views, which have no offsets."""
    return bool(pt.is_string_view(kind) or pt.is_binary_view(kind))


def is_variable(kind: pa.DataType) -> bool:
    """Return whether values are text or bytes between offsets."""
    return (is_text(kind) or is_binary(kind)) and not is_view(kind)


def is_bytes(kind: pa.DataType) -> bool:
    """Return whether values compare as byte strings."""
    return is_text(kind) or is_binary(kind) or bool(pt.is_fixed_size_binary(kind))


def is_wide(kind: pa.DataType) -> bool:
    """Return whether text or bytes have offsets of 64 bits."""
    return bool(pt.is_large_string(kind) or pt.is_large_binary(kind))


def is_list(kind: pa.DataType) -> bool:
    """Return whether values are lists of one type, in any layout; a map is none."""
    views = pt.is_list_view(kind) or pt.is_large_list_view(kind)
    plain = pt.is_list(kind) or pt.is_large_list(kind)
    return bool(plain or views or pt.is_fixed_size_list(kind))


def is_fixed_width(kind: pa.DataType) -> bool:
    """Return whether every value takes the same whole bytes, at least one."""
    if pt.is_fixed_size_binary(kind):
        return bool(kind.byte_width > 0)
    return bool((pt.is_primitive(kind) and not pt.is_boolean(kind)) or pt.is_decimal(kind))


def widened(kind: pa.DataType) -> pa.DataType:
    """Return the type of the same text or bytes with offsets of 64 bits."""
    return pa.large_string() if is_text(kind) else pa.large_binary()


def narrow(kind: pa.DataType) -> pa.DataType:
    """Return the type of the same text or bytes with offsets of 32 bits; others as they are."""
    if is_text(kind):
        return pa.string()
    return pa.binary() if is_binary(kind) else kind


def holds(kind: pa.DataType, is_such: Callable[[pa.DataType], bool]) -> bool:
    """Return whether a type, or one inside of it, is of a kind."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds(kind.storage_type, is_such)
    inside = [kind.field(i).type for i in range(kind.num_fields)]
    inside += [kind.value_type] if pt.is_dictionary(kind) else []
    return is_such(kind) or any(holds(each, is_such) for each in inside)


def is_nested(kind: pa.DataType) -> bool:
    """Return whether values are made of others that can be compared one by one."""
    return bool(
        pt.is_struct(kind)
        or pt.is_list(kind)
        or pt.is_large_list(kind)
        or pt.is_fixed_size_list(kind)
        or pt.is_list_view(kind)
        or pt.is_large_list_view(kind)
        or pt.is_map(kind)
    )
