"""Decryption: keys of encrypted files, asked for by each process that reads.

What travels to workers is the name of a function, never a key, and nothing of it is written
down. The function is called once in a process, and what it gives opens every encrypted file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.errors import DlsortError
from dlsort.io.find import BadFileError, UnsupportedFileError
from dlsort.options.functions import find_function

__all__ = ["opening", "properties_of"]

_OF_KEYS = re.compile(r"crypt|\bAAD\b|\bkeys?\b", re.IGNORECASE)
_lock = Lock()


def properties_of(keys: str) -> Any:
    """Return the ``FileDecryptionProperties`` that a function gives.

    Parameters
    ----------
    keys : str
        The function, as ``"module:function"``.

    Raises
    ------
    UnsupportedFileError
        If it is not there, fails, or gives something else.
    """
    try:
        with _lock:  # threads begin at the same time
            return _call(find_function(keys))
    except Exception as error:
        # What it says may hold a key.
        why = str(error) if isinstance(error, ImportError) else type(error).__name__
        msg = (
            f"it is encrypted, and decryption (--decryption) is {keys}, which gives no keys: "
            f"{why}. Expected a function that every process can import and call without "
            "arguments, and that returns pyarrow's FileDecryptionProperties."
        )
        raise UnsupportedFileError(msg) from error


@lru_cache(maxsize=4)
def _call(function: Callable[[], Any]) -> Any:
    found = function()
    if not isinstance(found, pq.FileDecryptionProperties):
        raise TypeError
    return found


@contextmanager
def opening(keys: str | None) -> Iterator[None]:
    """Have what goes wrong with keys told as such; None: the file is not encrypted.

    Raises
    ------
    UnsupportedFileError
        If keys are wrong or missing. Those who keep them may raise anything.
    """
    try:
        yield
    except (DlsortError, BadFileError, MemoryError):
        raise
    except Exception as error:
        is_pyarrows = isinstance(error, pa.ArrowException) or type(error) is OSError
        is_of_file = getattr(error, "filename", None) is not None
        is_of_file |= is_pyarrows and not _OF_KEYS.search(str(error))
        if keys is None or is_of_file:
            raise
        why = str(error).splitlines()[0] if is_pyarrows else type(error).__name__
        msg = (
            f"it is encrypted, and decryption (--decryption) is {keys}, whose keys don't open "
            f"it ({why}). Give its own keys; if these are, it was changed since it was written."
        )
        raise UnsupportedFileError(msg) from error
