"""Message names: messages call an argument as Python does; the command line, by its option."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["with_options"]

_NOTED = re.compile(r" \((?:src|dst|against)\)")


def with_options(message: str, options: Mapping[str, str], *, of_option: bool) -> str:
    """Return a message with the command's options in the place of Python's arguments.

    Parameters
    ----------
    message : str
        In which both may stand, as in ``overwrite=True (--overwrite)``.
    options : mapping
        Each argument's option.
    of_option : bool
        The message is of an argument, which it may name alone; else such a word may be a
        column's name, or anything.

    Examples
    --------
    >>> names = {"resume": "--resume", "temp_dir": "--temp-dir"}
    >>> with_options("Leave resume (--resume) out.", names, of_option=False)
    'Leave --resume out.'
    >>> with_options("temp_dir is 'x'; expected a folder.", names, of_option=True)
    "--temp-dir is 'x'; expected a folder."
    """
    either = "|".join(map(re.escape, options.values()))
    message = re.sub(rf"[\w-]+(?:=\S+)? \(((?:{either})(?:[= ]\w+)?)\)", r"\1", message)
    if not of_option:
        return message
    # In quotes it is what was given; a value in brackets follows that of another argument.
    alone = (
        rf"(?:(?<=^)|(?<= than )|(?<= and ))({'|'.join(options)})(?= is | \(| and | exclude )"
    )
    message = re.sub(alone, lambda found: options[found[1]], message)
    return _NOTED.sub("", message, count=1)
