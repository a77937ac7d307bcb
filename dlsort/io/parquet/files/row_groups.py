"""Row groups of files, with an estimate of their Arrow size."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.types as pt

from dlsort.io.parquet.footers import Footer
from dlsort.io.parquet.stored_schema import is_wanted
from dlsort.io.schema.fit import Fit
from dlsort.io.source import RowGroup

__all__ = ["find_groups"]


def find_groups(
    footers: Sequence[Footer],
    fits: Sequence[Fit | None],
    schema: pa.Schema,
    columns: Collection[str] | None = None,
) -> Iterator[RowGroup]:
    """Yield the row groups of all files, in order; sizes are of some columns, or of all."""
    widths = _widths(schema)
    for number, (footer, fit) in enumerate(zip(footers, fits, strict=True)):
        yield from _groups(footer, number, widths, fit, columns)


def _widths(schema: pa.Schema) -> dict[str, int]:
    """Return the bits of a value of each column that is flat and of a fixed width."""
    found = {}
    for column in schema:
        try:
            if not pt.is_nested(column.type):
                found[column.name] = column.type.bit_width
        except ValueError:
            pass  # variable width
    return found


def _groups(
    footer: Footer,
    file: int,
    widths: Mapping[str, int],
    fit: Fit | None,
    columns: Collection[str] | None,
) -> Iterator[RowGroup]:
    """Yield a file's row groups; their Arrow size is an estimate, exact for fixed widths."""
    chunks = iter(footer.chunks.tolist())
    missing = () if fit is None else fit.missing
    made = (name for name in missing if columns is None or name in columns)
    made_bytes = sum(widths.get(name, 32) for name in made) / 8
    is_read = [columns is None or is_wanted(leaf, columns) for leaf in footer.leaves]
    for index, n_rows in enumerate(footer.rows.tolist()):
        column_bytes: dict[str, int] = {}
        stored, arrow = 0, int(made_bytes * n_rows)
        for leaf, is_one, (start, stop, n_values, _, unpacked, _) in zip(
            footer.leaves, is_read, islice(chunks, len(footer.leaves)), strict=True
        ):
            if not is_one:
                continue
            path = leaf.path
            stored += stop - start
            if path in widths:
                arrow += n_values * widths[path] // 8
            else:
                arrow += max(unpacked, 4 * n_values)
            column_bytes[path] = column_bytes.get(path, 0) + stop - start
        yield RowGroup(file, index, n_rows, arrow, stored, column_bytes)
