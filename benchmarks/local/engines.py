"""dlsort and its peers on one machine: each makes a case its own, then sorts it when called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.local.inputs import Case

__all__ = ["ENGINES", "Sort", "prepare"]

# Sorts the case; returns row numbers, or the sorted rows.
Sort = Callable[[], Any]


def prepare(engine: str, case: Case, threads: int) -> Sort | None:
    """Return what sorts a case with an engine, or None if the engine can't.

    What it takes to bring the values into the engine's own form is done here, untimed.
    """
    return ENGINES[engine](case, threads)


def _is_plain(case: Case) -> bool:
    """Return whether the case is one NumPy array."""
    return case.group != "table" and all(
        isinstance(v, np.ndarray) for v in case.columns.values()
    )


def _table(case: Case) -> pa.Table:
    return pa.table({k: pa.array(v, from_pandas=True) for k, v in case.columns.items()})


def _dlsort(case: Case, threads: int) -> Sort:
    import dlsort

    if case.group == "table":
        table = _table(case)
        by = [dlsort.SortKey(name, descending) for name, descending in case.by.items()]
        return lambda: dlsort.sort_table(table, by, threads=threads)
    columns = tuple(case.columns[name] for name in case.by)
    if len(columns) == 1:
        return lambda: dlsort.argsort(columns[0], threads=threads)
    ascending = [not descending for descending in case.by.values()]
    return lambda: dlsort.argsort(columns, ascending=ascending, threads=threads)


def _numpy(case: Case, threads: int) -> Sort | None:
    values = case.columns["key"] if _is_plain(case) else None
    return None if values is None else lambda: np.argsort(values)


def _numpy_stable(case: Case, threads: int) -> Sort | None:
    values = case.columns["key"] if _is_plain(case) else None
    return None if values is None else lambda: np.argsort(values, kind="stable")


def _numpy_sort(case: Case, threads: int) -> Sort | None:
    values = case.columns["key"] if _is_plain(case) else None
    return None if values is None else lambda: (np.sort(values), None)[1]


def _numpy_sort_stable(case: Case, threads: int) -> Sort | None:
    values = case.columns["key"] if _is_plain(case) else None
    return None if values is None else lambda: (np.sort(values, kind="stable"), None)[1]


def _pandas(case: Case, threads: int) -> Sort:
    if _is_plain(case) and case.columns["key"].dtype != np.float16:
        series = pd.Series(case.columns["key"])
        return lambda: series.sort_values(kind="stable").index.to_numpy()
    frame = _table(case).to_pandas(types_mapper=pd.ArrowDtype)
    ascending = [not descending for descending in case.by.values()]
    if case.group == "table":
        return lambda: frame.sort_values(list(case.by), ascending=ascending, kind="stable")
    return lambda: frame.sort_values(
        list(case.by), ascending=ascending, kind="stable"
    ).index.to_numpy()


def _polars_frame(case: Case) -> Any:
    import polars as pl

    columns = {
        name: pl.Series(name, values, nan_to_null=values.dtype.kind == "f")
        if isinstance(values, np.ndarray)
        else pl.Series(name, pl.from_arrow(values))
        for name, values in case.columns.items()
    }
    return pl.DataFrame(columns)


def _polars(case: Case, threads: int) -> Sort:
    frame = _polars_frame(case)
    descending = list(case.by.values())
    if case.group == "table":
        return lambda: frame.sort(list(case.by), descending=descending, nulls_last=True)
    if len(case.by) == 1:
        series = frame["key"]
        return lambda: series.arg_sort(nulls_last=True).to_numpy()
    import polars as pl

    order = pl.arg_sort_by(list(case.by), descending=descending, nulls_last=True)
    return lambda: frame.select(order).to_series().to_numpy()


def _polars_stable(case: Case, threads: int) -> Sort:
    frame = _polars_frame(case)
    descending = list(case.by.values())
    options: Any = {"descending": descending, "nulls_last": True, "maintain_order": True}
    if case.group == "table":
        return lambda: frame.sort(list(case.by), **options)
    with_rows = frame.with_row_index("row")
    return lambda: with_rows.sort(list(case.by), **options)["row"].to_numpy()


def _duckdb(case: Case, threads: int) -> Sort:
    import duckdb

    connection = duckdb.connect(config={"threads": threads})
    table = _table(case)
    if case.group != "table":
        table = table.append_column("row", pa.array(np.arange(case.n_rows)))
    # Its own storage, as Polars has its own: what is timed is the sort.
    connection.sql("SET preserve_insertion_order = true")
    connection.register("given", table)
    connection.sql("CREATE TABLE rows AS SELECT * FROM given")
    by = ", ".join(f'"{k}" {"DESC" if d else "ASC"} NULLS LAST' for k, d in case.by.items())
    what = "*" if case.group == "table" else "row"
    query = f"SELECT {what} FROM rows ORDER BY {by}"
    if case.group == "table":
        return lambda: connection.sql(query).to_arrow_table()
    return lambda: connection.sql(query).fetchnumpy()["row"]


def _pyarrow(case: Case, threads: int) -> Sort:
    table = _table(case)
    keys = [(k, "descending" if d else "ascending") for k, d in case.by.items()]
    if case.group == "table":
        return lambda: table.sort_by(keys)
    if len(keys) == 1:
        column = table.column(keys[0][0])
        return lambda: pc.array_sort_indices(column, order=keys[0][1]).to_numpy()
    return lambda: pc.sort_indices(table, sort_keys=keys).to_numpy()


ENGINES: dict[str, Callable[[Case, int], Sort | None]] = {
    "dlsort": _dlsort,
    "np.argsort": _numpy,
    "np.argsort stable": _numpy_stable,
    "np.sort": _numpy_sort,
    "np.sort stable": _numpy_sort_stable,
    "pandas": _pandas,
    "Polars": _polars,
    "Polars stable": _polars_stable,
    "DuckDB": _duckdb,
    "pyarrow": _pyarrow,
}
