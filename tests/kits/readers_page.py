"""Page of what readers see: ``docs/readers.md``, of the results of :mod:`readers.matrix`.

make readers
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from distributed import Client

from readers.engines import READERS, WRITERS, version, why_not
from readers.matrix import SAME, Row, rows_of

PAGE = Path(__file__).parents[2] / "docs" / "readers.md"

HEAD = """\
# What other readers see

Each writer below wrote columns of its types, dlsort sorted them by another column, and each
reader read both: the types as it names them, and the values in their order. Years are 1 to 9999
where the type has them. `make readers` writes this page; `tests/stories/test_reader_matrix.py`
compares it with the engines that are installed, and wants each to see the same.

| cell | the reader |
|---|---|
| same | sees the same type and the same values in the sorted copy |
| not read | reads neither the file nor the copy |
| the copy only | reads the copy, and not the file |
| `a` → `b` | sees another type in the copy |

INT96, in which Spark and older writers have timestamps, is the one that differs, on purpose.
pyarrow, Polars, DataFusion and pandas read it as nanoseconds, in which years before 1677 and
after 2262 become others. The copy has TIMESTAMP(MICROS), and the years that were meant. Spark
goes by its own metadata; of other writers' INT96 it sees a `timestamp_ntz` of the same values.

fastparquet is no reader here: of delta-packed integers (`DELTA_BINARY_PACKED`) and of decimals
that are stored as integers it reads wrong values without a word, whoever wrote them, and sorted
copies have both.
"""
_VERSIONS = "Written by and read with "


def page(rows: Mapping[str, Mapping[str, Row]], versions: Mapping[str, str]) -> str:
    """Return the page of what :func:`readers.matrix.rows_of` has found."""
    engines = ", ".join(f"{engine} {number}" for engine, number in versions.items())
    sections = [HEAD, f"{_VERSIONS}{engines}.\n"]
    for writer, of_writer in rows.items():
        read = {kind: row for kind, row in of_writer.items() if not isinstance(row, str)}
        refused = {kind: row for kind, row in of_writer.items() if isinstance(row, str)}
        sections.append(f"## {writer}\n\n{_table(read)}")
        if refused:
            lines = "".join(f"- `{kind}`: {why}\n" for kind, why in refused.items())
            sections.append(f"Refused:\n\n{lines}")
    return "\n".join(sections)


def _table(read: Mapping[str, Mapping[str, str]]) -> str:
    """Return a table with a line for the types that readers see alike."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for kind, row in read.items():
        alike.setdefault(tuple(row[reader] for reader in READERS), []).append(kind)
    lines = [["type", *READERS], ["---"] * (len(READERS) + 1)]
    for cells, kinds in sorted(alike.items(), key=lambda item: set(item[0]) != {SAME}):
        lines.append([", ".join(f"`{kind}`" for kind in kinds), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def told_versions(text: str) -> dict[str, str]:
    """Return the versions of the engines that a page is of."""
    line = next(line for line in text.splitlines() if line.startswith(_VERSIONS))
    told = line.removeprefix(_VERSIONS).removesuffix(".").split(", ")
    return dict(each.rsplit(" ", 1) for each in told)


def told_rows(text: str) -> dict[str, dict[str, Row]]:
    """Return what a page says."""
    rows: dict[str, dict[str, Row]] = {}
    for section in text.split("\n## ")[1:]:
        writer, _, body = section.partition("\n")
        rows[writer] = {}
        for line in body.splitlines():
            if found := re.match(r"- `(.*?)`: (.*)", line):
                rows[writer][found[1]] = found[2]
            elif line.startswith("| `"):
                kinds, *cells = line.strip("| ").split(" | ")
                row = dict(zip(READERS, cells, strict=True))
                rows[writer] |= dict.fromkeys(re.findall(r"`([^`]+)`", kinds), row)
    return rows


def main() -> None:
    """Write the page."""
    missing = [why for engine in WRITERS if (why := why_not(engine))]
    if missing:
        sys.exit(f"readers: {'; '.join(missing)}.")
    client = Client(processes=False, n_workers=1, dashboard_address=":0")
    with tempfile.TemporaryDirectory() as folder, client:
        rows = rows_of(WRITERS, READERS, Path(folder))
    PAGE.write_text(page(rows, {engine: version(engine) for engine in WRITERS}))


if __name__ == "__main__":
    main()
