"""How CSV is written, as a caller says it."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

from dlsort.errors import BadOptionError, shown
from dlsort.io.value_file import read_values
from dlsort.wording import did_you_mean

__all__ = ["CsvOptions", "read_csv_options"]

_WORDS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
_SIGNS = ("delimiter", "quote", "escape", "decimal")
_LISTS = ("names", "null_values", "timestamp_formats")
_EXAMPLE = "expected such as 'delimiter=;,header=false', or a YAML or JSON file"


@dataclass(frozen=True)
class CsvOptions:
    """How CSV is written.

    Parameters
    ----------
    delimiter : str
        What parts values; empty: a tab in files named ``.tsv``, else a comma.
    quote, escape : str
        What stands around values, and before signs that stand for themselves; empty: nothing.
    header : bool
        The first row has the names.
    names : tuple of str
        The columns' names, in the place of these.
    null_values : tuple of str
        What stands for null, without quotes.
    encoding : str
        Of the text.
    decimal : str
        The decimal point.
    timestamp_formats : tuple of str
        Forms of times beside that of ISO 8601, as ``strptime`` has them.
    """

    delimiter: str = ""
    quote: str = '"'
    escape: str = ""
    header: bool = True
    names: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ("",)
    encoding: str = "utf-8"
    decimal: str = "."
    timestamp_formats: tuple[str, ...] = ()

    def told(self) -> str:
        """Return what differs from the usual, as text."""
        given = self.given()
        return json.dumps(given) if given else ""

    def given(self) -> dict[str, Any]:
        """Return what differs from the usual, as :func:`read_csv_options` takes it."""
        usual = CsvOptions()
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: v for n, v in mine.items() if v != getattr(usual, n)}


def read_csv_options(value: Any) -> CsvOptions:
    """Return how CSV is written.

    Parameters
    ----------
    value : str, path-like, mapping or None
        As in ``"delimiter=;,header=false"``, a YAML or JSON file, or what is in such a file.

    Raises
    ------
    BadOptionError
        If it is none of these, or an option is not known or has a wrong value.

    Examples
    --------
    >>> read_csv_options("delimiter=tab,null_values=NA|-").null_values
    ('NA', '-')
    """
    if value is None:
        return CsvOptions()
    if isinstance(value, Mapping):
        given = dict(value)
    elif isinstance(value, str) and "=" in value:
        pairs = [pair.partition("=") for pair in next(csv.reader([value]))]
        given = {name.strip(): text for name, _, text in pairs}
    elif isinstance(value, str | PathLike):
        given = _read_file(str(value))
    else:
        raise _refused(value, _EXAMPLE)
    names = [field.name for field in fields(CsvOptions)]
    read = {}
    for name, each in given.items():
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise _refused(value, f"there is no {name!r}; expected {', '.join(names)}.{hint}")
        read[name] = _read(name, each)
    options = CsvOptions(**read)
    signs = [sign for name in _SIGNS[:3] if (sign := getattr(options, name))]
    if len(set(signs)) < len(signs) or options.decimal == (options.delimiter or ","):
        raise _refused(value, "expected other signs for each of delimiter, quote and decimal")
    return options


def _refused(value: Any, why: str) -> BadOptionError:
    return BadOptionError(f"csv_options (--csv-options) is {shown(value)}; {why.rstrip('.')}.")


def _read_file(path: str) -> dict[str, Any]:
    try:
        return read_values(path)
    except ValueError as error:
        raise _refused(path, f"{error}; {_EXAMPLE}") from error


def _read(name: str, value: Any) -> Any:
    """Return an option's value in its normal form."""
    if name == "header":
        words = {"true": True, "false": False, True: True, False: False}
        key = value.lower() if isinstance(value, str) else value
        if isinstance(key, str | bool) and key in words:
            return words[key]
        raise _refused(f"{name}={value}", "expected true or false")
    if name in _LISTS:
        values = value.split("|") if isinstance(value, str) else value
        if isinstance(values, list | tuple) and all(isinstance(v, str) for v in values):
            return tuple(values)
        raise _refused(f"{name}={value}", "expected texts, parted by |")
    if name == "encoding":
        try:
            return codecs.lookup(value).name
        except (LookupError, TypeError) as error:
            raise _refused(f"{name}={value}", "expected one such as utf-8 or latin1") from error
    sign = _WORDS.get(value, value) if isinstance(value, str) else value
    may_lack = name in ("quote", "escape")
    if may_lack and sign in ("", "none", None, False):
        return ""
    if not isinstance(sign, str) or len(sign) != 1 or not sign.isascii() or sign in "\r\n":
        raise _refused(f"{name}={value}", "expected one sign of ASCII, or tab")
    return sign
