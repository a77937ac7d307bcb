"""The command line."""

from __future__ import annotations

import signal

__all__ = ["start"]


def start() -> None:
    """Run the command, in a process of its own, and end that.

    Where nothing else is decided, and that is while it imports, Ctrl-C does what the system has
    it do: the process ends at once, which a shell calls 130, without a traceback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dlsort.cli.main import main

    main(prog_name="dlsort")
