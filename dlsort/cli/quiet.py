"""Quiet: what Dask, the compiler and warnings say while a command has the terminal."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlsort.cli.failures import TRACEBACK, tell
from dlsort.cli.log_lines import DASKS
from dlsort.errors import DlsortWarning

__all__ = ["hush_dask", "own_warnings", "silent_compiling"]


@contextmanager
def own_warnings() -> Iterator[None]:
    """Have our warnings told as the command's, once nothing is drawn any more."""
    messages = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def keep(
            message: Warning | str, category: type[Warning], *place: Any, **more: Any
        ) -> None:
            if issubclass(category, DlsortWarning):
                messages.append(str(message))
            else:
                show(message, category, *place, **more)

        warnings.showwarning = keep
        warnings.simplefilter("always", DlsortWarning)
        try:
            yield
        finally:
            for message in messages:
                tell(f"warning: {message}")


def hush_dask() -> None:
    """Keep Dask's log off the terminal: what goes wrong is told in a sentence.

    Dask writes to standard error by a handler of its own, unless there is one as it is loaded,
    which it is where a cluster is needed.
    """
    if os.environ.get(TRACEBACK):
        return
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL + 1)
    if not (root := logging.getLogger()).handlers:
        others = logging.StreamHandler()
        others.setLevel(logging.WARNING)
        others.addFilter(lambda record: record.name.partition(".")[0] not in DASKS)
        root.addHandler(others)


@contextmanager
def silent_compiling(*, silent: bool) -> Iterator[None]:
    """Keep the word that kernels are compiled to oneself, if that is wanted."""
    log = logging.getLogger("dlsort")
    before = log.level
    if silent:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
