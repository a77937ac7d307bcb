"""Matrix: what readers see of dlsort's sorted copies of files, beside the files themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlsort import sort_dataset
from dlsort.errors import DlsortError
from readers.seen import Seen, see_all
from readers.written import write_all

__all__ = ["NOT_READ", "SAME", "Row", "rows_of"]

SAME = "same"
NOT_READ = "not read"

#: Cells by the readers; or what dlsort says, if it refuses the file.
Row = dict[str, str] | str


def rows_of(
    writers: Sequence[str], readers: Sequence[str], folder: Path
) -> dict[str, dict[str, Row]]:
    """Let writers write each of their types, sort the files, and let readers read both.

    Returns
    -------
    dict of str to dict of str to Row
        By the writers, and by their names of the types.
    """
    rows: dict[str, dict[str, Row]] = {}
    sources: list[Path] = []
    copies: list[Path] = []
    of_files: list[list[dict[str, str]]] = []
    for writer in writers:
        rows[writer] = {}
        (folder / writer).mkdir()
        for source, kinds in write_all(writer, folder / writer):
            copy = folder / f"{writer}-sorted" / source.stem
            try:
                sort_dataset(source, copy, by="id", partitions=1)
            except DlsortError as error:
                rows[writer] |= dict.fromkeys(kinds, _sentence(error, source))
                continue
            of_file: list[dict[str, str]] = [{} for _ in kinds]
            rows[writer] |= dict(zip(kinds, of_file, strict=True))
            sources.append(source)
            copies += copy.glob("*.parquet")
            of_files.append(of_file)
    for reader in readers:
        seen = see_all(reader, [*sources, *copies])
        pairs = zip(seen[: len(sources)], seen[len(sources) :], strict=True)
        for of_file, (of_source, of_copy) in zip(of_files, pairs, strict=True):
            for i, row in enumerate(of_file):
                row[reader] = _compare(of_source, of_copy, i)
    return rows


def _compare(source: list[Seen] | str, copy: list[Seen] | str, column: int) -> str:
    """Return in a few words how a copy differs from its source, ``"same"`` if it does not."""
    if isinstance(source, str):
        return NOT_READ if isinstance(copy, str) else "the copy only"
    if isinstance(copy, str):
        return f"the source only: {copy.splitlines()[0]}"
    before, after = source[column], copy[column]
    found = []
    if before.kind != after.kind:
        found.append(f"`{before.kind}` → `{after.kind}`")
    # each id is there once, so this is the one order
    if sorted(before.rows) != list(after.rows):
        found.append("other values")
    return ", ".join(found) or SAME


def _sentence(error: DlsortError, source: Path) -> str:
    """Return what an error says, without the places of this run."""
    words = str(error).splitlines()[0].replace(str(source), "the file")
    return words.replace("column 'x0'", "the column")
