"""Reuse: whether a model that is known serves the rows at hand, by a small fresh sample.

Row groups of a file that was read when the model was learned (its mark says so) have the rows
that are known; what is new is sampled, and both together are the sample: the model is mended.
Where files are not recognised, whole row groups are compared. Of m rows the share in a part, of
p, differs from that of all rows by no more than

    δ = √(2 ln(p / α) · p / m)    of itself, for all p parts at once, with confidence 1 − α

(Chernoff's bound, and the union of p; that of Dvoretzky, Kiefer and Wolfowitz bounds any range
of keys, and would want p/2 times the rows). So m is chosen such that the largest part stays in
the balance that is promised, or the model is learned anew. That row groups stand for the others
is what a chi-squared test of those that were read says, and their ranges; where they are not
alike only files that are recognised vouch for the model.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from dlsort.io.source import Piece, Source
from dlsort.keys import SortKey
from dlsort.model.known_model import KnownModel, Probe, probe_at
from dlsort.model.sample import Draw, Sample, SampleTask, draws_needed, promised
from dlsort.model.sample_plan import choose_evenly, known_ends, overlap
from dlsort.tuning import SampleTuning, Tuning

__all__ = ["Reuse", "file_mark", "plan_reuse", "rows_of_reuse"]


@dataclass(frozen=True)
class Reuse:
    """How a known model may be used for a source.

    Parameters
    ----------
    old : Sample
        The model, as a sample of the rows that it is believed to tell.
    probe : Probe
        The parts that it cuts.
    compared : tuple of Piece
        Row groups to compare with it.
    new : tuple of SampleTask
        Row groups that it knows nothing of.
    is_same : bool
        The other ones' files are those that it was learned from.
    n_parts, n_rows : int
        Output partitions, and rows of the source.
    tuning : SampleTuning
        The balance that is promised.
    """

    old: Sample
    probe: Probe
    compared: tuple[Piece, ...]
    new: tuple[SampleTask, ...]
    is_same: bool
    n_parts: int
    n_rows: int
    tuning: SampleTuning

    def holds(self, cells: Sequence[npt.NDArray[np.int64]]) -> bool:
        """Return whether the rows are distributed as they are known to be.

        Parameters
        ----------
        cells : sequence of (cells,) int64
            Rows of each compared row group by the probe's cell.
        """
        seen = np.array([each for each in cells if each.sum()])
        if not len(seen) or not are_alike(seen):
            return self.is_same and not self.probe.has_heavy
        shares = self.probe.shares(seen)
        n = float(shares.sum())
        largest = float(shares.sum(axis=0).max()) / n * self.n_parts
        error = relative_error(self.n_parts, n, self.tuning.doubt)
        # Of the same files it is only refused if it can't be right.
        least = largest - error if self.is_same else largest + error
        return least <= promised(self.n_rows, self.n_parts, self.tuning)


def rows_of_reuse(reuse: Reuse | None) -> int | None:
    """Return how many rows are read to use a known model; None: there is none."""
    if reuse is None:
        return None
    compared = sum(piece.n_rows for piece in reuse.compared)
    return compared + sum(task.piece.n_rows for task in reuse.new)


def are_alike(seen: npt.NDArray[np.int64]) -> bool:
    """Return whether row groups have rows of one distribution, by a chi-squared test.

    Parameters
    ----------
    seen : (groups, cells) int64
        Rows of each in each cell; those of less than 5 expected rows are passed over.
    """
    if len(seen) < 2:
        return False
    expected = seen.sum(1, keepdims=True) * seen.sum(0, keepdims=True) / seen.sum()
    enough = expected.min(axis=0) >= 5
    freedom = (len(seen) - 1) * max(int(enough.sum()) - 1, 1)
    found = (seen[:, enough] - expected[:, enough]) ** 2 / expected[:, enough]
    return float(found.sum()) <= freedom + 3 * math.sqrt(2 * freedom)


def relative_error(n_parts: int, n_rows: float, doubt: float) -> float:
    """Return how far a part's share of all rows may be from that of so many, over 1/p."""
    return math.sqrt(2 * math.log(n_parts / doubt) * n_parts / max(n_rows, 1.0))


def rows_to_compare(n_rows: int, n_parts: int, tuning: SampleTuning) -> int:
    """Return how many rows show that the balance is kept, if the distribution is the same."""
    largest = math.sqrt(2 * math.log(max(n_parts, 2))) + 1
    wanted = math.sqrt(2 * math.log(n_parts / tuning.doubt)) + largest
    return math.ceil(n_parts * (wanted / (promised(n_rows, n_parts, tuning) - 1)) ** 2)


