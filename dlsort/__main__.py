"""``python -m dlsort``: the command line."""

from __future__ import annotations

from dlsort.cli.main import main

if __name__ == "__main__":
    main(prog_name="dlsort")
