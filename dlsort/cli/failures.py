"""Commands: what the command line does with arguments it can't use, and with its end."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from dlsort.cli.exit_codes import BUG, REFUSED
from dlsort.cli.log_lines import begin, is_json, line_of
from dlsort.cli.message_names import with_options
from dlsort.cli.stop import Stopped
from dlsort.errors import BadOptionError, DlsortError
from dlsort.terminal.streams import open_missing, settle, write
from dlsort.wording import did_you_mean, without_internals

__all__ = [
    "TRACEBACK",
    "Command",
    "Commands",
    "Failure",
    "sentence",
    "tell",
    "waited_s",
]

TRACEBACK = "DLSORT_TRACEBACK"

#: When the user began to wait, by `time.perf_counter`.
_began_s = time.perf_counter()


class Failure(click.ClickException):
    """Ends the command with one sentence on stderr."""

    exit_code = REFUSED


class Command(click.Command):
    """A command that takes each value once, and knows what was meant by other options.

    Which of two values counts would be anyone's guess, and a sort by the wrong key is proved
    like any other. Options that take several (``multiple``) say how they join them.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them, after a look at what is there twice or unknown."""
        begin(args, self.get_params(ctx))
        try:
            _, extra, given = self.make_parser(ctx).parse_args(args=list(args))
        except click.NoSuchOption as error:
            _refuse_unknown(error, self.get_params(ctx), ctx)
        for param in given:
            if not isinstance(param, click.Option) or param.multiple or param.is_flag:
                continue
            if given.count(param) > 1:
                name = param.opts[0]
                msg = f"{name} is given {given.count(param)} times; give it once."
                raise click.UsageError(msg, ctx)
        if extra and not ctx.resilient_parsing:
            msg = (
                f"{len(extra)} more than the expected arguments: {' '.join(extra[:3])}"
                f"{' …' if len(extra) > 3 else ''}. {self.advice(args)}"
            )
            raise click.UsageError(msg, ctx)
        return super().parse_args(ctx, args)

    def advice(self, args: Sequence[str]) -> str:
        """Return what to do about more arguments than are expected."""
        return (
            "Put a glob in quotes, so that the shell leaves it as it is, and a name with "
            "spaces too."
        )


def _refuse_unknown(
    error: click.NoSuchOption, params: list[click.Parameter], ctx: click.Context
) -> NoReturn:
    names = [name for param in params for name in param.opts if name.startswith("--")]
    hint = did_you_mean(error.option_name, names)
    raise click.UsageError(f"no such option {error.option_name!r}.{hint}", ctx) from error


class Commands(click.Group):
    """Turns whatever a command raises into one sentence and an exit code."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse them; without any, help."""
        try:
            return super().parse_args(ctx, args or ["--help"])
        except click.NoSuchOption as error:
            _refuse_unknown(error, self.get_params(ctx), ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named; say which is meant where there is none."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            hint = did_you_mean(name, self.commands)
            msg = f"no such command {name!r}.{hint} There are {', '.join(self.commands)}."
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and end the process with its exit code."""
        global _began_s
        _began_s = time.perf_counter()
        begin((), ())
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **extra)
        if args is None:  # the process is ours
            _began_s -= _age_s()
            open_missing()
        exit_code = self._run(args, prog_name, extra)
        settle()
        sys.exit(exit_code)

    def _run(
        self, args: Sequence[str] | None, prog_name: str | None, extra: dict[str, Any]
    ) -> int:
        """Run a command and return its exit code."""
        try:
            return super().main(args, prog_name, standalone_mode=False, **extra) or 0
        except click.UsageError as error:
            if error.ctx and not is_json():
                usage, path = error.ctx.get_usage(), error.ctx.command_path
                write(sys.stderr, f"{usage}\nTry '{path} --help' for help.\n")
            return _told(error.format_message(), error.exit_code, error)
        except click.ClickException as error:
            return _told(error.format_message(), error.exit_code, error)
        except click.Abort:  # Ctrl-C where nothing watches for it: nothing is begun
            return _told("stopped by SIGINT.", 130)
        except OSError as error:
            return _told(f"standard output can't be written: {error.strerror}.", REFUSED, error)
        except SystemExit:  # what click makes of a reader that wants no more of the help
            return 0

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Stopped as stop:
            # What was noted says it, where that isn't all.
            is_all = ctx.invoked_subcommand == "sort" and not getattr(stop, "__notes__", ())
            rest = "; the destination is as it was" if is_all else ""
            _end(_with_notes(f"stopped by {stop.name}{rest}.", stop), 128 + stop.number, stop)
        except Exception as error:
            if os.environ.get(TRACEBACK):
                traceback.print_exc()
            _end(*sentence(error), error)


def _end(message: str, exit_code: int, error: BaseException) -> NoReturn:
    raise click.exceptions.Exit(_told(message, exit_code, error))


def _told(message: str, exit_code: int, error: BaseException | None = None) -> int:
    """Tell why the command fails; return its exit code."""
    name = "Stopped" if error is None else type(error).__name__
    tell(f"Error: {message}", error=name, exit_code=exit_code)
    return exit_code


def tell(message: str, **figures: Any) -> None:
    """Write a line to standard error, if anyone is there to read it.

    ``figures`` are what the line says too where it is JSON.
    """
    write(sys.stderr, line_of(message, **figures))


def _with_notes(message: str, error: BaseException) -> str:
    """Return a message with what was noted on the way up: what is kept, to resume from."""
    whole = " ".join([message, *getattr(error, "__notes__", ())])
    is_of_option = isinstance(error, BadOptionError)
    return with_options(whole, _option_names(), of_option=is_of_option)


def _option_names() -> dict[str, str]:
    """Return the option for each argument that a command takes by one."""
    ctx: click.Context | None = click.get_current_context()
    while ctx is not None and not isinstance(ctx.command, Commands):
        ctx = ctx.parent  # Dask's command has ours as one of its own
    group = None if ctx is None else ctx.command
    commands = group.commands.values() if isinstance(group, Commands) else ()
    params = [param for command in commands for param in command.params]
    return {param.name: param.opts[0] for param in params if param.opts[0].startswith("--")}


def sentence(error: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    from dlsort_cluster.exchange import ExchangeError

    if isinstance(error, DlsortError | ExchangeError):
        return _with_notes(without_internals(str(error)), error), REFUSED
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}.", REFUSED
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        msg = f"the name {error.object} is no text in UTF-8, so Arrow can't open it; rename it."
        return msg, REFUSED
    lines = str(error).strip().splitlines()
    what = f"{type(error).__name__}{f': {lines[0]}' if lines else ''}"
    how = "" if os.environ.get(TRACEBACK) else f" Set {TRACEBACK}=1 to see the traceback."
    return f"this is a bug in dlsort, sorry: {what}. Please report it.{how}", BUG


def waited_s() -> float:
    """Return the seconds since the command began: in a process of its own, since that did."""
    return time.perf_counter() - _began_s


def _age_s() -> float:
    """Return the seconds since this process was started; 0 where the system does not say."""
    try:
        # Its name, the second field, may hold spaces and brackets.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[19])
        up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        return max(0.0, up_s - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, AttributeError, IndexError):
        return 0.0
