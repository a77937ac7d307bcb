"""Log lines: what goes to standard error is text for people, or JSON for programs.

``--log-format json`` is looked for before the options are parsed, so that what is wrong with
these is JSON too.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import click

from dlsort.terminal.streams import write
from dlsort.wording import printable

__all__ = ["DASKS", "begin", "is_json", "line_of", "logged"]

# What Dask logs as: what goes wrong there is told in a sentence.
DASKS = ("bokeh", "distributed", "tornado")

_FLAG = "--log-format"
_EVENTS = {"Error": "failed", "warning": "warned", "note": "noted"}

# A process runs one command, and whatever it writes has one form.
_is_json = False


def begin(args: Sequence[str], params: Sequence[click.Parameter]) -> None:
    """Find out which form a command's arguments ask for."""
    global _is_json
    wanted = args[: args.index("--")] if "--" in args else args
    has_flag = any(_FLAG in param.opts for param in params)
    is_asked = f"{_FLAG}=json" in wanted or (_FLAG, "json") in pairwise(wanted)
    _is_json = has_flag and is_asked


def is_json() -> bool:
    """Return whether standard error is for programs."""
    return _is_json


def line_of(message: str, **figures: Any) -> str:
    """Return a message as a line of the form that is asked for.

    Examples
    --------
    >>> line_of("Error: no such file.", exit_code=2)
    'Error: no such file.'
    """
    if not _is_json:
        return printable(message)
    from dlsort.terminal.listener import json_line

    head, _, rest = message.partition(": ")
    event = _EVENTS.get(head)
    text = rest if event else message
    return json_line({"event": event or "noted", "message": text, **figures})


class _Lines(logging.Handler):
    """What is logged, as lines."""

    def emit(self, record: logging.LogRecord) -> None:
        _write(f"warning: {record.getMessage()}", logger=record.name)


def _write(message: str, **figures: Any) -> None:
    write(sys.stderr, line_of(message, **figures))


@contextmanager
def logged() -> Iterator[None]:
    """Have what others log, and warn of, be lines too, where these are for programs."""
    if not _is_json:
        yield
        return
    root, handler = logging.getLogger(), _Lines(logging.WARNING)
    handler.addFilter(lambda record: record.name.partition(".")[0] not in DASKS)
    root.addHandler(handler)
    with warnings.catch_warnings():

        def show(
            message: Warning | str, category: type[Warning], *place: Any, **more: Any
        ) -> None:
            _write(f"warning: {message}", category=category.__name__)

        warnings.showwarning = show
        try:
            yield
        finally:
            root.removeHandler(handler)
