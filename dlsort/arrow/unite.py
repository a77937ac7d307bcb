"""Unite: one type for columns that differ a little, in which no value is lost.

Types are united where one of them, or a third, holds every value of both: other layouts of
text, wider numbers, finer units, fields that one has and the other has not. Three need a look
at the values, which :func:`dlsort.arrow.layouts.recast` takes: an integer beside a float or an
unsigned one of 64 bits, and a finer unit of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_bytes, is_list, is_text, is_wide

__all__ = ["UnlikeError", "meanings", "spelled", "unite_all", "unite_fields", "unite_types"]

UNITS = ("s", "ms", "us", "ns")
# Metadata of a field that says what its values mean.
MEANING = frozenset(
    b"unit units uom calendar scale_factor add_offset crs"
    b" ARROW:extension:name ARROW:extension:metadata".split()
)
_INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
_DECIMALS = ((32, 9, pa.decimal32), (64, 18, pa.decimal64), (128, 38, pa.decimal128))
_MOST_DIGITS = 76
_MONTHS = range(1, 13)


class UnlikeError(TypeError):
    """Two types, or what two fields say of their values, can't be united.

    Attributes
    ----------
    left, right : str
        Both, spelled so that the difference shows.
    path : tuple of str
        Where in the column, if it is nested.
    meaning : tuple of str
        What of the metadata differs, and its value in both; empty if the types differ.
    """

    def __init__(
        self, left: str, right: str, path: tuple[str, ...] = (), meaning: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{left} beside {right}")
        self.left, self.right, self.path, self.meaning = left, right, path, meaning

    def inside(self, name: str) -> UnlikeError:
        """Return the same of a type that has the two inside, under a name."""
        return UnlikeError(self.left, self.right, (name, *self.path), self.meaning)


def unite_types(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both.

    Raises
    ------
    UnlikeError
        If there is none.

    Examples
    --------
    >>> unite_types(pa.int32(), pa.uint32()), unite_types(pa.null(), pa.string())
    (DataType(int64), DataType(string))
    >>> unite_types(pa.timestamp("us", "UTC"), pa.timestamp("ns", "+00:00"))
    TimestampType(timestamp[ns, tz=UTC])
    """
    if left.equals(right, check_metadata=True):
        return left
    if pt.is_null(left) or pt.is_null(right):
        return right if pt.is_null(left) else left
    if isinstance(left, pa.BaseExtensionType) or isinstance(right, pa.BaseExtensionType):
        return _unite_extensions(left, right)
    if pt.is_dictionary(left) or pt.is_dictionary(right):
        return _unite_dictionaries(left, right)
    for is_one, unite in _KINDS:
        if is_one(left) and is_one(right):
            found = unite(left, right)
            if found is not None:
                return found
            break
    if left == right:
        return left
    raise UnlikeError(*_both(left, right))


def unite_fields(left: pa.Field, right: pa.Field, dropped: set[str] | None = None) -> pa.Field:
    """Return the field that has the values of both; nullable if one is.

    What both say in their metadata stays.

    Parameters
    ----------
    left, right : pyarrow.Field
        Of one name: that of ``left`` is kept.
    dropped : set of str, optional
        Gets the keys of the metadata that is left out.

    Raises
    ------
    UnlikeError
        If there is none, or they say that their values mean something else.
    """
    if left.equals(right, check_metadata=True):
        return left
    kind = unite_types(left.type, right.type)
    mine, others = left.metadata or {}, right.metadata or {}
    for found in meanings(left, right):
        key = found[0].encode()
        raise UnlikeError(_with_metadata(left, key), _with_metadata(right, key), meaning=found)
    kept = {key: value for key, value in mine.items() if others.get(key) == value}
    if dropped is not None:
        gone = (mine.keys() | others.keys()) - kept.keys() - {b"PARQUET:field_id"}
        dropped |= {key.decode("utf-8", "replace") for key in gone}
    nullable = left.nullable or right.nullable or pt.is_null(kind)
    return pa.field(left.name, kind, nullable, metadata=kept or None)


def meanings(left: pa.Field, right: pa.Field) -> Iterator[tuple[str, str, str]]:
    """Yield what two fields say of their values that differs: its key, and both."""
    mine, others = left.metadata or {}, right.metadata or {}
    for key in sorted(MEANING & mine.keys() & others.keys()):
        if mine[key] != others[key]:
            yield key.decode(), *(m[key].decode("utf-8", "replace") for m in (mine, others))


