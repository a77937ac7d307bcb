"""The commands' options, as :mod:`dlsort.options.doors` has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from dlsort.cli.completion import completer
from dlsort.cli.failures import Failure
from dlsort.errors import shown
from dlsort.options.arguments import FLAG_OR_FORCE
from dlsort.options.doors import COMMANDS
from dlsort.options.option import REQUIRED, SortOption

__all__ = ["options_of"]

F = TypeVar("F", bound=Callable[..., Any])

# Whose doors take from the settings what is not given.
_OF_SETTINGS = ("sort", "check", "explain", "stats")


def options_of(command: str) -> Callable[[F], F]:
    """Return what gives a command its options."""
    flags = {option.name: option.flag for option in COMMANDS[command]}

    def decorate(function: F) -> F:
        if command in _OF_SETTINGS:
            function = _with_settings(function, command)
        for option in reversed(COMMANDS[command]):
            how = _as_flag(option) if option.kind.is_flag else _with_value(option)
            names = filter(None, (option.flag, option.short, option.name))
            function = click.option(*names, help=_help(option, flags), **how)(function)
        return function

    return decorate


def _with_settings(function: F, command: str) -> F:
    """Return a command that takes from the settings what is not given to it."""

    @wraps(function)
    def run(*args: Any, **values: Any) -> Any:
        from dlsort.options.settings import settings_for

        ctx = click.get_current_context()
        given = {
            name: value
            for name, value in values.items()
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        return function(*args, **{**values, **settings_for(COMMANDS[command], given)})

    return cast("F", run)


def _as_flag(option: SortOption) -> dict[str, Any]:
    return {"flag_value": not option.flag_help, "default": bool(option.flag_help)}


def _with_value(option: SortOption) -> dict[str, Any]:
    return {
        "metavar": option.metavar or option.kind.metavar,
        "required": option.default is REQUIRED,
        "multiple": option.kind.is_many,
        "nargs": option.kind.n_texts,
        "callback": _callback(option),
        "shell_complete": completer(option),
    }


def _callback(option: SortOption) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return what checks the text of an option; what is wrong with it is told as in Python."""

    def read(ctx: click.Context, param: click.Parameter, given: Any) -> Any:
        if not given and given != "":
            return option.default
        if option.kind is FLAG_OR_FORCE and given not in ("", "force"):
            msg = f"{option.flag} is {shown(given)}; expected it alone, or {option.flag}=force."
            raise Failure(msg)
        value = option.kind.of_text(given)
        option.read(value)
        return value

    return read


def _help(option: SortOption, flags: dict[str, str]) -> str:
    """Return an option's help, in which others are called by their flags."""
    default = option.otherwise or (option.default if isinstance(option.default, str) else "")
    parts = (
        option.flag_help or option.help,
        option.flag_more,
        f"Default: {default}." if default and not option.kind.is_flag else "",
    )
    whole = " ".join(filter(None, parts))
    return re.sub(r"``(\w+)``", lambda name: flags.get(name[1], name[1].upper()), whole)
