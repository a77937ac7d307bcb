"""Problems: what is wrong with the parts of a sorted dataset, by what their footers say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from dlsort.errors import BadKeyError
from dlsort.keys import SortKey
from dlsort.publish.manifest import Manifest, read_manifest

__all__ = ["find_problems", "key_of_parts"]


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
    problems: list[str] = []
    first: tuple[str, Manifest] | None = None
    seen: dict[int, dict[int, tuple[str, Manifest]]] = {}
    last = -1, -1
    for path, n_rows, manifest in parts:
        if manifest is None:
            problems.append(f"{path} does not say which part of what it is: no manifest.")
            continue
        if first is None:
            first = path, manifest
        if (manifest.job, manifest.n_parts) != (first[1].job, first[1].n_parts):
            problems.append(f"{path} is a part of another sort than {first[0]}.")
            continue
        files = seen.setdefault(manifest.part, {})
        if manifest.first_row in files:
            both = f"{files[manifest.first_row][0]} and {path}"
            problems.append(f"part {manifest.part} is there twice: {both}.")
        # Folders' names need not be in the order of the values that they tell.
        elif (manifest.part, manifest.first_row) < last and not manifest.partition_by:
            after = f"but stands after part {last[0]}"
            problems.append(f"{path} is part {manifest.part}, {after}.")
        if manifest.rows != n_rows:
            problems.append(f"{path} has {n_rows:,} rows, but had {manifest.rows:,}.")
        files.setdefault(manifest.first_row, (path, manifest))
        last = max(last, (manifest.part, manifest.first_row))
    if first is not None:
        # Of a part without rows there is no file in a folder.
        problems += [] if first[1].partition_by else _missing(first[1].n_parts, seen)
        problems += [why for part, files in sorted(seen.items()) for why in _gaps(part, files)]
    return problems


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
