"""Sizes in bytes: units, what people write for them, and how they are shown."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from numbers import Integral, Real
from typing import Any

from dlsort.errors import BadOptionError, shown

__all__ = ["GIB", "MIB", "UNBOUNDED", "UNITS", "format_bytes", "parse_bytes", "parse_count"]

MIB = 2**20
GIB = 2**30
UNBOUNDED = 2**63 - 1  # memory without a limit

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_UNITS = {"": 1, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_COUNT = re.compile(r"(\d[\d_]*(?:\.\d*)?|\.\d+)(e\+?\d{1,2})?([kmgt]?)", re.ASCII)
_NUMBER: Any = Real  # which mypy takes no number for
_WHOLE: Any = Integral


def parse_bytes(text: object, name: str, *, whole_bytes: int | None = None) -> int:
    """Read a number of bytes such as ``128MiB``, ``4GB`` or ``4g``.

    Parameters
    ----------
    text : str or int
        The size; an int is bytes.
    name : str
        What to call it in messages.
    whole_bytes : int, optional
        What a share such as ``50%`` is of; else shares are not understood.

    Raises
    ------
    BadOptionError
        If it can't be read or is not above zero.

    Examples
    --------
    >>> parse_bytes("1.5KiB", "size"), parse_bytes("2GB", "size")
    (1536, 2000000000)
    >>> parse_bytes("50%", "memory", whole_bytes=4096)
    2048
    """
    value: float
    compact = text.replace(" ", "") if isinstance(text, str) else ""
    if isinstance(text, _NUMBER) and not isinstance(text, bool):
        value = text if isinstance(text, int) else float(text)  # a long one has no float
    elif whole_bytes is not None and compact.endswith("%"):
        return _share(compact, text, name, whole_bytes)
    else:
        digits = compact.rstrip("iIbBkKmMgGtT")
        unit = compact[len(digits) :].upper()
        try:
            value = float(digits)
            if unit.endswith("IB"):
                value *= _BINARY[unit[:-2]]
            else:
                value *= _UNITS[unit.removesuffix("B") if len(unit) > 1 else unit]
        except (ValueError, KeyError):
            share = "" if whole_bytes is None else ", or a share such as 50%"
            msg = f"{name} is {shown(text)}; expected a size such as 128MiB or 4GB{share}."
            raise BadOptionError(msg) from None
    if value >= 2**63:
        msg = f"{name} is {shown(text)}; expected less than 8 EiB."
        raise BadOptionError(msg)
    if not value >= 1:  # NaN neither
        msg = f"{name} is {shown(text)}; expected at least 1 byte."
        raise BadOptionError(msg)
    return int(value)


def _share(compact: str, text: object, name: str, whole_bytes: int) -> int:
    try:
        percent = float(compact.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not (0 < percent <= 100 and whole_bytes * percent >= 100):
        msg = f"{name} is {text!r}; expected a share above 0% and up to 100%, such as 50%."
        raise BadOptionError(msg)
    return int(whole_bytes * percent / 100)


def format_bytes(n_bytes: float) -> str:
    """Return a size for people.

    Examples
    --------
    >>> format_bytes(1536), format_bytes(0)
    ('1.5 KiB', '0 B')
    """
    for unit in UNITS:
        if n_bytes < 1024 or unit == UNITS[-1]:
            break
        n_bytes /= 1024
    return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:,.1f} {unit}"


def parse_count(text: object, name: str, *, most: int = UNBOUNDED) -> int:
    """Read a whole number such as ``1000``, ``10M`` or ``1e8``.

    Parameters
    ----------
    text : str or int
        The number.
    name : str
        What to call it in messages.
    most : int
        The greatest that is taken.

    Raises
    ------
    BadOptionError
        If it is no whole number from 0 to ``most``.

    Examples
    --------
    >>> parse_count("1e8", "n"), parse_count("1.5K", "n"), parse_count(7, "n")
    (100000000, 1500, 7)
    """
    value = -1
    if isinstance(text, _WHOLE) and not isinstance(text, bool):
        value = int(text)
    elif isinstance(text, str) and (found := _COUNT.fullmatch(text.strip().lower())):
        digits, exponent, unit = found.groups(default="")
        with localcontext(prec=200):
            exact = Decimal(digits + exponent) * _UNITS[unit.upper()]
        value = int(exact) if exact == int(exact) else -1
    if not 0 <= value <= most:
        msg = (
            f"{name} is {shown(text)}; expected a whole number from 0 to {most:,}, such as "
            "1000, 10M or 1e8."
        )
        raise BadOptionError(msg)
    return value
