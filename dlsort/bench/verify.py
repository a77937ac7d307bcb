"""Is a result all the source's rows, in order? Asked of every engine, outside its time.

Order is compared by Arrow, not by dlsort's own kernels.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.bench.engines import Work
from dlsort.io.storage import open_to_read
from dlsort.keys import SortKey
from dlsort.proof.checksum import Proof, prove, total
from dlsort.tuning import TUNING

__all__ = ["verdict"]


def verdict(work: Work, dst: Path, *, ordered: bool = True, same_types: bool = True) -> str:
    """Return "ok", or what is wrong with a result, in a few words.

    Parameters
    ----------
    work : Work
    dst : Path
        Folder of Parquet files, whose rows follow one another in natural order of their names.
    ordered : bool
        For engines that sort.
    same_types : bool
        For engines whose columns keep their types. Others' are cast to the source's, and where
        that can't be done only number and order of the rows are compared.
    """
    schema = _schema(work.files[0])
    result = _files(dst)
    expected = sum(_rows(path) for path in work.files)
    found = sum(_rows(str(path)) for path in result)
    if found != expected:
        return f"{found:,} rows of {expected:,}"
    try:
        proof = _proof(tuple(map(str, result)), None if same_types else schema)
        if proof != _proof_of_source(work.files, None if same_types else schema):
            return "other rows"
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        if same_types:
            return f"other columns: {str(error).splitlines()[0][:80]}"
    if not ordered:
        return "ok"
    last = None
    for path in result:
        keys = _keys(path, work.keys)
        if last is not None:
            keys = pa.concat_tables([last, keys])
        if not _in_order(keys, work.keys):
            return f"out of order in {path.name}"
        last = keys.slice(max(keys.num_rows - 1, 0))
    return "ok"


def _proof(paths: Sequence[str], schema: pa.Schema | None) -> Proof:
    """Return the proof of some files' rows, in columns of a schema's order and types."""
    return total(
        prove(table, TUNING.proof) for path in paths for table in _groups(path, schema)
    )


_proof_of_source = functools.cache(_proof)


def _groups(path: str, schema: pa.Schema | None) -> Iterator[pa.Table]:
    with open_to_read(path) as opened:
        file = pq.ParquetFile(opened)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            yield table if schema is None else table.select(schema.names).cast(schema)


def _schema(path: str) -> pa.Schema:
    """Return a file's schema, with text in a layout that everything can be cast to."""
    with open_to_read(path) as opened:
        schema = pq.ParquetFile(opened).schema_arrow
    return pa.schema(
        [
            (each.name, pa.large_string() if _is_text(each.type) else each.type)
            for each in schema
        ]
    )


def _files(folder: Path) -> list[Path]:
    """Return a result's files in the order of its rows: part.10 stands after part.2."""

    def by_number(path: Path) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", path.stem)]

    return sorted(folder.glob("*.parquet"), key=by_number)


def _rows(path: str) -> int:
    with open_to_read(path) as opened:
        return int(pq.ParquetFile(opened).metadata.num_rows)


def _keys(path: Path, keys: Sequence[SortKey]) -> pa.Table:
    """Read the key columns in layouts that Arrow can compare."""
    names = [key.column for key in keys]
    table = pq.ParquetFile(path).read(columns=names).select(names)
    plain = {
        field.name: pa.large_string() if _is_text(field.type) else field.type
        for field in table.schema
    }
    return table.cast(pa.schema(plain))


def _is_text(kind: Any) -> bool:
    if pt.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _in_order(table: pa.Table, keys: Sequence[SortKey]) -> bool:
    """Return whether no row is less than the row before it, key column by key column.

    Beside NaN, whose place differs from engine to engine, any value is in order.
    """
    if table.num_rows < 2:
        return True
    good: Any = pa.scalar(True)  # rows equal in every column are in order
    for i in reversed(range(table.num_columns)):
        column = table.column(i)
        before, after = column.slice(0, table.num_rows - 1), column.slice(1)
        is_less = pc.greater if keys[i].descending else pc.less
        less = pc.fill_null(is_less(before, after), False)
        equal = pc.fill_null(pc.equal(before, after), False)
        if column.null_count:
            first, second = pc.is_null(before), pc.is_null(after)
            either = (first, second) if keys[i].nulls_first else (second, first)
            less = pc.or_(less, pc.and_not(*either))
            equal = pc.or_(equal, pc.and_(first, second))
        if pt.is_floating(column.type):
            for side in (before, after):
                less = pc.or_(less, pc.fill_null(pc.is_nan(side), False))
        good = pc.or_(less, pc.and_(equal, good))
    return bool(pc.all(good, min_count=0).as_py())
