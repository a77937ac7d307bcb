"""One table: whether Parquet files are parts of one, by the names of their columns."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import PurePath

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.io.storage import join, open_to_read
from dlsort.tuning import IoTuning

__all__ = ["of_no_one_table"]

_NUMBERS = re.compile(r"(?:\b|(?<=_))[0-9a-f]*\d[0-9a-f]*(?:\b|(?=_))|\d+", re.IGNORECASE)


def of_no_one_table(place: str, names: Iterable[str], tuning: IoTuning) -> list[str]:
    """Return what shows that files are not parts of one table; nothing if they may be.

    One file, whose footer can't be read; or two, each with a column that the
    other has not. Types may differ, and columns may be missing.

    Parameters
    ----------
    place : str
        A folder, or a prefix in a store.
    names : iterable of str
        Its Parquet files, by their paths there.
    tuning : IoTuning
        How many are compared.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        alike[_stem(name)].append(name)
    seen = [name for group in alike.values() for name in _spread(group, tuning.compared_files)]
    with ThreadPoolExecutor(tuning.footer_threads) as pool:
        columns = list(pool.map(lambda name: _columns(join(place, name)), seen))
    by_width = []
    for name, held in zip(seen, columns, strict=True):
        if held is None:
            return [name]
        if held is not _GONE:
            by_width.append((held, name))
    by_width.sort(key=lambda one: (len(one[0]), one[1]))
    for (few, one), (many, other) in pairwise(by_width):
        if not few <= many:
            return sorted((one, other))
    return []


_GONE: frozenset[str] = frozenset(["\0 gone"])


def _columns(path: str) -> frozenset[str] | None:
    """Return the names of a file's columns; None if its footer can't be read."""
    try:
        with open_to_read(path) as where:
            return frozenset(pq.read_schema(where).names)
    except FileNotFoundError:  # removed meanwhile
        return _GONE
    except (pa.ArrowException, OSError, ValueError):
        return None


def _stem(name: str) -> str:
    """Return a file's name without what distinguishes parts of one table.

    Examples
    --------
    >>> _stem("k=1/part-00000-6d3a12f0-c000.snappy.parquet"), _stem("orders_2024.parquet")
    ('part-#-#-#.snappy.parquet', 'orders_#.parquet')
    """
    return _NUMBERS.sub("#", PurePath(name).name)


def _spread(names: Sequence[str], most: int) -> Sequence[str]:
    """Return some of many names, the first and the last among them."""
    most = min(most, len(names))
    return [names[i * (len(names) - 1) // max(1, most - 1)] for i in range(most)]