def file_mark(path: str, n_bytes: int, mark: str) -> str:
    """Return what a source file is recognised by: its name, size and time, not its place."""
    told = f"{path.rsplit('/', 1)[-1]}\0{n_bytes}\0{mark}"
    return hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def plan_reuse(
    source: Source,
    pieces: Sequence[Piece],
    keys: Sequence[SortKey],
    n_parts: int,
    known: KnownModel | None,
    tuning: Tuning,
) -> Reuse | None:
    """Return how a known model may serve a source; None if it can't be enough.

    Parameters
    ----------
    source : Source
        The dataset's footers.
    pieces : sequence of Piece
        The input partitions, in order.
    keys : sequence of SortKey
        The key.
    n_parts : int
        Number of output partitions.
    known : KnownModel, optional
        What is known.
    tuning : Tuning
        How much may be read.
    """
    how = tuning.sample
    if known is None or n_parts < 2 or not source.n_rows or not known.n_rows:
        return None
    probe = probe_at(known, keys, n_parts, tuning.order)
    if probe.has_cut or probe.step > how.known_step:
        return None
    marks = [file_mark(p, *s) for p, s in zip(source.files, source.stamps, strict=True)]
    is_old = [mark in known.files for mark in marks]
    groups = source.row_groups
    n_old = sum(g.n_rows for g in groups if is_old[g.file])
    most = int(how.known_share * source.n_rows)
    is_same = n_old == known.n_rows and source.n_rows - n_old <= most
    is_same &= not source.is_filtered  # what is known is of all of their rows
    is_old = is_old if is_same else [True] * len(is_old)
    old, new = _placed(source, pieces, is_old)
    tasks = _sampled(source, new, n_parts, known, tuning) if new else ()
    most -= source.n_rows - n_old if is_same else 0
    compared = _choose(source, keys, [g for g in old if groups[g].n_rows], most, n_parts, how)
    enough = rows_to_compare(source.n_rows, n_parts, how)
    if not is_same and sum(groups[g].n_rows for g in compared) < enough:
        return None
    if probe.has_heavy and not compared:
        return None
    return Reuse(
        known.as_sample(keys, list(old.values()), tuning.order),
        probe,
        tuple(source.piece(g, g + 1) for g in compared),
        tasks,
        is_same,
        n_parts,
        source.n_rows,
        how,
    )


Placed = dict[int, tuple[int, int, int]]


def _placed(
    source: Source, pieces: Sequence[Piece], is_old: Sequence[bool]
) -> tuple[Placed, Placed]:
    """Return the old row groups and the new ones: input partition, first row, and rows."""
    old: Placed = {}
    new: Placed = {}
    for part, piece in enumerate(pieces):
        row = 0
        for g in piece.groups:
            group = source.row_groups[g]
            (old if is_old[group.file] else new)[g] = part, row, group.n_rows
            row += group.n_rows
    return old, new


def _sampled(
    source: Source, new: Placed, n_parts: int, known: KnownModel, tuning: Tuning
) -> tuple[SampleTask, ...]:
    """Return what to draw from the row groups that are new: all are read, small in runs."""
    n_groups = len(new) + known.keys.num_rows // 100
    wanted = draws_needed(n_parts, n_groups, source.n_rows, tuning)
    of_run: dict[int, int] = {}
    begun = before = -2
    for g, (part, row, _) in new.items():
        goes_on = g == before + 1 and new[before][0] == part and row
        if not goes_on or sum(new[i][2] for i in range(begun, g)) >= tuning.sample.unit_rows:
            begun = g
        of_run[g] = begun
        before = g
    tasks = []
    for begin, run in groupby(new, of_run.__getitem__):
        stop = begin + sum(1 for _ in run)
        n_rows = sum(new[g][2] for g in range(begin, stop))
        if n_rows:
            n_draws = min(n_rows, math.ceil(wanted * n_rows / source.n_rows))
            draw = Draw(begin, *new[begin][:2], n_rows, n_draws)
            tasks.append(SampleTask(source.piece(begin, stop), (draw,)))
    return tuple(tasks)


def _choose(
    source: Source,
    keys: Sequence[SortKey],
    candidates: Sequence[int],
    most_rows: int,
    n_parts: int,
    tuning: SampleTuning,
) -> list[int]:
    """Return the row groups to compare; none where a few do not stand for the others.

    That is where their ranges lie apart, or where they have too many rows.
    """
    if not candidates:
        return []
    groups = source.row_groups
    ends = known_ends(source.ranges(keys[0].column))
    told = [ends[g] for g in candidates if g in ends]
    if len(told) < len(candidates) or overlap(told) < tuning.overlap:
        return []
    rows = [group.n_rows for group in groups]
    mean = sum(rows[g] for g in candidates) / len(candidates)
    fewest = min(tuning.fewest_compared, len(candidates))
    enough = rows_to_compare(source.n_rows, n_parts, tuning)
    wanted = max(fewest * mean, min(1.1 * enough + mean, most_rows))
    if fewest * mean > most_rows:
        return []
    return choose_evenly(candidates, rows, wanted, tuning.seed, fewest=fewest)
