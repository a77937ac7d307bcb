"""Options of the commands: how their values are read, and those that both commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from dlsort.cli.failures import Failure
from dlsort.errors import BadOptionError, shown
from dlsort.sizes import GIB, parse_bytes

if TYPE_CHECKING:
    from dlsort.keys import SortKey

__all__ = [
    "by_option",
    "no_progress_option",
    "read_by",
    "read_count",
    "read_memory",
    "read_overwrite",
    "read_size",
]

_MOST_DIGITS = 80

KEY_HELP = (
    "Columns to sort by, most significant first, separated by commas: "
    "COLUMN[:asc|:desc][:nulls_first|:nulls_last]. A name with a comma or a colon stands in "
    "double quotes, as in '\"a,b\":desc,c'. NaN goes with the nulls. Given again, it names "
    "further columns."
)


def read_overwrite(ctx: click.Context, param: click.Parameter, value: str | None) -> bool | str:
    """Return whether a destination is replaced, or "force"."""
    if value not in (None, "", "force"):
        msg = f"--overwrite is {shown(value)}; expected it alone, or --overwrite=force."
        raise Failure(msg)
    return value or value is not None


def read_count(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a whole number of at least 1."""
    if value is None:
        return None
    from dlsort.arguments import read_count

    is_whole = re.fullmatch(r"[+-]?[0-9]+", value) is not None
    # What has more digits than Python reads is too large all the same.
    number = int(value[:_MOST_DIGITS]) if is_whole else value
    try:
        return read_count(number, param.opts[0])
    except BadOptionError as error:
        raise Failure(str(error)) from error


def read_size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a size in bytes."""
    try:
        return None if value is None else parse_bytes(value, param.opts[0])
    except BadOptionError as error:
        raise Failure(str(error)) from error


def read_memory(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check a size or a share; what the share is of is known later."""
    try:
        if value is not None:
            parse_bytes(value, param.opts[0], whole_bytes=GIB)
    except BadOptionError as error:
        raise Failure(str(error)) from error
    return value


def by_option(
    *, required: bool, more: str = ""
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the option for the key, which may be given more than once."""
    return click.option(
        "--by", required=required, multiple=True, metavar="KEY", help=KEY_HELP + more
    )


def read_by(by: Sequence[str]) -> list[SortKey]:
    """Return the keys of one option or more."""
    from dlsort.keys import parse_by

    return [key for text in by for key in parse_by(text)]


no_progress_option = click.option(
    "--no-progress",
    is_flag=True,
    help="Say nothing until the end: no live display, nor a line a phase off a terminal.",
)
