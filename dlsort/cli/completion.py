"""``dlsort completion``: what a shell needs to complete commands, options, words and paths."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem, get_completion_class

from dlsort.cli.failures import Command, Failure
from dlsort.options.arguments import DATASET, FOLDER, FRAMES, PATH, PATHS, SCHEMA
from dlsort.options.option import SortOption
from dlsort.terminal.streams import write

__all__ = ["completer", "completion_command", "path_names"]

SHELLS = ("bash", "zsh", "fish")
_PATHS = (PATH, PATHS, FRAMES, DATASET, SCHEMA)

Completer = Callable[
    [click.Context, click.Parameter, str], "list[CompletionItem[str]] | list[str]"
]


def path_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Have the shell complete the name of a file or folder."""
    return [CompletionItem(incomplete, type="file")]


def _folders(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    return [CompletionItem(incomplete, type="dir")]


def completer(option: SortOption) -> Completer | None:
    """Return what completes an option's value; None if nothing is known of it."""
    if option.kind is FOLDER:
        return _folders
    if option.kind in _PATHS:
        return path_names
    words = re.findall(r'"(\w+)"', option.kind.type) if option.kind.type[0] == "{" else []
    if not words:
        return None
    return lambda ctx, param, incomplete: [w for w in words if w.startswith(incomplete)]


@click.command("completion", cls=Command)
@click.argument("shell", shell_complete=lambda *_: list(SHELLS))
def completion_command(shell: str) -> None:
    r"""Write what has SHELL (bash, zsh or fish) complete this command.

    \b
    eval "$(dlsort completion bash)"                 in ~/.bashrc
    eval "$(dlsort completion zsh)"                  in ~/.zshrc, behind compinit
    dlsort completion fish > ~/.config/fish/completions/dlsort.fish
    """
    found = get_completion_class(shell) if shell in SHELLS else None
    if found is None:
        raise Failure(f"SHELL is {shell!r}; expected bash, zsh or fish.")
    group = click.get_current_context().find_root().command
    made = found(group, {}, "dlsort", "_DLSORT_COMPLETE")
    script = made.source_template % made.source_vars()
    if (why := write(sys.stdout, script.rstrip("\n"))) is not None:
        raise Failure(f"standard output can't be written: {why}.")
