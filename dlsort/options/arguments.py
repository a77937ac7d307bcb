"""Arguments: the kinds of value that options take, each read or refused in a sentence.

What a library for numbers or paths has of its own counts too: NumPy's whole numbers and
booleans, and whatever ``os.fspath`` knows. Nothing heavy is imported: the command's help
needs no more than these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any

from dlsort.errors import BadOptionError, shown
from dlsort.keys import Texts, is_flag, read_by
from dlsort.options.chosen import read_columns, read_rename, read_where
from dlsort.options.functions import read_function
from dlsort.sizes import GIB, parse_bytes, parse_count

__all__ = [
    "BY_COLUMN",
    "CLUSTER",
    "CODEC",
    "COLUMNS",
    "COMPRESSIONS",
    "COUNT",
    "CSV_FORM",
    "DATASET",
    "DEPTH",
    "DISPLAY",
    "FLAG",
    "FLAG_OR_FORCE",
    "FOLDER",
    "FRAMES",
    "FUNCTION",
    "KEY",
    "KEY_COLUMNS",
    "LEVELS",
    "LOCALE",
    "NUMBER",
    "PATH",
    "PATHS",
    "PATTERNS",
    "PREDICATE",
    "PRICE",
    "PROFILE_NAMES",
    "QUANTILE",
    "RECORDS",
    "RENAMED",
    "SCHEMA",
    "SHARE",
    "SIZE",
    "TYPES",
    "VALUE",
    "VALUE_PAIR",
    "WHOLE",
    "Kind",
    "data_name",
    "is_dasks",
    "of_each",
    "one_of",
    "read_choice",
    "read_count",
    "read_flag",
    "split_codec",
]

COMPRESSIONS = ("snappy", "zstd", "gzip", "lz4", "brotli", "none")
PROFILE_NAMES = ("default", "spark", "duckdb", "delta", "legacy", "compact")
# The least and the greatest level of those that have levels.
LEVELS = {"zstd": (1, 22), "gzip": (1, 9), "lz4": (1, 12), "brotli": (0, 11)}
MOST_COUNT = 2**63 - 1  # of 64 bits

_MOST_DIGITS = 80
# Whose data are no paths, and all of which their text would show.
_MAKERS = {"pandas": "pandas", "polars": "Polars", "pyarrow": "pyarrow"}


def is_dasks(value: object) -> bool:
    """Return whether something is a collection of Dask's, whose values are not here."""
    return hasattr(type(value), "__dask_graph__")


def data_name(value: object) -> str | None:
    """Return what to call a frame, a table or a column; None for anything else.

    Examples
    --------
    >>> import pyarrow as pa
    >>> data_name(pa.table({"x": [1]})), data_name("x")
    ('a pyarrow Table', None)
    """
    maker = _MAKERS.get(type(value).__module__.partition(".")[0])
    maker = "Dask" if is_dasks(value) else maker
    return maker and f"a {maker} {type(value).__name__}"


def read_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return one of a few words.

    Raises
    ------
    BadOptionError
        If it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        msg = f"{name} is {shown(value)}; expected {', '.join(others)} or {last}."
        raise BadOptionError(msg)
    return value


