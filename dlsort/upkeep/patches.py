"""Patches: which parts are made anew, of which rows; all others stay the files that they are.

A batch that is sorted falls into the parts' ranges, and into the gaps between them:

    parts        │ a0 ────── │   │ a1 ────── │ a2 ────── │
    batch     ··      ····     ··                          ·······
           before   in a0    after a0                     after a2

What falls into a part is merged with it. What falls into a gap makes parts of its own, if it
is no little, and no neighbour is small or made anew anyway: so of a table that grows at its end
only the last part is written again, as long as it is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Patch", "n_cuts", "patches_of_append", "patches_of_compact"]

# Parts of less than half the usual rows are small, those of more than twice as many large.
SMALL, LARGE = 0.5, 2


@dataclass(frozen=True)
class Patch:
    """Rows of some parts, and of the batch, of which new parts are made.

    Parameters
    ----------
    parts : tuple of int
        Parts that are made anew, neighbours, ascending; often one, or none.
    after : int
        The part that the rows come after, if none is made anew; −1: before all.
    begin, end : int
        Rows of the sorted batch.
    """

    parts: tuple[int, ...]
    after: int
    begin: int = 0
    end: int = 0

    def n_rows(self, rows: Sequence[int]) -> int:
        """Return how many rows it has, where parts have so many."""
        return sum(rows[part] for part in self.parts) + self.end - self.begin


def n_cuts(patch: Patch, rows: Sequence[int], usual: int, most: int) -> int:
    """Return of how many parts the rows of a patch become.

    Parameters
    ----------
    patch : Patch
        The rows.
    rows : sequence of int
        Rows of each part.
    usual, most : int
        How many a part has usually, and how many fit the memory.
    """
    n = patch.n_rows(rows)
    is_grown = len(patch.parts) == 1 and patch.end > patch.begin
    wanted = 1 if is_grown and n <= LARGE * usual else max(1, round(n / usual))
    return max(wanted, -(-n // max(1, most)))


def patches_of_append(
    rows: Sequence[int], before: int, within: Sequence[int], after: Sequence[int], usual: int
) -> list[Patch]:
    """Return what is made anew as a batch is put among parts, in order.

    Parameters
    ----------
    rows : (n,) sequence of int
        Rows of each part.
    before : int
        Rows of the batch before the first part.
    within, after : (n,) sequences of int
        Rows of the batch inside of each part, and between it and the next.
    usual : int
        How many rows a part has, usually.
    """

    def joins(gap: int, part: int) -> bool:
        is_there = 0 <= part < len(rows)
        if not gap or not is_there:
            return False
        little = gap < SMALL * usual
        return rows[part] < SMALL * usual or (within[part] > 0 and little)

    gaps = [before, *after]  # gap i is before part i
    to_above = [joins(gap, i - 1) for i, gap in enumerate(gaps)]
    to_below = [not to_above[i] and joins(gap, i) for i, gap in enumerate(gaps)]
    patches: list[Patch] = []
    at = 0
    for i, gap in enumerate(gaps):
        if gap and not to_above[i] and not to_below[i]:
            patches.append(Patch((), i - 1, at, at + gap))
        if i == len(rows):
            break
        begin = at if to_below[i] else at + gap
        at += gap + within[i]
        end = at + (gaps[i + 1] if to_above[i + 1] else 0)
        if end > begin:
            patches.append(Patch((i,), i - 1, begin, end))
    return patches


def patches_of_compact(rows: Sequence[int], usual: int) -> list[Patch]:
    """Return what is made anew so that parts are even: runs of small parts, and large ones.

    Rows left over that make no part go to the smaller neighbour, if that stays below twice
    the usual.
    """
    patches: list[Patch] = []
    part = 0
    while part < len(rows):
        first, last = part, part + 1
        if rows[part] < SMALL * usual:
            while last < len(rows) and rows[last] < SMALL * usual:
                last += 1
            if sum(rows[first:last]) < SMALL * usual:
                first, last = _with_neighbour(rows, first, last, patches, usual)
        elif rows[part] <= LARGE * usual:
            part += 1
            continue
        patch = Patch(tuple(range(first, last)), first - 1)
        if last - first > 1 or rows[first] > LARGE * usual:
            patches.append(patch)
        part = max(last, part + 1)
    return patches


def _with_neighbour(
    rows: Sequence[int], first: int, last: int, patches: Sequence[Patch], usual: int
) -> tuple[int, int]:
    is_free = first > 0 and not (patches and patches[-1].parts[-1] == first - 1)
    above = rows[first - 1] if is_free else None
    below = rows[last] if last < len(rows) else None
    own = sum(rows[first:last])
    if above is not None and (below is None or above <= below):
        return (first - 1, last) if own + above <= LARGE * usual else (first, last)
    if below is not None and own + below <= LARGE * usual:
        return first, last + 1
    return first, last
