"""Who has which option: the functions, the commands, and what excludes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlsort.errors import BadOptionError
from dlsort.options.arguments import FLAG, FRAMES
from dlsort.options.bench_options import BENCH
from dlsort.options.file_options import (
    COLUMN_OPTIONS,
    COMPRESSION,
    MANIFEST,
    OUTPUT_FORMAT,
    PARTITION_BY,
    PARTITION_SIZE,
    PARTITIONS,
    PROFILE,
    ROW_GROUP_ROWS,
    SINGLE_FILE,
    TARGET_FILE_SIZE,
)
from dlsort.options.option import SortOption
from dlsort.options.other_options import (
    ASCENDING,
    FORMAT,
    MAX_DEPTH,
    METHOD,
    NA_POSITION,
    NAN_POSITION,
    OUTPUT,
    OVERLAP,
    STATS,
    K,
)
from dlsort.options.record_options import GENERATE, QUIET, SORT, SUMMARY, VALIDATE
from dlsort.options.row_options import (
    COLLATE,
    COLUMNS,
    IGNORE_CASE,
    LIMIT,
    MERGE,
    NAN_FIRST,
    NAN_LAST,
    NATURAL,
    NUMERIC,
    OFFSET,
    RENAME,
    REVERSE,
    UNIQUE,
    UNIQUE_BY,
    WHERE,
)
from dlsort.options.sort_options import (
    AGAINST,
    BY,
    CSV_OPTIONS,
    DECRYPTION,
    DRY_RUN,
    DST,
    FILES_SCHEMA,
    HIVE_TYPES,
    IF_EXISTS,
    IGNORE,
    INPUT_FORMAT,
    INPUT_SIZE,
    LOG_FORMAT,
    MEMORY,
    MODEL,
    OVERWRITE,
    PROGRESS,
    REPORT,
    RESET,
    RESUME,
    SCHEDULER,
    SHOW,
    SRC,
    STRATEGY,
    TEMP_DIR,
    THREADS,
    WORKERS,
)

__all__ = ["COMMANDS", "DOORS", "EXCLUDE", "KEY_FLAGS", "check_together", "read_options"]


def read_options(door: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a door is given for its options, in their normal form.

    Raises
    ------
    BadKeyError, BadOptionError
        If one is not what it should be, or two exclude each other.
    """
    values = {option.name: option.read(given[option.name]) for option in DOORS[door]}
    check_together(values)
    return values


def check_together(values: Mapping[str, Any]) -> None:
    """Raise if two options are given that exclude each other.

    Raises
    ------
    BadOptionError
    """
    for one, other in EXCLUDE:
        if any(values.get(each) is None or values[each] is False for each in (one, other)):
            continue
        if other == "threads" and _is_embedded(values[one]):
            continue  # those are this process's
        msg = f"{one} and {other} exclude each other; give one of them."
        raise BadOptionError(msg)


def _is_embedded(scheduler: object) -> bool:
    return isinstance(scheduler, str) and scheduler == "embedded"


_OF_SORT = "what the sort was told, so that it is compared with what the result is to be."
_ALL_THREADS = replace(THREADS, otherwise="one a core")
_PARQUET = (
    "A Parquet file, a folder of them at any depth, a glob, a Delta or Iceberg table; or a "
    "list of such."
)
_THREADS_HERE = replace(_ALL_THREADS, help="At most so many; the result does not depend on it.")

_SORTED = replace(DST, help="A dataset that dlsort has sorted: it says by which key.")
_AS_THE_OTHERS = tuple(
    replace(option, default=None, otherwise="as the files that are there")
    for option in (COMPRESSION, ROW_GROUP_ROWS)
)
#: What is asked for of all key columns.
KEY_FLAGS = (IGNORE_CASE, NATURAL, NUMERIC, COLLATE, REVERSE, NAN_FIRST, NAN_LAST)

