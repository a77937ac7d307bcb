"""JSON text: columns of Arrow as columns of JSON, and rows of them as lines.

All of a column at once, by Arrow's functions, which hold no lock of the interpreter's. Strings
are searched for each sign that JSON escapes only if it is among their bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

__all__ = ["json_lines", "json_text", "plain_column"]

_TEXT = pa.large_string()
_ESCAPES = {
    sign: json.dumps(chr(sign))[1:-1]
    for sign in (ord("\\"), *range(0x20), ord('"'))  # the backslash first: others put some in
}


def json_lines(batch: pa.RecordBatch) -> pa.Buffer:
    """Return rows as JSON, an object a line.

    Notes
    -----
    Time O(bytes), in memory a few times the batch.
    """
    lines = _objects(batch.schema.names, batch.columns, "}\n")
    return _bytes_of(lines)


def json_text(column: pa.Array) -> pa.Array:
    """Return a column's values as JSON; null is ``null``.

    Whole numbers, floats and booleans are JSON's; a float that is none (NaN, infinity) is
    ``null``. Decimals, dates and times are text, those with a zone in UTC. A duration is the
    number of its units. Maps are lists of objects with ``key`` and ``value``.

    Examples
    --------
    >>> json_text(pa.array([[1, None], None, []])).to_pylist()
    ['[1,null]', 'null', '[]']
    >>> json_text(pa.array([1.0, 0.25, float("nan")])).to_pylist()
    ['1.0', '0.25', 'null']
    """
    column = plain_column(column)
    kind = column.type
    if pt.is_null(kind):
        return pa.repeat(pa.scalar("null", _TEXT), len(column))
    if pt.is_struct(kind):
        names = [field.name for field in kind]
        text = _objects(names, column.flatten(), "}")
    elif pt.is_nested(kind):
        text = _lists(column)
    elif pt.is_string(kind) or pt.is_large_string(kind):
        text = _quoted(_escaped(column.cast(_TEXT)))
    elif pt.is_floating(kind):
        text = _numbers(column)
    elif pt.is_timestamp(kind):
        text = _quoted(pc.replace_substring(column.cast(_TEXT), " ", "T", max_replacements=1))
    elif pt.is_decimal(kind) or pt.is_date(kind) or pt.is_time(kind):
        text = _quoted(column.cast(_TEXT))
    else:
        text = column.cast(_TEXT)
    if text.null_count:
        text = text.fill_null("null")
    if column.null_count and (pt.is_nested(kind)):
        text = pc.if_else(column.is_valid(), text, _scalar("null"))
    return text


def plain_column(column: pa.Array) -> pa.Array:
    """Return a column in a type that text can be made of: values of dictionaries, UTC."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    kind = column.type
    if pt.is_dictionary(kind):
        return plain_column(column.dictionary_decode())
    if pt.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pt.is_duration(kind):
        return column.cast(pa.int64())
    if pt.is_float16(kind):
        return column.cast(pa.float32())
    if pt.is_string_view(kind):
        return column.cast(_TEXT)
    return column


def _objects(names: Sequence[str], columns: Sequence[pa.Array], end: str) -> pa.Array:
    parts: list[pa.Array | pa.Scalar] = []
    for i, (name, column) in enumerate(zip(names, columns, strict=True)):
        begin = ("," if i else "{") + json.dumps(name, ensure_ascii=False) + ":"
        parts += [_scalar(begin), json_text(column)]
    if not parts:
        return pa.array([], _TEXT)
    return pc.binary_join_element_wise(*parts, _scalar(end), _scalar(""))


def _pairs(column: pa.Array) -> pa.Array:
    """Return maps as lists of structs."""
    pairs = pa.StructArray.from_arrays([column.keys, column.items], ["key", "value"])
    starts = np.array(column.offsets, np.int64)  # a copy: of a slice it takes no mask
    return pa.LargeListArray.from_arrays(starts, pairs, mask=column.is_null())


def _lists(column: pa.Array) -> pa.Array:
    if pt.is_map(column.type):
        column = _pairs(column)
    if pt.is_list_view(column.type) or pt.is_large_list_view(column.type):
        column = column.cast(pa.large_list(column.type.value_field))
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    texts = json_text(column.flatten())
    inner = pc.binary_join(pa.LargeListArray.from_arrays(starts, texts), _scalar(","))
    return pc.binary_join_element_wise(_scalar("["), inner, _scalar("]"), _scalar(""))


def _numbers(column: pa.Array) -> pa.Array:
    text = pc.if_else(pc.is_finite(column), column.cast(_TEXT), pa.scalar(None, _TEXT))
    is_whole = pc.match_substring_regex(text, r"^-?[0-9]+$")
    whole = pc.binary_join_element_wise(text, _scalar(".0"), _scalar(""))
    return pc.if_else(is_whole, whole, text)  # so that it is read as a float again


def _escaped(text: pa.Array) -> pa.Array:
    there = np.bincount(np.frombuffer(_bytes_of(text), np.uint8), minlength=256)
    for sign, escape in _ESCAPES.items():
        if there[sign]:
            text = pc.replace_substring(text, chr(sign), escape)
    return text


def _quoted(text: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(_scalar('"'), text, _scalar('"'), _scalar(""))


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, _TEXT)


def _bytes_of(text: pa.Array) -> pa.Buffer:
    """Return the bytes of all values, one behind the other."""
    _, offsets, data = text.buffers()
    if not len(text) or data is None:
        return pa.py_buffer(b"")
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    return data.slice(int(ends[0]), int(ends[-1] - ends[0]))
