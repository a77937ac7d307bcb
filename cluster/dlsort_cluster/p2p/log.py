"""What the engine logs of each run of ours: nothing that is no news.

The scheduler's part of the engine warns when a run begins and when it ends. Both are as they
should be. A run that is restarted is news, and so is any run of others.
"""

from __future__ import annotations

import logging

__all__ = ["leave_out"]

_logger = logging.getLogger("distributed.shuffle._scheduler_plugin")
_BEGINS, _ENDS = "Shuffle %s initialized", "Shuffle %s deactivated"
_ours: set[str] = set()


def leave_out(run: str) -> None:
    """Keep the beginning and the end of a run out of the log of this process."""
    _ours.add(run)
    _logger.addFilter(_is_news)  # which nothing is that is there already


def _is_news(record: logging.LogRecord) -> bool:
    run = record.args[0] if isinstance(record.args, tuple) and record.args else None
    if run not in _ours or not str(record.msg).startswith((_BEGINS, _ENDS)):
        return True
    if str(record.msg).startswith(_ENDS):
        _ours.discard(str(run))
    return False
