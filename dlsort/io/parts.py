"""Parts: their names, and the folders in which a job keeps them until it has all."""

from __future__ import annotations

from typing import NamedTuple

from dlsort.io import storage
from dlsort.io.storage import join

__all__ = [
    "ATTEMPTS",
    "FEWEST_DIGITS",
    "FINISHED",
    "MANIFEST",
    "PARTS",
    "Growth",
    "make_folders",
    "part_name",
]

ATTEMPTS = "attempts"
PARTS = "parts"
FINISHED = "finished"

FEWEST_DIGITS = 5

# The key of the manifest in the metadata of a part's footer.
MANIFEST = b"dlsort"


class Growth(NamedTuple):
    """What the parts tell that are put among those of earlier jobs.

    Attributes
    ----------
    generation : int
        How many such jobs there were, with this one.
    part_rows : int
        Rows of a part of the usual size.
    lead : int
        The first of the parts that this job writes, which lists all.
    members : tuple of (str, int, int)
        All parts, in order, as runs of (job, first part, last part).
    """

    generation: int
    part_rows: int
    lead: int
    members: tuple[tuple[str, int, int], ...]


def make_folders(folder: str) -> None:
    """Make a strategy's folder, and those in it, where they aren't there."""
    for inner in (ATTEMPTS, PARTS, FINISHED):
        storage.make_folder(join(folder, inner))


def part_name(part: int, n_parts: int, file: int | None = None) -> str:
    """Return a part's file name, zero-padded so that names sort as rows do.

    ``file`` is the number of one of several files.

    Examples
    --------
    >>> part_name(7, 12), part_name(7, 12, 3)
    ('part-00007.parquet', 'part-00007-0003.parquet')
    """
    digits = max(FEWEST_DIGITS, len(str(n_parts - 1)))
    number = "" if file is None else f"-{file:0{FEWEST_DIGITS - 1}d}"
    return f"part-{part:0{digits}d}{number}.parquet"
