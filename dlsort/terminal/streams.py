"""Streams: standard output and error, which may be full, closed, or a terminal that is gone."""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ["columns", "is_terminal", "open_missing", "settle", "write"]


def write(stream: TextIO | None, text: str) -> str | None:
    """Write a line or more; return why that failed, or None.

    What the stream's encoding has no sign for is written as an escape.
    """
    if stream is None:  # Python's word for one that was closed before it began
        return "it is closed"
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError:
        return "it is closed"
    return None


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is open, and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def columns(stream: TextIO | None) -> int | None:
    """Return how wide a stream's terminal is; None where it doesn't say, or is none."""
    try:
        return (stream and os.get_terminal_size(stream.fileno()).columns) or None
    except (OSError, ValueError):
        return None


def open_missing() -> None:
    """Open what was closed of standard input, output and error, on nothing.

    Else the next file that is opened has that number, and gets what is written there: a part
    of the result would have messages in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def settle() -> None:
    """Have nothing left to write, as Python ends with 120 where that fails."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            _replace(stream)


def _replace(stream: TextIO) -> None:
    try:
        number = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, number)
        os.close(nothing)
    except (OSError, ValueError):
        return
