"""Exit codes: what each means, once: the help, the page and a docstring repeat it."""

from __future__ import annotations

from textwrap import wrap

__all__ = ["BUG", "EXIT_CODES", "NOT_OK", "NOT_REPORTED", "READER_GONE", "REFUSED", "epilog"]

NOT_OK, REFUSED, BUG, NOT_REPORTED = 1, 2, 3, 4
READER_GONE = 141  # as what SIGPIPE ends

EXIT_CODES = {
    "0": "done, or skipped by --if-exists skip. Where standard output is full or closed, a "
    "warning says what could not be shown",
    "1": "check or valsort found rows out of order; check other rows, or lookups that touch "
    "more than --max-depth; an engine of bench failed, or gave a wrong result",
    "2": "a bad argument, source, destination or cluster, explained in a sentence. The "
    "destination is untouched (in a store: unless the sentence says that --resume will "
    "complete it)",
    "3": "a bug. DLSORT_TRACEBACK=1 shows where",
    "4": "sorted and published, but the --report could not be written",
    "141": "the reader of standard output wanted no more of the rows (DST is -), as of head",
    "129, 130, 143": "stopped because the terminal went away, by Ctrl-C, or by SIGTERM. The "
    "destination is untouched",
}

_WIDTH, _HEAD = 76, 16


def epilog() -> str:
    r"""Return the table as the help shows it, whose lines click is to leave as they are."""
    lines = ["\b", "Exit codes:"]
    for codes, meaning in EXIT_CODES.items():
        first, *rest = wrap(meaning, _WIDTH - _HEAD, break_on_hyphens=False)
        lines += [f"  {codes:<{_HEAD - 2}}{first}", *(" " * _HEAD + line for line in rest)]
    return "\n".join(lines)
