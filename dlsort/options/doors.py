"""Who has which option: the functions, the commands, and what excludes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dlsort.errors import BadOptionError
from dlsort.options.arguments import FLAG, FRAMES
from dlsort.options.option import SortOption
from dlsort.options.other_options import (
    ASCENDING,
    FORMAT,
    METHOD,
    NA_POSITION,
    NAN_POSITION,
    OUTPUT,
    STATS,
    K,
)
from dlsort.options.sort_options import (
    AGAINST,
    BY,
    COMPRESSION,
    DECRYPTION,
    DST,
    FILES_SCHEMA,
    HIVE_TYPES,
    IGNORE,
    INPUT_SIZE,
    MANIFEST,
    MEMORY,
    MODEL,
    OVERWRITE,
    PARTITION_BY,
    PARTITION_SIZE,
    PARTITIONS,
    PROFILE,
    PROGRESS,
    REPORT,
    RESET,
    RESUME,
    ROW_GROUP_ROWS,
    SCHEDULER,
    SHOW,
    SINGLE_FILE,
    SRC,
    STRATEGY,
    TARGET_FILE_SIZE,
    TEMP_DIR,
    THREADS,
    WORKERS,
)

__all__ = ["COMMANDS", "DOORS", "EXCLUDE", "check_together", "read_options"]


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
        if values.get(one) is None or values.get(other) is None:
            continue
        if other == "threads" and _is_embedded(values[one]):
            continue  # those are this process's
        msg = f"{one} and {other} exclude each other; give one of them."
        raise BadOptionError(msg)


def _is_embedded(scheduler: object) -> bool:
    return isinstance(scheduler, str) and scheduler == "embedded"


_ALL_THREADS = replace(THREADS, otherwise="one a core")
_THREADS_HERE = replace(_ALL_THREADS, help="At most so many; the result does not depend on it.")

#: Each function's options, in the order of its signature.
DOORS: Mapping[str, tuple[SortOption, ...]] = {
    "sort_dataset": (
        SRC,
        DST,
        BY,
        SCHEDULER,
        WORKERS,
        THREADS,
        PARTITIONS,
        PARTITION_SIZE,
        TARGET_FILE_SIZE,
        PARTITION_BY,
        SINGLE_FILE,
        INPUT_SIZE,
        STRATEGY,
        MEMORY,
        TEMP_DIR,
        PROFILE,
        COMPRESSION,
        ROW_GROUP_ROWS,
        OVERWRITE,
        RESUME,
        FILES_SCHEMA,
        MANIFEST,
        IGNORE,
        HIVE_TYPES,
        DECRYPTION,
        MODEL,
        PROGRESS,
    ),
    "check_dataset": (
        SRC,
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        AGAINST,
        FILES_SCHEMA,
        replace(_ALL_THREADS, help="Threads that read."),
        IGNORE,
        HIVE_TYPES,
        DECRYPTION,
        PROGRESS,
    ),
    "distribution": (
        replace(SRC, kind=FRAMES, help=f"{SRC.help} Or a Dask frame."),
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        FILES_SCHEMA,
        IGNORE,
        HIVE_TYPES,
    ),
    "explain": (
        replace(SRC, kind=FRAMES, help=f"{SRC.help} Or a Dask frame."),
        BY,
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
        DECRYPTION,
    ),
    "sort_table": (BY, _THREADS_HERE),
    "top_k": (K, BY, _THREADS_HERE),
    "argsort": (ASCENDING, NA_POSITION, NAN_POSITION, _THREADS_HERE),
    "is_sorted": (ASCENDING, NA_POSITION, NAN_POSITION),
    "rank": (METHOD, ASCENDING, NA_POSITION, NAN_POSITION, _THREADS_HERE),
}

#: Each command's flags, in the order of its help.
COMMANDS: Mapping[str, tuple[SortOption, ...]] = {
    "sort": (*DOORS["sort_dataset"][2:], REPORT),
    "check": DOORS["check_dataset"][1:],
    "stats": (*DOORS["distribution"][1:2], *STATS, *DOORS["distribution"][2:]),
    "explain": (
        *(option for option in DOORS["explain"] if option.name not in ("src", "dst")),
        FORMAT,
        OUTPUT,
    ),
    "model": (
        replace(BY, default=None, otherwise="the one that dlsort's own files tell"),
        SortOption("json", FLAG, "Write JSON.", default=False),
    ),
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
}

EXCLUDE = (
    ("partitions", "partition_size"),
    ("target_file_size", "partitions"),
    ("target_file_size", "partition_size"),
    ("partition_by", "partitions"),
    ("scheduler", "workers"),
    ("scheduler", "threads"),
)
