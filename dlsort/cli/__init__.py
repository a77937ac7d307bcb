"""The command line."""

from __future__ import annotations

import os
import signal

__all__ = ["start"]


def start() -> None:
    """Run the command, in a process of its own, and end that.

    Where nothing else is decided, and that is while it imports, Ctrl-C does what the system has
    it do: the process ends at once, which a shell calls 130, without a traceback.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # NumPy's algebra, of which nothing is used, keeps its threads busy for 0.1 s as it loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from dlsort.cli.main import main

    main(prog_name="dlsort")
