"""Wording: names, counts and hints as messages, notes and reports show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from textwrap import wrap

from dlsort_cluster.errors import printable

__all__ = [
    "closest",
    "count",
    "did_you_mean",
    "of_own_cluster",
    "printable",
    "scaled",
    "whole",
    "without_internals",
    "wrapped",
]

MOST_MEANT = 5
_CHECKSUM = 32  # digits
_INDENT = " " * len("in threads ")
_NO_BREAK = "\0"  # which is not printable

_RUN = re.compile(r"\brun [0-9a-f]{1,8}(\[\d+\])?(:| failed)")
_PLACE = re.compile(r" on [a-z]+://[^\s,;:]*(?::\d+)?")
_IN_PROCESS = re.compile(r" (?:on|from|at) inproc://[^\s,;:]*[^\s,;:.]")


def count(n: int, noun: str) -> str:
    """Return a number of things, with an s where they are not one.

    Examples
    --------
    >>> count(1, "file"), count(1200, "row")
    ('1 file', '1,200 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def scaled(n: float) -> str:
    """Return a number in few columns.

    Examples
    --------
    >>> scaled(4.25), scaled(950), scaled(999_960), scaled(4_120_000)
    ('4.2', '950', '1.0 M', '4.1 M')
    """
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if n >= 0.99995 * size:  # shown as 1.0 of this
            return f"{n / size:.1f}{sign}"
    return f"{n:.0f}" if n >= 10 or n == int(n) else f"{n:.1f}"


def closest(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that were probably meant; case, underscores and hyphens don't count.

    All that a name is the beginning of, or else the one that is most like it.

    Examples
    --------
    >>> closest("L-ShipDate", ["l_comment", "l_shipdate"])
    ['l_shipdate']
    >>> closest("--part", ["--report", "--partitions", "--partition-size"])
    ['--partitions', '--partition-size']
    """
    plain: dict[str, str] = {}
    for each in names:
        plain.setdefault(_plain(each), each)
    begun = _plain(name)
    if begun and begun not in plain and any(each.startswith(begun) for each in plain):
        return [whole for each, whole in plain.items() if each.startswith(begun)]
    return [plain[each] for each in get_close_matches(begun, plain, n=1)]


def did_you_mean(name: str, names: Iterable[str], written: Callable[[str], str] = str) -> str:
    """Return the question whether another name was meant, to follow a sentence; or nothing.

    Examples
    --------
    >>> did_you_mean("mem", ["memory", "threads"])
    " Did you mean 'memory'?"
    """
    *others, last = [repr(written(each)) for each in closest(name, names)][:MOST_MEANT] or [""]
    return f" Did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if last else ""


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def of_own_cluster(text: str) -> str:
    """Return a message of the cluster as it is for one that is started for the job alone.

    Nobody knows the addresses of its workers, or adds any; it is set up by arguments.

    Examples
    --------
    >>> of_own_cluster("no space left in /tmp on tcp://10.0.0.4:41. Add workers, or set it.")
    'no space left in /tmp. Set it.'
    """
    text = _PLACE.sub("", text).replace("Add workers, or set ", "Set ")
    return text.replace("temporary-directory (", "temp_dir (")


def without_internals(text: str) -> str:
    """Return a message of the cluster without what names its runs and this process.

    Examples
    --------
    >>> without_internals("run 7f3a[2]: no space left in /tmp on inproc://10.0.0.4/7/1.")
    'no space left in /tmp.'
    """
    text = _RUN.sub(lambda found: "" if found[2] == ":" else "the job failed", text)
    return _IN_PROCESS.sub("", text).strip()


def whole(text: str) -> str:
    """Return a name, for a line that may be wrapped before and after it, but not within."""
    return printable(text).replace(" ", _NO_BREAK)


def wrapped(line: str, width: int) -> list[str]:
    """Return a line as one or more that a terminal shows as they are."""
    head, rest = line[: len(_INDENT)].replace(" ", _NO_BREAK), line[len(_INDENT) :]
    parts = wrap(
        head + rest,
        width,
        # A checksum is to be copied whole.
        subsequent_indent=_INDENT if width >= len(_INDENT) + _CHECKSUM else "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(_NO_BREAK, " ") for part in parts]
