"""What can go wrong, one class a cause; each message is one sentence or two.

Every message says what was found, what was expected and what to do. The
command line prints the message alone and exits with 2. Each class keeps the
built-in type that a caller would have expected (``FileNotFoundError``,
``TypeError``, ...), so that plain ``except`` clauses work too.
"""

from __future__ import annotations

import reprlib

from dlsort.wording import without_internals
from dlsort_cluster.errors import DlsortError

__all__ = [
    "BadKeyError",
    "BadOptionError",
    "ClusterError",
    "CorruptSourceError",
    "DestinationError",
    "DestinationExistsError",
    "DestinationFullError",
    "DlsortError",
    "DlsortWarning",
    "KeyTypeError",
    "NotProvedError",
    "OutOfOrderError",
    "ResumeError",
    "RowsLostError",
    "SchemaMismatchError",
    "SourceChangedError",
    "SourceNotFoundError",
    "SourceUnsupportedError",
    "UnknownColumnError",
    "UnsupportedError",
    "shown",
    "type_of",
]

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def type_of(value: object) -> str:
    """Return a value's type for a message.

    Examples
    --------
    >>> type_of(1), type_of("x")
    ('an int', 'a str')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"


def shown(value: object) -> str:
    """Return a value for a message: on one line, and shortened.

    Examples
    --------
    >>> shown("x"), shown(list(range(1000)))
    ("'x'", '[0, 1, 2, 3, 4, 5, ...]')
    """
    try:
        return " ".join(_short.repr(value).split())
    except Exception:  # whatever a stranger's __repr__ raises
        return type_of(value)


class DlsortWarning(UserWarning):
    """Base of all warnings of dlsort's own."""


class BadOptionError(DlsortError, ValueError):
    """An option or argument has a value that can't be used."""


class BadKeyError(DlsortError, ValueError):
    """The description of the key (``by``) is malformed."""


class UnknownColumnError(DlsortError, KeyError):
    """A key column is not in the data."""


class KeyTypeError(DlsortError, TypeError):
    """A key column has a type that can't be sorted by."""


class UnsupportedError(DlsortError, NotImplementedError):
    """A Dask frame can't have what was requested."""


class SourceNotFoundError(DlsortError, FileNotFoundError):
    """The source does not exist or holds no Parquet file."""


class CorruptSourceError(DlsortError, OSError):
    """A source file is truncated or is not Parquet."""


class SourceUnsupportedError(DlsortError, NotImplementedError):
    """A source file is sound, but can't be read here, or not be kept as it is."""


class SourceChangedError(DlsortError, OSError):
    """A source file was changed or removed while it was read."""


class SchemaMismatchError(DlsortError, ValueError):
    """Two source files disagree on a column."""


class ClusterError(DlsortError, RuntimeError):
    """The cluster can't be reached or can't go on.

    Its ``__cause__`` is one of :mod:`dlsort_cluster`'s errors: no scheduler at
    the address, no worker, no space for shards, workers lost, job cancelled.
    """

    def __str__(self) -> str:
        """Return the message without the names that Dask gives to runs and to this process."""
        return without_internals(super().__str__())


class ResumeError(DlsortError, RuntimeError):
    """An earlier attempt can't be resumed."""


class DestinationError(DlsortError, OSError):
    """The destination can't be written."""


class DestinationExistsError(DestinationError, FileExistsError):
    """The destination already holds something."""


class DestinationFullError(DestinationError):
    """There is no space left where the destination is."""


class NotProvedError(DlsortError, RuntimeError):
    """The proof failed: what was written is not the sorted source."""


class RowsLostError(NotProvedError):
    """Rows or their bytes differ between source and sink."""


class OutOfOrderError(NotProvedError):
    """Rows at the sink are not in order."""
