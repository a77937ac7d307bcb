"""``python -m dlsort``: the command line."""

from __future__ import annotations

from dlsort.cli import start

if __name__ == "__main__":
    start()
