"""Flags of a key: how text compares, where NaN goes, the whole order turned round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import holds, is_text
from dlsort.arrow.paths import field_at
from dlsort.errors import BadKeyError, BadOptionError
from dlsort.key_expressions.collation import check_locale, with_numbers
from dlsort.key_expressions.computed import ComputedKey, computed_keys
from dlsort.key_expressions.tree import Call, Column, Node, Value
from dlsort.key_parts import expression_of, quoted
from dlsort.keys import By, SortKey, parse_by
from dlsort.options.doors import KEY_FLAGS, check_together

__all__ = ["KeyFlags", "order_of", "read_flags"]


@dataclass(frozen=True)
class KeyFlags:
    """What is asked for of all key columns.

    Parameters
    ----------
    ignore_case, natural, numeric : bool
        How text compares.
    collate : str or None
        The locale in whose order text is.
    reverse : bool
        The whole order turned round, but for equal keys.
    nan_first, nan_last : bool
        Where NaN goes in keys of floats that have no place for it.
    """

    ignore_case: bool = False
    natural: bool = False
    numeric: bool = False
    collate: str | None = None
    reverse: bool = False
    nan_first: bool = False
    nan_last: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> KeyFlags:
        """Return the flags among the values of options.

        Raises
        ------
        BadOptionError
            If ICU has no such collation.
        """
        flags = cls(**{each.name: values[each.name] for each in fields(cls)})
        if flags.collate is not None:
            check_locale(flags.collate)
        return flags

    @property
    def is_set(self) -> bool:
        """Whether one is given."""
        return self != _NONE

    @property
    def of_text(self) -> list[str]:
        """The flags that are given and are about text."""
        names = ("ignore_case", "natural", "numeric", "collate")
        return [name for name in names if getattr(self, name)]

    @property
    def first(self) -> str:
        """The first flag that is given."""
        return next(each.name for each in fields(self) if getattr(self, each.name))

    @property
    def of_nan(self) -> bool | None:
        """Where NaN goes; None if nothing is said."""
        return self.nan_first if self.nan_first or self.nan_last else None

    def compared(self, text: Node) -> Node:
        """Return what a column of text is sorted by."""
        text = Call("casefold", (text,)) if self.ignore_case else text
        if self.collate is not None:
            locale = with_numbers(self.collate) if self.natural else self.collate
            return Call("collation_key", (text, Value(locale)))
        text = Call("natural_key", (text,)) if self.natural else text
        return Call("numeric_key", (text,)) if self.numeric else text


_NONE = KeyFlags()
_DEFAULTS = tuple((option.name, option.default) for option in KEY_FLAGS)


def order_of(
    by: By | tuple[SortKey, ...], schema: pa.Schema, flags: KeyFlags
) -> tuple[tuple[SortKey, ...], tuple[ComputedKey, ...]]:
    """Return the key that is asked for, and which of its columns are computed and how.

    Parameters
    ----------
    by : By
        As the caller gives it.
    schema : pyarrow.Schema
        The source's.
    flags : KeyFlags
        Of all key columns.

    Raises
    ------
    BadKeyError, BadOptionError, UnknownColumnError, KeyTypeError
        If the key can't be read or computed of these columns, or a flag is about none of them.
    """
    keys = parse_by(by, schema.names)
    if not flags.is_set and not any(expression_of(key.column) for key in keys):
        return keys, ()
    keys, computed = computed_keys(keys, schema)
    known = {each.name: each for each in computed}
    if flags.of_text:
        keys = _compared(keys, schema, flags, known)
    if flags.of_nan is not None:
        keys = _with_place_of_nan(keys, schema, flags, known)
    if flags.reverse:
        keys = tuple(each.reversed() for each in keys)
    names = [key.column for key in keys]
    for name in names:
        if names.count(name) > 1:
            msg = f"the key has {quoted(name)} twice; name each column once."
            raise BadKeyError(msg)
    return keys, tuple(known[name] for name in names if name in known)


def _kind(name: str, schema: pa.Schema, known: Mapping[str, ComputedKey]) -> pa.DataType:
    kind = known[name].kind(schema) if name in known else field_at(schema, name).type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    # The order of ordered categories is their own.
    return kind.value_type if pt.is_dictionary(kind) and not kind.ordered else kind


def _told(keys: Sequence[SortKey], schema: pa.Schema, known: Mapping[str, ComputedKey]) -> str:
    kinds = (_kind(key.column, schema, known) for key in keys)
    return ", ".join(
        f"{quoted(key.column)} is {kind}" for key, kind in zip(keys, kinds, strict=True)
    )


def _compared(
    keys: tuple[SortKey, ...],
    schema: pa.Schema,
    flags: KeyFlags,
    known: dict[str, ComputedKey],
) -> tuple[SortKey, ...]:
    """Return the key with its text compared as the flags say; ``known`` gets what is new."""
    found = []
    for key in keys:
        kind = _kind(key.column, schema, known)
        if not (is_text(kind) or pt.is_null(kind)):
            found.append(key)
            continue
        one = known.get(key.column)
        tree = flags.compared(Column(key.column) if one is None else one.tree)
        made = ComputedKey.of_tree(tree, schema)
        known[made.name] = made
        found.append(replace(key, column=made.name))
    if tuple(found) == keys:
        msg = (
            f"{flags.of_text[0]} is about keys of text, and there is none: "
            f"{_told(keys, schema, known)}."
        )
        raise BadOptionError(msg)
    return tuple(found)


def _with_place_of_nan(
    keys: tuple[SortKey, ...],
    schema: pa.Schema,
    flags: KeyFlags,
    known: Mapping[str, ComputedKey],
) -> tuple[SortKey, ...]:
    floats = [holds(_kind(key.column, schema, known), pt.is_floating) for key in keys]
    if not any(floats):
        flag = "nan_first" if flags.nan_first else "nan_last"
        msg = (
            f"{flag} is about keys of floats, and there is none: {_told(keys, schema, known)}."
        )
        raise BadOptionError(msg)
    return tuple(
        replace(key, nan_first=flags.of_nan) if is_one and key.nan_first is None else key
        for key, is_one in zip(keys, floats, strict=True)
    )


def read_flags(given: Mapping[str, Any]) -> KeyFlags:
    """Return the flags that a door is given among its arguments.

    Raises
    ------
    BadOptionError
        If one is not what it should be, or two exclude each other.
    """
    if all(given[name] is default for name, default in _DEFAULTS):
        return _NONE  # a table of a few rows takes no longer than reading the flags
    values = {option.name: option.read(given[option.name]) for option in KEY_FLAGS}
    check_together(values)
    return KeyFlags.of(values)
