"""Options of ``dlsort bench``, some of which are those of sorts."""

from __future__ import annotations

from dataclasses import replace

from dlsort.options.arguments import COLUMNS, COUNT, FLAG, PATH, PRICE, one_of
from dlsort.options.option import SortOption
from dlsort.options.sort_options import BY, MEMORY, PROGRESS, SCHEDULER, TEMP_DIR, THREADS

__all__ = ["BENCH"]

#: In the order of the help.
BENCH = (
    SortOption(
        "suite",
        one_of("sort", "terasort", "frames", "all"),
        "sort: Parquet to Parquet; terasort: the 100-byte records of sortbenchmark.org; "
        "frames: persisted Dask frames; or all.",
        "sort",
    ),
    SortOption(
        "data",
        PATH,
        "Your own Parquet data, instead of tables that are made; with ``by``. Of the suites "
        "sort and frames.",
        otherwise="tables that are made",
        metavar="SRC",
    ),
    replace(BY, default=None, help=f"Of ``data``: {BY.help}"),
    SortOption(
        "against",
        COLUMNS,
        "Engines to compare with, some of dask, polars and duckdb; copy, which sorts nothing, "
        "is always there.",
        otherwise="those that are installed",
        metavar="NAME,…",
    ),
    SortOption(
        "rows", COUNT, "Rows, or records, of each table that is made.", 5_000_000, unit="rows"
    ),
    SortOption(
        "rounds",
        COUNT,
        "Rounds after the cold one, in each of which every engine has a turn.",
        3,
        unit="rounds",
    ),
    replace(
        SCHEDULER,
        help="Run dlsort and Dask on this Dask cluster, as in tcp://host:8786; the others "
        "run here. All must see ``data`` and ``temp_dir`` under the same paths.",
        otherwise="this machine",
    ),
    replace(
        THREADS,
        help="Threads of each engine on this machine.",
        otherwise="one a core",
    ),
    replace(
        MEMORY,
        help="Memory of each engine on this machine, as in 4GiB or 50%. Polars takes no limit.",
    ),
    replace(
        TEMP_DIR,
        help="Existing folder for made data and results, which are removed, and for what does "
        "not fit the memory.",
    ),
    SortOption(
        "keep_data",
        FLAG,
        "Keep made data in dlsort-bench-data, in ``temp_dir`` or here, for the next time.",
        default=False,
    ),
    SortOption(
        "price",
        PRICE,
        "Dollars an hour for a machine, of which dollars a TB follow.",
        otherwise="no dollars are told",
        unit="dollars an hour",
    ),
    SortOption(
        "out",
        PATH,
        "The page; a JSON file of the same name is written beside it.",
        "dlsort-bench.html",
        metavar="FILE.html",
    ),
    PROGRESS,
)
