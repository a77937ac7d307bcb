"""Columns of one name, which are told apart by a number on their way through.

A file may have several columns of one name. Inside, all else goes by names, so each of them
gets a mark and its number behind its name as its file is read, and loses them as it is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import count

import pyarrow as pa

__all__ = ["MARK", "given_name", "named", "own_names", "with_own_names"]

MARK = "\0#"  # refused in names from outside


def own_names(names: Sequence[str]) -> list[str]:
    r"""Return names of which each is there once.

    Examples
    --------
    >>> own_names(["k", "id", "id"])
    ['k', 'id\x00#0', 'id\x00#1']
    """
    times = Counter(names)
    numbers: defaultdict[str, count[int]] = defaultdict(count)
    return [n if times[n] == 1 else f"{n}{MARK}{next(numbers[n])}" for n in names]


def given_name(name: str) -> str:
    """Return the name that a column has outside."""
    return name.partition(MARK)[0]


def named(name: str) -> str:
    """Return the name that a column has outside, in quotes, for people."""
    return repr(given_name(name))


def with_own_names(schema: pa.Schema) -> pa.Schema:
    """Return a file's schema with columns of one name told apart.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a name holds what tells them apart.
    """
    if any(MARK in name for name in schema.names):
        msg = f"a column's name holds {MARK!r}"
        raise pa.ArrowInvalid(msg)
    if len(set(schema.names)) == len(schema.names):
        return schema
    fields = zip(schema, own_names(schema.names), strict=True)
    return pa.schema([field.with_name(name) for field, name in fields], schema.metadata)