def read_count(value: Any, name: str, *, least: int = 1) -> int:
    """Return a whole number.

    Raises
    ------
    BadOptionError
        If it is none of at least ``least``, or one that has no 64 bits' room.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= int(value) <= MOST_COUNT:
        is_large = is_whole and int(value) > MOST_COUNT
        limit = f"at most {MOST_COUNT:,}" if is_large else f"at least {least}"
        msg = f"{name} is {shown(value)}; expected a whole number of {limit}."
        raise BadOptionError(msg)
    return int(value)


def read_flag(value: Any, name: str) -> bool:
    """Return True or False.

    Raises
    ------
    BadOptionError
        If it is neither: what Python takes for true need not be meant so.
    """
    if not is_flag(value):
        msg = f"{name} is {shown(value)}; expected True or False."
        raise BadOptionError(msg)
    return bool(value)


def _read_flag_or_force(value: Any, name: str) -> bool | str:
    if isinstance(value, str) and value == "force":
        return value
    if not is_flag(value):
        msg = f'{name} is {shown(value)}; expected True, False or "force".'
        raise BadOptionError(msg)
    return bool(value)


def _read_share(value: Any, name: str) -> Any:
    """Check a size or a share; what the share is of is known later."""
    parse_bytes(value, name, whole_bytes=GIB)
    return value


def _read_locale(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} is {shown(value)}; expected a locale such as 'de_DE'."
        raise BadOptionError(msg)
    return value


def split_codec(codec: str) -> tuple[str, int | None]:
    """Return a codec's name, and its level if it has one.

    Examples
    --------
    >>> split_codec("zstd:7"), split_codec("snappy")
    (('zstd', 7), ('snappy', None))
    """
    codec, colon, level = codec.partition(":")
    return codec, int(level) if colon else None


def _read_codec(value: Any, name: str) -> str:
    text = value.lower() if isinstance(value, str) else ""
    codec, colon, level = text.partition(":")
    codec = "none" if codec == "uncompressed" else codec
    if codec not in COMPRESSIONS:
        msg = f"{name} is {shown(value)}; expected one of {', '.join(COMPRESSIONS)}."
        raise BadOptionError(msg)
    if not colon:
        return codec
    if codec not in LEVELS:
        msg = f"{name} is {shown(value)}, but {codec} has no levels; leave it out."
        raise BadOptionError(msg)
    least, most = LEVELS[codec]
    number = _number(level)
    if not isinstance(number, int) or not least <= number <= most:
        msg = f"{name} is {shown(value)}; expected a level of {codec} from {least} to {most}."
        raise BadOptionError(msg)
    return f"{codec}:{number}"


def _as_given(value: Any, _: str) -> Any:
    return value


def _number(text: str) -> int | str:
    """Return the whole number that a text is, if any."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    # What has more digits than Python reads is too large all the same.
    return int(text[:_MOST_DIGITS]) if digits.isascii() and digits.isdigit() else text


def _decimal_number(text: str) -> float | str:
    with suppress(ValueError):
        return float(text)
    return text


def _read_depth(value: Any, name: str) -> float:
    is_number = isinstance(value, Real) and not is_flag(value)
    if not is_number or not 1 <= value < float("inf"):
        msg = f"{name} is {shown(value)}; expected a number of at least 1."
        raise BadOptionError(msg)
    return float(value)


def _read_price(value: Any, name: str) -> float:
    is_number = isinstance(value, Real) and not is_flag(value)
    if not is_number or not 0 < value < float("inf"):
        msg = f"{name} is {shown(value)}; expected dollars, more than 0, as in 0.53."
        raise BadOptionError(msg)
    return float(value)


