"""Keep out of the log what is told another way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet", "silence"]


def silence() -> None:
    """Drop log entries about errors that are raised again at the caller."""
    for name, news in _FILTERS.items():
        logging.getLogger(name).addFilter(news)


@contextmanager
def quiet() -> Iterator[None]:
    """Apply :func:`silence` for a while."""
    silence()
    try:
        yield
    finally:
        for name, news in _FILTERS.items():
            logging.getLogger(name).removeFilter(news)


def _no_failed_task(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Compute Failed")


def _no_failed_shuffle(record: logging.LogRecord) -> bool:
    """Drop what a worker asks the scheduler, or another, about a run that is over."""
    message = record.getMessage()
    return not message.startswith("Exception while handling op shuffle_")


_FILTERS = {"distributed.worker": _no_failed_task, "distributed.core": _no_failed_shuffle}
