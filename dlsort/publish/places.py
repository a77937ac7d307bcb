"""Places: where each part stands among the others of its dataset, and what is wrong with them.

The parts of one sort are numbered. Where rows were appended since, parts of several jobs stand
side by side, and those that nothing was put into are the same files still, which tell what they
told. So the first part that an append has written, its *lead*, lists all parts of the dataset,
in their order: runs of (job, first part, last part). The newest generation's list holds:

    generation 0   a0 a1 a2 a3            one sort; no list
    generation 1   a0 b1 a2 a3            b1 lists  a 0–0, b 1–1, a 2–3
    generation 2   a0 b1 a2 a3 c4         c4 lists  a 0–0, b 1–1, a 2–3, c 4–4
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dlsort.errors import BadKeyError
from dlsort.keys import SortKey
from dlsort.publish.manifest import Manifest, read_manifest

__all__ = ["Listed", "find_problems", "key_of_parts", "list_parts", "runs_of"]


@dataclass(frozen=True)
class Listed:
    """Which parts a dataset has, in order.

    Parameters
    ----------
    runs : tuple of (str, int, int)
        Parts of a job that follow one another: job, first and last number.
    """

    runs: tuple[tuple[str, int, int], ...]

    @property
    def n_parts(self) -> int:
        """How many there are."""
        return sum(last - first + 1 for _, first, last in self.runs)

    def place(self, manifest: Manifest) -> int | None:
        """Return a part's place from 0; None if it is none of them."""
        runs = self._of_jobs.get(manifest.job, [])
        i = bisect_right(runs, manifest.part, key=lambda run: run[0]) - 1
        if i < 0 or manifest.part > runs[i][1]:
            return None
        first, _, start = runs[i]
        return start + manifest.part - first

    @cached_property
    def _of_jobs(self) -> dict[str, list[tuple[int, int, int]]]:
        """Each job's runs, ascending: first and last part, and the place of the first."""
        found: dict[str, list[tuple[int, int, int]]] = {}
        start = 0
        for job, first, last in self.runs:
            found.setdefault(job, []).append((first, last, start))
            start += last - first + 1
        return {job: sorted(runs) for job, runs in found.items()}


def runs_of(parts: Iterable[tuple[str, int]]) -> tuple[tuple[str, int, int], ...]:
    """Return parts, in order, as runs of (job, first part, last part).

    Examples
    --------
    >>> runs_of([("a", 0), ("a", 1), ("b", 2), ("a", 3)])
    (('a', 0, 1), ('b', 2, 2), ('a', 3, 3))
    """
    runs: list[tuple[str, int, int]] = []
    for job, part in parts:
        if runs and runs[-1][0] == job and runs[-1][2] == part - 1:
            runs[-1] = (job, runs[-1][1], part)
        else:
            runs.append((job, part, part))
    return tuple(runs)


def list_parts(manifests: Sequence[Manifest]) -> tuple[Listed | None, Manifest | None]:
    """Return which parts a dataset should have, and the one that says so.

    None if there is none, or the one that listed them is not there.
    """
    if not manifests:
        return None, None
    newest = max(manifest.generation for manifest in manifests)
    if not newest:
        first = manifests[0]
        return Listed(((first.job, 0, first.n_parts - 1),)), first
    for manifest in manifests:
        if manifest.generation == newest and manifest.members:
            return Listed(tuple((job, a, b) for job, a, b in manifest.members)), manifest
    return None, None


def key_of_parts(
    src: str, parts: Sequence[tuple[str, int, Mapping[bytes, bytes] | None]]
) -> tuple[tuple[SortKey, ...], list[str]]:
    """Return the key in the footers of a dataset's parts, and what is wrong with them.

    Parameters
    ----------
    src : str
        The dataset.
    parts : sequence of (str, int, dict of bytes to bytes or None)
        Path, rows and metadata of each part.

    Raises
    ------
    BadKeyError
        If there is none.
    """
    found = [(path, n_rows, read_manifest(metadata)) for path, n_rows, metadata in parts]
    keys = next((manifest.by for _, _, manifest in found if manifest is not None), None)
    if keys is None:
        msg = (
            f"the footers of {src} do not say by what it is sorted, as those of dlsort do; "
            "give the key: by (--by)."
        )
        raise BadKeyError(msg)
    return keys, find_problems(found)


def find_problems(parts: Iterable[tuple[str, int, Manifest | None]]) -> list[str]:
    """Return what is wrong with a dataset's parts, a sentence each, by what they say.

    Parameters
    ----------
    parts : iterable of (path, rows, manifest)
        The files of the dataset, in order, with the rows that they hold.
    """
    found = list(parts)
    told = [manifest for _, _, manifest in found if manifest is not None]
    listed, by = list_parts(told)
    problems = [
        f"{path} does not say which part of what it is: no manifest."
        for path, _, manifest in found
        if manifest is None
    ]
    if listed is None or by is None:
        if told:
            newest = next(path for path, _, m in found if m and m.generation)
            problems.append(
                f"the part that lists all parts since rows were appended is missing: {newest} "
                "and others can't be told from those of other states, or of other sorts."
            )
        return problems
    lists = next(path for path, _, manifest in found if manifest is by)
    seen: dict[int, dict[int, tuple[str, Manifest]]] = {}
    last = -1, -1
    for path, n_rows, manifest in found:
        if manifest is None:
            continue
        place = listed.place(manifest)
        if by.generation and place is None:
            problems.append(
                f"{path} is none of the parts that {lists} lists: of another sort, or of the "
                "dataset before rows were appended."
            )
            continue
        if place is None or (not by.generation and manifest.n_parts != by.n_parts):
            problems.append(f"{path} is a part of another sort than {lists}.")
            continue
        files = seen.setdefault(place, {})
        if manifest.first_row in files:
            both = f"{files[manifest.first_row][0]} and {path}"
            problems.append(f"part {place} is there twice: {both}.")
        # Folders' names need not be in the order of the values that they tell.
        elif (place, manifest.first_row) < last and not manifest.partition_by:
            problems.append(f"{path} is part {place}, but stands after part {last[0]}.")
        if manifest.rows != n_rows:
            problems.append(f"{path} has {n_rows:,} rows, but had {manifest.rows:,}.")
        files.setdefault(manifest.first_row, (path, manifest))
        last = max(last, (place, manifest.first_row))
    # Of a part without rows there is no file in a folder.
    problems += [] if by.partition_by else _missing(listed.n_parts, seen)
    return problems + [why for place, of in sorted(seen.items()) for why in _gaps(place, of)]


def _gaps(part: int, files: Mapping[int, tuple[str, Manifest]]) -> Iterator[str]:
    """Yield what is missing of a part of one or more files, by their first rows."""
    stop, is_whole = 0, False
    for first_row, (path, manifest) in sorted(files.items()):
        if first_row > stop:
            yield f"rows {stop:,} to {first_row:,} of part {part} are missing, before {path}."
        stop, is_whole = first_row + manifest.rows, manifest.is_last
    if not is_whole:
        yield f"rows from {stop:,} on of part {part} are missing: its last file is not there."


def _missing(n_parts: int, seen: Collection[int]) -> list[str]:
    missing = [part for part in range(min(n_parts, len(seen) + 1_000_000)) if part not in seen]
    if not missing:
        return []
    shown = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
    which = f"part {shown} is" if len(missing) == 1 else f"parts {shown} are"
    return [f"{which} missing of {n_parts:,} (counted from 0)."]
