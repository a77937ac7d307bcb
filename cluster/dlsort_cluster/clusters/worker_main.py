"""The main module of worker processes that :func:`connect.connect` starts.

Ctrl-C reaches every process of the terminal's group. The caller's process
decides what follows; a worker that obeyed too would be started again.
"""

from __future__ import annotations

import signal

from dlsort_cluster.clusters.quiet import silence
from dlsort_cluster.pages import hold_small_pages

if __name__ == "__mp_main__":
    silence()
    hold_small_pages(__name__)  # for good, if they are the cheaper ones here
    signal.signal(signal.SIGINT, signal.SIG_IGN)
