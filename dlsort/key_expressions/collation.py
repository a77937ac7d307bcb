"""Text in the order of a language: ICU's sort keys, through PyICU."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa

from dlsort.errors import BadOptionError, shown
from dlsort.wording import did_you_mean

__all__ = ["check_locale", "collation_keys"]

NATURAL = "colNumeric=yes"
_OF_NO_LANGUAGE = ("root", "und")


def _icu() -> Any:
    try:
        import icu
    except ImportError as error:
        msg = (
            "a collation (collate) needs ICU for Python: pip install 'dlsort[collate]', or "
            "PyICU where that has no wheel."
        )
        raise BadOptionError(msg) from error
    return icu


@cache
def _languages() -> frozenset[str]:
    return frozenset(_icu().Collator.getAvailableLocales())


@cache
def _collator(locale: str) -> Any:
    """Return ICU's collator of a locale.

    Raises
    ------
    BadOptionError
        If ICU has none of its language, where it would take that of no language.
    """
    icu = _icu()
    wanted = icu.Locale(locale)
    language = wanted.getLanguage()
    known = _languages()
    if language not in known and locale.partition("@")[0] not in _OF_NO_LANGUAGE:
        hint = did_you_mean(wanted.getBaseName(), known)
        msg = (
            f"collate is {shown(locale)}; expected a locale that ICU has, such as de, de_AT, "
            f"sv_SE or de@collation=phonebook.{hint}"
        )
        raise BadOptionError(msg)
    try:
        return icu.Collator.createInstance(wanted)
    except icu.ICUError as error:
        msg = f"collate is {shown(locale)}, of which ICU makes no collation: {error}."
        raise BadOptionError(msg) from error


def check_locale(locale: str) -> None:
    """Raise unless ICU is there and has a collation of a locale.

    Raises
    ------
    BadOptionError
    """
    _collator(locale)


def with_numbers(locale: str) -> str:
    """Return the locale whose collation compares numbers in text by their value.

    Examples
    --------
    >>> with_numbers("de_DE"), with_numbers("de@collation=phonebook")
    ('de_DE@colNumeric=yes', 'de@collation=phonebook;colNumeric=yes')
    """
    return f"{locale}{';' if '@' in locale else '@'}{NATURAL}"


def collation_keys(text: Any, locale: str) -> pa.Array:
    """Return byte strings that sort as text does in a language.

    Parameters
    ----------
    text : pyarrow.Array
        Text; null stays null.
    locale : str
        As ICU has it.

    Returns
    -------
    pyarrow.Array
        Of large_binary.

    Notes
    -----
    ICU makes the key of each different value once, some 1 µs each.
    """
    key_of = _collator(locale).getSortKey
    found = text.dictionary_encode()
    keys = pa.array([key_of(each) for each in found.dictionary.to_pylist()], pa.large_binary())
    return keys.take(found.indices)
