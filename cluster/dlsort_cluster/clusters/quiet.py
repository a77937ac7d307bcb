"""Keep out of the log what is told another way, or put right without anyone's help."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet", "silence"]

# Beginnings of entries, by logger.
_NO_NEWS = {
    # A failed task's error is raised again at the caller.
    "distributed.worker": (
        "Compute Failed",
        "Worker stream died during communication",
        # A job is over, and its scheduler ends before the last worker does.
        "Failed to communicate with scheduler during heartbeat",
    ),
    # So is what a worker asks the scheduler, or another, about a run that is over.
    "distributed.core": ("Exception while handling op shuffle_",),
    # A worker that dies is started again, and its run too.
    "distributed.scheduler": ("broadcast to ", "Couldn't gather keys"),
    # Ctrl-C came before a call to the cluster had begun: there is nothing to cancel.
    "tornado.application": (
        "Exception in callback functools.partial(<function sync.<locals>.cancel ",
    ),
}


def silence() -> None:
    """Drop these entries from now on."""
    for name in _NO_NEWS:
        logging.getLogger(name).addFilter(_is_news)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop these entries for a while."""
    silence()
    try:
        yield
    finally:
        for name in _NO_NEWS:
            logging.getLogger(name).removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_NO_NEWS[record.name])
