"""Hive folders: columns that the folders of a file tell, as in ``day=2024-01-01/region=eu``.

Names and values are read as Arrow reads them: percent-encoded, null as
``__HIVE_DEFAULT_PARTITION__``, int32 where all values of a column are such numbers and text
otherwise, unless the caller gives types. A column that the files hold too has to have the
value that the folder tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import pyarrow as pa

from dlsort.errors import BadOptionError, SchemaMismatchError, shown
from dlsort.keys import quoted

__all__ = [
    "NULL",
    "HiveTypes",
    "cast_text",
    "column_types",
    "folder_values",
    "read_hive_types",
    "read_types",
]

NULL = "__HIVE_DEFAULT_PARTITION__"

HiveTypes = Mapping[str, pa.DataType]

_DECIMAL = re.compile(r"decimal(32|64|128|256)?\((\d+) *, *(-?\d+)\)")
_ALIASES = {"int": "int32", "long": "int64", "bigint": "int64", "text": "string"}
_ALIASES |= {"str": "string", "boolean": "bool", "date": "date32", "timestamp": "timestamp[us]"}
# A name in quotes, if it is; all else up to a comma that is not in brackets, as in a type.
_PAIR = re.compile(
    r'\s*(?:"((?:[^"]|"")*+)"\s*(?=:))?((?:[^,(\[]|[(\[][^(\[)\]]*[)\]]|[(\[])*+)(?:,|$)'
)


def folder_values(path: str, folders: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    """Return the columns that the folders of a file tell.

    Parameters
    ----------
    path : str
        The file, for errors.
    folders : iterable of str
        The folders' names, outermost first.

    Raises
    ------
    BadOptionError
        If one column is told twice, or a name is not UTF-8 once it is decoded.

    Examples
    --------
    >>> folder_values("…", ["a", "day=1", "c=x%2Fy"]), folder_values("…", [f"k={NULL}"])
    ((('day', '1'), ('c', 'x/y')), (('k', None),))
    """
    found: dict[str, str | None] = {}
    for folder in folders:
        column, sign, value = folder.partition("=")
        if not sign:
            continue
        try:
            column, value = (unquote_to_bytes(part).decode() for part in (column, value))
        except UnicodeDecodeError as error:
            msg = f"{path} lies in {folder!r}, which is not UTF-8 once it is decoded."
            raise BadOptionError(msg) from error
        if column in found:
            msg = f"{path} lies in two folders that tell column {column!r}; expected one."
            raise BadOptionError(msg)
        found[column] = None if value == NULL else value
    return tuple(found.items())


def read_hive_types(value: Any) -> dict[str, pa.DataType]:
    """Return the types of partition columns, as a caller gives them.

    Parameters
    ----------
    value : str, mapping or pyarrow.Schema
        As in ``"day:date32,price:decimal(9,2)"``, or names with types or their names. In text a
        name that holds a comma stands in double quotes, and one of these in it is doubled.

    Raises
    ------
    BadOptionError
        If it is none of these, or there is no such type.

    Examples
    --------
    >>> read_hive_types("day:date32,p:decimal(9,2)")
    {'day': DataType(date32[day]), 'p': Decimal128Type(decimal128(9, 2))}
    >>> read_hive_types('"a,b":int8')
    {'a,b': DataType(int8)}
    """
    return {} if value is None else read_types(value, "hive_types")


def read_types(value: Any, option: str) -> dict[str, pa.DataType]:
    """Return the types of columns that an option gives, as of :func:`read_hive_types`.

    Raises
    ------
    BadOptionError
        If it gives none, or there is no such type.
    """
    if isinstance(value, str):
        pairs = list(_pairs(value))
        if not all(name for name, _ in pairs):
            msg = f"{option} is {shown(value)}; expected types such as 'day:date32,n:int64'."
            raise BadOptionError(msg)
    elif isinstance(value, pa.Schema):
        pairs = [(one.name, one.type) for one in value]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        msg = f"{option} is {shown(value)}; expected text such as 'day:date32', or a mapping."
        raise BadOptionError(msg)
    return {name: _read_type(name, kind, option) for name, kind in pairs}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the types of a text."""
    end, is_last = 0, False
    while not is_last:
        match = _PAIR.match(text, end)
        assert match is not None  # it may be empty
        name, _, kind = match[2].strip().rpartition(":")
        yield (name if match[1] is None else match[1].replace('""', '"')), kind
        end, is_last = match.end(), not match[0].endswith(",")


def _read_type(name: str, kind: Any, option: str) -> pa.DataType:
    text = str(kind).strip().lower()
    try:
        if isinstance(kind, pa.DataType):
            made = kind
        elif found := _DECIMAL.fullmatch(text):
            width, precision, scale = found.groups()
            make = getattr(pa, f"decimal{width or 128}")
            made = make(int(precision), int(scale))
        else:
            made = pa.type_for_alias(_ALIASES.get(text, text))
        pa.nulls(1, pa.string()).cast(made)
    except (ValueError, pa.ArrowException) as error:
        msg = (
            f"{option} (--{option.replace('_', '-')}) says {shown(kind)} for {name!r}; "
            "expected the name of a type that text can be read as, such as int64, date32, "
            "timestamp[us], string or decimal(9,2)."
        )
        raise BadOptionError(msg) from error
    return made


def column_types(
    files: Sequence[tuple[str, Sequence[tuple[str, str | None]]]], given: HiveTypes
) -> dict[str, pa.DataType]:
    """Return the types of the columns that folders tell, in the order of the folders.

    Parameters
    ----------
    files : sequence of (path, values)
        As of :func:`folder_values`.
    given : mapping of str to pyarrow.DataType
        Types that are not to be inferred.

    Raises
    ------
    SchemaMismatchError
        If files lie in folders of other columns than other files.
    BadOptionError
        If a value is not of its type.
    """
    texts: dict[str, dict[str | None, str]] = {}
    if files:
        first_path, first = files[0]
        wanted = tuple(name for name, _ in first)
        texts = {name: {} for name in wanted}
        for path, values in files:
            if tuple(name for name, _ in values) != wanted:
                told = [", ".join(n for n, _ in v) or "no column" for v in (first, values)]
                msg = (
                    f"the folders of {first_path} tell {told[0]}, those of {path} {told[1]}; "
                    "expected the same columns, in the same order, for all files."
                )
                raise SchemaMismatchError(msg)
            for name, text in values:
                texts[name].setdefault(text, path)
    return {name: _type_of(name, of_name, given) for name, of_name in texts.items()}


def _type_of(name: str, texts: Mapping[str | None, str], given: HiveTypes) -> pa.DataType:
    kind = given.get(name)
    if kind is None:
        values = [text for text in texts if text is not None]
        try:
            # Arrow takes no sign of plus, and spaces no more
            kind = pa.int32() if values and pa.array(values).cast(pa.int32()) else pa.string()
        except pa.ArrowInvalid:
            kind = pa.string()
    for text, path in texts.items():
        cast_text(text, kind, name, path)
    return kind


def cast_text(text: str | None, kind: pa.DataType, name: str, path: str) -> pa.Array:
    """Return a column's value in a file, as an array of one.

    Raises
    ------
    BadOptionError
        If it is not of the type.
    """
    try:
        return pa.array([text], pa.string()).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = (
            f"{path} lies in a folder that tells {name!r} as {text!r}, which is not of type "
            f"{kind}; give another type (hive_types, --hive-types), such as "
            f"{quoted(name)}:string."
        )
        raise BadOptionError(msg) from error
