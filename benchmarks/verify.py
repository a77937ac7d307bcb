"""Is a result all the source's rows, in order? Asked of every engine, outside its time."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.proof.checksum import Proof, prove, total
from dlsort.tuning import TUNING


def verdict(
    src: Path, dst: Path, by: tuple[str, ...], *, ordered: bool = True, same_types: bool = True
) -> str:
    """Return "ok", or what is wrong with a result, in a few words.

    ``ordered`` is for engines that sort; ``same_types`` for those whose columns
    keep their types, so that whole rows can be compared by their checksum.
    """
    expected, found = _count(src), _count(dst)
    if found != expected:
        return f"{found:,} rows of {expected:,}"
    if same_types and _proof(dst) != _proof_of_source(src):
        return "other rows"
    if not ordered:
        return "ok"
    last = None
    for path in _files(dst):
        keys = _keys(path, by)
        if last is not None:
            keys = pa.concat_tables([last, keys])
        if not _in_order(keys):
            return f"out of order in {path.name}"
        last = keys.slice(max(keys.num_rows - 1, 0))
    return "ok"


def _proof(folder: Path) -> Proof:
    groups = ((file, g) for file in _open(folder) for g in range(file.num_row_groups))
    return total(prove(file.read_row_group(g), TUNING.proof) for file, g in groups)


_proof_of_source = functools.cache(_proof)


def _open(folder: Path) -> list[pq.ParquetFile]:
    return [pq.ParquetFile(path) for path in sorted(folder.rglob("*.parquet"))]


def _files(folder: Path) -> list[Path]:
    """Return a result's files in the order of its rows: part.10 stands after part.2."""

    def by_number(path: Path) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", path.stem)]

    return sorted(folder.glob("*.parquet"), key=by_number)


def _count(folder: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def _keys(path: Path, by: tuple[str, ...]) -> pa.Table:
    """Read the key columns in layouts that Arrow can compare."""
    table = pq.read_table(path, columns=list(by)).select(list(by))
    plain = {
        field.name: pa.large_string() if _is_text(field.type) else field.type
        for field in table.schema
    }
    return table.cast(pa.schema(plain))


def _is_text(kind: Any) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _in_order(keys: pa.Table) -> bool:
    """Return whether no row is less than the row before it, key column by key column."""
    before, after = keys.slice(0, max(keys.num_rows - 1, 0)), keys.slice(1)
    good: Any = pa.scalar(True)  # rows equal in every column are in order
    for name in reversed(keys.column_names):
        less = pc.less(before[name], after[name])
        equal = pc.equal(before[name], after[name])
        good = pc.or_(less, pc.and_(equal, good))
    return bool(pc.all(good, min_count=0).as_py())