def spelled(field: pa.Field) -> str:
    """Return a field's type with all that may differ: nullability and metadata, at any depth.

    Examples
    --------
    >>> spelled(pa.field("m", pa.map_("string", pa.field("value", "int8", nullable=False))))
    'map<string, int8 not null>'
    """
    told = {k.decode("utf-8", "replace"): v for k, v in (field.metadata or {}).items()}
    shown = ", ".join(f"{k}: {v.decode('utf-8', 'replace')}" for k, v in sorted(told.items()))
    null = "" if field.nullable else " not null"
    return _spelled(field.type) + null + (f" {{{shown}}}" if shown else "")


def _spelled(kind: pa.DataType) -> str:
    if isinstance(kind, pa.BaseExtensionType) or pt.is_union(kind):
        return str(kind)
    if pt.is_struct(kind):
        return f"struct<{', '.join(f'{field.name}: {spelled(field)}' for field in kind)}>"
    if pt.is_map(kind):
        return f"map<{_spelled(kind.key_type)}, {spelled(kind.item_field)}>"
    if is_list(kind):
        size = f"[{kind.list_size}]" if pt.is_fixed_size_list(kind) else ""
        return f"{str(kind).partition('<')[0]}<{spelled(kind.value_field)}>{size}"
    return str(kind)


def _with_metadata(field: pa.Field, key: bytes) -> str:
    return spelled(pa.field(field.name, field.type, metadata={key: field.metadata[key]}))


def _both(left: pa.DataType, right: pa.DataType) -> tuple[str, str]:
    shown = str(left), str(right)
    return shown if shown[0] != shown[1] else (_spelled(left), _spelled(right))