#: Each function's options, in the order of its signature.
DOORS: Mapping[str, tuple[SortOption, ...]] = {
    "sort_dataset": (
        SRC,
        DST,
        BY,
        *KEY_FLAGS,
        COLUMNS,
        RENAME,
        WHERE,
        UNIQUE,
        UNIQUE_BY,
        LIMIT,
        OFFSET,
        MERGE,
        SCHEDULER,
        WORKERS,
        THREADS,
        PARTITIONS,
        PARTITION_SIZE,
        TARGET_FILE_SIZE,
        PARTITION_BY,
        SINGLE_FILE,
        OUTPUT_FORMAT,
        INPUT_SIZE,
        STRATEGY,
        MEMORY,
        TEMP_DIR,
        PROFILE,
        COMPRESSION,
        ROW_GROUP_ROWS,
        COLUMN_OPTIONS,
        OVERWRITE,
        RESUME,
        IF_EXISTS,
        FILES_SCHEMA,
        MANIFEST,
        IGNORE,
        HIVE_TYPES,
        INPUT_FORMAT,
        CSV_OPTIONS,
        DECRYPTION,
        MODEL,
        PROGRESS,
    ),
    "append_dataset": (
        replace(
            SRC, help="What is appended: whatever can be sorted, in any order of its rows."
        ),
        _SORTED,
        SCHEDULER,
        WORKERS,
        THREADS,
        MEMORY,
        TEMP_DIR,
        *_AS_THE_OTHERS,
        COLUMN_OPTIONS,
        RESUME,
        replace(
            FILES_SCHEMA,
            help=f"{FILES_SCHEMA.help} What would change columns of ``dst`` is refused.",
        ),
        IGNORE,
        HIVE_TYPES,
        INPUT_FORMAT,
        CSV_OPTIONS,
        DECRYPTION,
        PROGRESS,
    ),
    "compact_dataset": (
        _SORTED,
        replace(
            PARTITION_SIZE,
            help="Size of a file's rows in memory, as in 128MiB.",
            otherwise="as before",
        ),
        replace(SCHEDULER, help=SCHEDULER.help.replace("``src`` and ``dst``", "``dst``")),
        WORKERS,
        THREADS,
        MEMORY,
        TEMP_DIR,
        *_AS_THE_OTHERS,
        COLUMN_OPTIONS,
        RESUME,
        PROGRESS,
    ),
    "check_dataset": (
        SRC,
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        *KEY_FLAGS,
        AGAINST,
        replace(COLUMNS, help=f"Of ``against``: {_OF_SORT}", otherwise="all"),
        replace(RENAME, help=f"Of ``against``: {_OF_SORT}"),
        replace(WHERE, help=f"Of ``against``: {_OF_SORT}", otherwise="all rows"),
        FILES_SCHEMA,
        replace(_ALL_THREADS, help="Threads that read."),
        IGNORE,
        HIVE_TYPES,
        replace(INPUT_FORMAT, help=f"{INPUT_FORMAT.help} Of ``against`` if that is given."),
        CSV_OPTIONS,
        DECRYPTION,
        PROGRESS,
    ),
    "measure_overlap": (
        SRC,
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        MAX_DEPTH,
        FILES_SCHEMA,
        IGNORE,
        HIVE_TYPES,
        DECRYPTION,
    ),
    "distribution": (
        replace(SRC, kind=FRAMES, help=f"{_PARQUET} Or a Dask frame."),
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        FILES_SCHEMA,
        IGNORE,
        HIVE_TYPES,
    ),
    "explain": (
        replace(SRC, kind=FRAMES, help=f"{SRC.help} Or a Dask frame."),
        BY,
        *KEY_FLAGS,
        COLUMNS,
        RENAME,
        WHERE,
        UNIQUE,
        UNIQUE_BY,
        LIMIT,
        OFFSET,
        MERGE,
        replace(DST, default=None, help="Where the files would go, to be checked too."),
        SCHEDULER,
        WORKERS,
        THREADS,
        PARTITIONS,
        PARTITION_SIZE,
        INPUT_SIZE,
        STRATEGY,
        replace(MEMORY, help=MEMORY.help.partition(" What does not fit")[0]),
        FILES_SCHEMA,
        IGNORE,
        HIVE_TYPES,
        INPUT_FORMAT,
        CSV_OPTIONS,
        DECRYPTION,
    ),
    "inspect_dataset": (
        SRC,
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        IGNORE,
        HIVE_TYPES,
    ),
    "sort_table": (BY, *KEY_FLAGS, _THREADS_HERE),
    "top_k": (K, BY, *KEY_FLAGS, _THREADS_HERE),
    "argsort": (ASCENDING, NA_POSITION, NAN_POSITION, _THREADS_HERE),
    "is_sorted": (ASCENDING, NA_POSITION, NAN_POSITION),
    "rank": (METHOD, ASCENDING, NA_POSITION, NAN_POSITION, _THREADS_HERE),
    "generate_records": GENERATE,
    "sort_records": SORT,
    "validate_records": VALIDATE,
}

#: Each command's flags, in the order of its help.
COMMANDS: Mapping[str, tuple[SortOption, ...]] = {
    "sort": (*DOORS["sort_dataset"][2:], REPORT, DRY_RUN, LOG_FORMAT),
    "append": DOORS["append_dataset"][2:],
    "compact": DOORS["compact_dataset"][1:],
    "check": (*DOORS["check_dataset"][1:], OVERLAP, MAX_DEPTH),
    "stats": (*DOORS["distribution"][1:2], *STATS, *DOORS["distribution"][2:]),
    "explain": (
        *(option for option in DOORS["explain"] if option.name not in ("src", "dst")),
        FORMAT,
        OUTPUT,
    ),
    "inspect": (
        *DOORS["inspect_dataset"][1:],
        SortOption("json", FLAG, "Write JSON.", default=False),
    ),
    "config": (
        SortOption("json", FLAG, "Write JSON.", default=False),
        SortOption(
            "example",
            FLAG,
            "Write a YAML file with every option that can be set, and what it does, for "
            "~/.config/dask/dlsort.yaml.",
            default=False,
        ),
    ),
    "model": (
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        SortOption("json", FLAG, "Write JSON.", default=False),
    ),
    "bench": BENCH,
    "tune": (
        SHOW,
        RESET,
        replace(
            SCHEDULER,
            help="Address of a running Dask cluster: each of its hosts is measured, once, and "
            "keeps what is measured.",
            otherwise="this machine",
        ),
        replace(
            TEMP_DIR,
            help="Existing folder on the disk to measure; up to 200 MB are written there.",
        ),
    ),
    "gensort": DOORS["generate_records"][2:],
    "terasort": (
        *DOORS["sort_records"][2:],
        replace(REPORT, help="Write the report there too, as JSON; -: to standard output."),
    ),
    "valsort": (*DOORS["validate_records"][1:], SUMMARY, QUIET),
}

EXCLUDE = (
    ("partitions", "partition_size"),
    ("target_file_size", "partitions"),
    ("target_file_size", "partition_size"),
    ("partition_by", "partitions"),
    ("partition_by", "unique"),
    ("partition_by", "limit"),
    ("partition_by", "offset"),
    ("scheduler", "workers"),
    ("scheduler", "threads"),
    ("numeric", "ignore_case"),
    ("numeric", "natural"),
    ("numeric", "collate"),
    ("nan_first", "nan_last"),
)