def _read_share_of_rows(value: Any, name: str) -> float:
    is_number = isinstance(value, Real) and not is_flag(value)
    if not is_number or not 0 <= value <= 1:
        msg = f"{name} is {shown(value)}; expected a number from 0 to 1."
        raise BadOptionError(msg)
    return float(value)


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Parameters
    ----------
    type : str
        What Python takes, as docstrings write it.
    read : callable
        Given a value and what to call it, returns the value in its normal form, or raises a
        :class:`dlsort.DlsortError`. Where only those who look at the world outside can judge
        it (is there such a folder?), the value as it is.
    range : str
        Which values of the type are taken.
    metavar : str
        What stands for a value in the command's help.
    of_text : callable
        Makes what Python is given of the command's text; of all texts, if it ``is_many``.
    is_flag, is_many : bool
        The command's flag has no value; it may be given more than once.
    n_texts : int
        How many texts follow the command's flag.
    """

    type: str
    read: Callable[[Any, str], Any] = _as_given
    range: str = ""
    metavar: str = ""
    of_text: Callable[[Any], Any] = str
    is_flag: bool = False
    is_many: bool = False
    n_texts: int = 1


PATH = Kind("str or path-like", metavar="PATH")
PATHS = replace(PATH, type="str, path-like or a sequence of these")
FRAMES = replace(PATH, type="str, path-like, a sequence of these, or a Dask frame")
PATTERNS = Kind("str or a sequence of str", metavar="GLOB", of_text=list, is_many=True)
COLUMNS = Kind("str or a sequence of str", read_columns, metavar="NAME,…")
RENAMED = Kind("str or mapping", read_rename, metavar="OLD=NEW,…")
PREDICATE = Kind("str or pyarrow.compute.Expression", read_where, metavar="CONDITION")
TYPES = Kind("str, mapping or Schema", metavar="NAME:TYPE,…")
DATASET = Kind("str or path-like", metavar="DATASET")
CSV_FORM = Kind("str, path-like or mapping", metavar="NAME=VALUE,…")
BY_COLUMN = Kind("str, path-like or mapping", metavar="FILE")
FOLDER = Kind("str or path-like", range="an existing folder", metavar="DIR")
FUNCTION = Kind("str or callable", read_function, "one that can be imported", "MODULE:FUNCTION")
CLUSTER = Kind("str, Client or Cluster", metavar="ADDR")
KEY = Kind(
    "str, SortKey or a sequence of these",
    lambda value, _: read_by(value),
    metavar="KEY",
    of_text=Texts,
    is_many=True,
)
KEY_COLUMNS = replace(
    KEY, type="str or a sequence of str", metavar="COLUMNS", of_text=str, is_many=False
)
COUNT = Kind("int", read_count, "at least 1", "N", _number)
WHOLE = replace(COUNT, read=partial(read_count, least=0), range="at least 0")
RECORDS = Kind("int or str", parse_count, "at least 0, as in 10M or 1e8", "N")
NUMBER = replace(
    RECORDS, read=partial(parse_count, most=2**128 - 1), range="at least 0, below 2**128"
)
SIZE = Kind("int or str", parse_bytes, "at least 1 byte", "SIZE")
SHARE = replace(SIZE, read=_read_share, range="at least 1 byte, or a share up to 100%")
CODEC = Kind("str", _read_codec, metavar="CODEC")
FLAG = Kind("bool", read_flag, is_flag=True)
FLAG_OR_FORCE = Kind(
    'bool or "force"',
    _read_flag_or_force,
    metavar="[=force]",
    of_text=lambda text: text or True,
)
VALUE = Kind("value of the key", metavar="VALUE")
VALUE_PAIR = Kind("two values of the key", metavar="A B", of_text=tuple, n_texts=2)
QUANTILE = Kind("float", _read_share_of_rows, "from 0 to 1", "Q", _decimal_number)
DEPTH = Kind("float", _read_depth, "at least 1", "N", _decimal_number)
PRICE = Kind("float", _read_price, "above 0", "DOLLARS", _decimal_number)
SCHEMA = Kind(
    "str, path-like, mapping or pyarrow.Schema",
    range='"union", "strict", a Parquet or Arrow file, or types of columns',
    metavar="SCHEMA",
)
LOCALE = Kind("str", _read_locale, range="a locale of ICU", metavar="LOCALE")
DISPLAY = Kind("bool, Progress or callable", is_flag=True)


def one_of(*choices: str) -> Kind:
    """Return the kind of a few words."""
    words = ", ".join(f'"{each}"' for each in choices)
    metavar = f"[{'|'.join(choices)}]"
    return Kind(f"{{{words}}}", partial(read_choice, choices=choices), metavar=metavar)


def of_each(kind: Kind, *, of: str) -> Kind:
    """Return the kind of one value for all key columns, or one for each; it reads each."""
    return replace(kind, type=f"{kind.type} or {of}")