def _unite_extensions(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """Return the storage where only one is an extension: its values are the same."""
    both = [kind for kind in (left, right) if isinstance(kind, pa.BaseExtensionType)]
    stored = [getattr(kind, "storage_type", kind) for kind in (left, right)]
    if isinstance(left, pa.JsonType) and isinstance(right, pa.JsonType):
        return pa.json_(unite_types(*stored))
    if left == right:
        return left
    if len(both) == 2:
        raise UnlikeError(*_both(left, right))
    return unite_types(*stored)


def _unite_dictionaries(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    values = [k.value_type if pt.is_dictionary(k) else k for k in (left, right)]
    ordered = [pt.is_dictionary(k) and k.ordered for k in (left, right)]
    if ordered[0] != ordered[1]:
        raise UnlikeError(str(left), str(right))
    value = unite_types(*values)
    if not (pt.is_dictionary(left) and pt.is_dictionary(right)):
        return value
    # Two dictionaries together may have more values than either counts.
    return pa.dictionary(pa.int32(), value, ordered[0])


def _unite_bytes(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if left == right:
        return left
    wide = is_wide(left) or is_wide(right)
    if is_text(left) and is_text(right):
        return pa.large_string() if wide else pa.string()
    if is_text(left) or is_text(right):
        return None
    return pa.large_binary() if wide else pa.binary()


def _unite_numbers(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if pt.is_decimal(left) or pt.is_decimal(right):
        return _unite_decimals(left, right)
    if pt.is_floating(left) or pt.is_floating(right):
        floats = {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}
        # An integer of as many bits needs twice as many as a float; all of 64 need a look.
        widths = [k.bit_width if pt.is_floating(k) else 2 * k.bit_width for k in (left, right)]
        return floats[min(64, max(widths))]
    width = max(left.bit_width, right.bit_width)
    signed = [pt.is_signed_integer(kind) for kind in (left, right)]
    if signed[0] == signed[1]:
        return left if left.bit_width == width else right
    unsigned = right if signed[0] else left
    width = min(64, max(width, 2 * unsigned.bit_width))
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[width]


def _unite_decimals(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if pt.is_floating(left) or pt.is_floating(right):
        return None
    whole, scales, widths = [], [], []
    for kind in (left, right):
        if pt.is_decimal(kind):
            whole.append(kind.precision - kind.scale)
            scales.append(kind.scale)
            widths.append(kind.bit_width)
        else:
            more = 1 if kind == pa.uint64() else 0
            whole.append(_INTEGER_DIGITS[kind.bit_width] + more)
            scales.append(0)
    scale = max(scales)
    precision = max(whole) + scale
    if precision > _MOST_DIGITS:
        return None
    for width, most, make in _DECIMALS:
        if precision <= most and max(widths) <= width:
            return make(precision, scale)
    return pa.decimal256(precision, scale)


def _unite_times(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type of the finer unit: dates, times of day, durations or timestamps."""
    if pt.is_date(left) and pt.is_date(right):
        return pa.date64()
    unit = max(left.unit, right.unit, key=UNITS.index)
    if pt.is_duration(left) and pt.is_duration(right):
        return pa.duration(unit)
    if pt.is_time(left) and pt.is_time(right):
        return pa.time64(unit) if unit in ("us", "ns") else pa.time32(unit)
    if (left.tz is None) != (right.tz is None):
        return None
    if left.tz is not None and not _is_one_zone(left.tz, right.tz):
        return None
    return pa.timestamp(unit, "UTC" if "UTC" in (left.tz, right.tz) else left.tz)


def _is_one_zone(left: str, right: str) -> bool:
    return left == right or _offsets(left) == _offsets(right) is not None


@lru_cache(maxsize=256)
def _offsets(zone: str) -> Sequence[timedelta | None] | None:
    """Return a zone's offset from UTC in each of many months; None if nobody knows it."""
    when = [
        datetime(year, month, 1, tzinfo=UTC) for year in range(1900, 2040) for month in _MONTHS
    ]
    sign, digits = zone[:1], zone[1:].replace(":", "")
    if sign in ("+", "-") and digits.isdecimal() and len(digits) in (2, 4):
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
        return (offset if sign == "+" else -offset,) * len(when)
    try:
        place = ZoneInfo("UTC" if zone == "Z" else zone)
    except (LookupError, ValueError, OSError):
        return None
    return tuple(moment.astimezone(place).utcoffset() for moment in when)


def _unite_lists(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    try:
        value = unite_fields(left.value_field, right.value_field)
    except UnlikeError as error:
        raise error.inside("element") from error
    sizes = {kind.list_size if pt.is_fixed_size_list(kind) else -1 for kind in (left, right)}
    if len(sizes) == 1 and -1 not in sizes:
        return pa.list_(value, *sizes)
    large = any(pt.is_large_list(kind) or pt.is_large_list_view(kind) for kind in (left, right))
    return pa.large_list(value) if large else pa.list_(value)


def _unite_maps(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    fields = []
    for name, one, other in (
        ("key", left.key_field, right.key_field),
        ("value", left.item_field, right.item_field),
    ):
        try:
            fields.append(unite_fields(one, other))
        except UnlikeError as error:
            raise error.inside(name) from error
    return pa.map_(*fields, left.keys_sorted and right.keys_sorted)


def _unite_structs(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    mine, others = ({field.name: field for field in kind} for kind in (left, right))
    if len(mine) < left.num_fields or len(others) < right.num_fields:
        return None
    return pa.struct(unite_all(mine, others))


def unite_all(
    mine: Mapping[str, pa.Field],
    others: Mapping[str, pa.Field],
    dropped: set[str] | None = None,
) -> list[pa.Field]:
    """Return the fields of two structs or schemas, by name: those of the first come first.

    What one of them has not is nullable.

    Raises
    ------
    UnlikeError
        If two of one name can't be united; its path begins with the name.
    """
    found = []
    for name in dict.fromkeys([*mine, *others]):
        if name in mine and name in others:
            try:
                found.append(unite_fields(mine[name], others[name], dropped))
            except UnlikeError as error:
                raise error.inside(name) from error
        else:
            found.append({**others, **mine}[name].with_nullable(True))
    return found


def _is_number(kind: pa.DataType) -> bool:
    return bool(pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind))


_Unite = Callable[[pa.DataType, pa.DataType], pa.DataType | None]
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], _Unite], ...] = (
    (is_bytes, _unite_bytes),
    (_is_number, _unite_numbers),
    (pt.is_date, _unite_times),
    (pt.is_timestamp, _unite_times),
    (pt.is_time, _unite_times),
    (pt.is_duration, _unite_times),
    (is_list, _unite_lists),
    (pt.is_map, _unite_maps),
    (pt.is_struct, _unite_structs),
)
