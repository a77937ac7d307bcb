"""Layouts: how each leaf column of a source is stored, over all its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_text, is_wide
from dlsort.io.parquet.footers import Footer
from dlsort.io.schema.fit import Fit
from dlsort.tuning import IoTuning

__all__ = ["ColumnLayout", "layouts", "layouts_of", "readable_as_dictionary"]


class ColumnLayout(NamedTuple):
    """How one leaf column is stored over all files.

    Parameters
    ----------
    physical_type : str
        Parquet's type, such as ``INT64``.
    n_values : int
        Values in all.
    dictionary_bytes : int
        Size of all dictionary pages as stored.
    with_dictionary : int
        Values in column chunks that have a dictionary page.
    """

    physical_type: str
    n_values: int = 0
    dictionary_bytes: int = 0
    with_dictionary: int = 0

    def has_few_values(self, tuning: IoTuning) -> bool:
        """Whether its dictionaries are small beside its values."""
        return (
            self.with_dictionary == self.n_values > 0
            and self.dictionary_bytes <= tuning.dictionary_value_bytes * self.n_values
        )


def layouts_of(
    footers: Sequence[Footer],
    fits: Sequence[Fit | None],
    told: Mapping[str, pa.DataType],
) -> dict[str, ColumnLayout]:
    """Return how leaf columns are stored; of those that become another type, not as what.

    Columns that are told of files have few values, which a dictionary holds.
    """
    found = layouts((footer.leaves, footer.chunks) for footer in footers)
    changed = {name for fit in set(fits) if fit is not None for name in fit.differs}
    for path, layout in found.items() if changed else ():
        if path in changed or path.partition(".")[0] in changed:
            found[path] = layout._replace(physical_type="")
    n_rows = sum(int(footer.rows.sum()) for footer in footers) if told else 0
    for name, kind in told.items():
        is_number = pt.is_integer(kind) or pt.is_temporal(kind)
        stored_as = "BYTE_ARRAY" if is_text(kind) else "INT32" if is_number else ""
        found[name] = ColumnLayout(stored_as, n_rows, 0, n_rows)
    return found


def layouts(
    stored: Iterable[tuple[Sequence[Any], npt.NDArray[np.int64]]],
) -> dict[str, ColumnLayout]:
    """Return how each leaf column is stored, by its path.

    Parameters
    ----------
    stored : iterable of (leaves, chunks)
        Each file's leaf columns (``path`` and ``kind``) and column chunks, as of
        :func:`dlsort_kernels.sound_chunks`.

    Notes
    -----
    Time O(chunks); files whose leaves are one object are counted together.
    """
    by_leaves: dict[int, tuple[Sequence[Any], list[npt.NDArray[np.int64]]]] = {}
    for leaves, chunks in stored:
        by_leaves.setdefault(id(leaves), (leaves, []))[1].append(chunks)
    found: dict[str, ColumnLayout] = {}
    for leaves, of_files in by_leaves.values():
        chunks = np.concatenate(of_files)
        if not len(chunks):
            continue
        start, _, n_values, pages, _, _ = chunks.T.reshape(6, -1, len(leaves))
        has_dictionary = start < pages
        counts = (
            n_values.sum(axis=0),
            np.where(has_dictionary, pages - start, 0).sum(axis=0),
            np.where(has_dictionary, n_values, 0).sum(axis=0),
        )
        for leaf, *more in zip(leaves, *(each.tolist() for each in counts), strict=True):
            kind, *before = found.get(leaf.path, ColumnLayout(leaf.kind))
            found[leaf.path] = ColumnLayout(kind, *map(sum, zip(before, more, strict=True)))
    return found


def readable_as_dictionary(
    column: pa.Field, stored: Mapping[str, ColumnLayout], tuning: IoTuning
) -> bool:
    """Return whether a column of strings should stay a dictionary on its way through."""
    kind = column.type
    layout = stored.get(column.name)
    if layout is None or layout.physical_type != "BYTE_ARRAY" or is_wide(kind):
        return False
    return (is_text(kind) or is_binary(kind)) and layout.has_few_values(tuning)
