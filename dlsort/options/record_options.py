"""Options of what makes and validates the records of the sort benchmark."""

from __future__ import annotations

from dataclasses import replace

from dlsort.options.arguments import COUNT, FLAG, NUMBER, PATH, PATHS, RECORDS, one_of
from dlsort.options.file_options import PARTITIONS
from dlsort.options.option import REQUIRED, SortOption
from dlsort.options.sort_options import (
    MEMORY,
    PROGRESS,
    SCHEDULER,
    TEMP_DIR,
    THREADS,
    WORKERS,
)
from dlsort.sizes import MIB
from dlsort.tuning import TUNING

__all__ = ["GENERATE", "QUIET", "SORT", "SUMMARY", "VALIDATE"]

_SCHEDULER = replace(
    SCHEDULER,
    help="Run on this Dask cluster, as in tcp://host:8786. It must see the files under the "
    "same paths.",
)
_THREADS = replace(THREADS, help="Threads of this process.", otherwise="one a core", short="-t")
_OVERWRITE = SortOption(
    "overwrite",
    FLAG,
    "Replace ``dst``, if it is a file, or a folder of nothing but such files.",
    default=False,
)

GENERATE = (
    SortOption(
        "n",
        RECORDS,
        "How many records, of 100 bytes, as in 10M or 1e8.",
        REQUIRED,
        unit="records",
    ),
    SortOption(
        "dst",
        PATH,
        "A file; or a folder of files, if it ends in /, is a folder, or ``files`` is given. "
        "Standard output (-), a pipe or a device gets the records one after the other.",
        REQUIRED,
    ),
    SortOption(
        "ascii",
        FLAG,
        "Lines of text in the place of random bytes.",
        default=False,
        short="-a",
    ),
    SortOption(
        "skew",
        FLAG,
        "Many keys begin alike, with up to 6 bytes of one of some prefixes.",
        default=False,
        short="-s",
    ),
    SortOption(
        "start",
        NUMBER,
        "The number of the first record: parts that are made apart are the whole if they are "
        "put together.",
        default=0,
        short="-b",
    ),
    SortOption(
        "files",
        COUNT,
        "Into how many files of a folder.",
        otherwise="one for each GB",
        unit="files",
    ),
    SortOption(
        "checksum",
        FLAG,
        "Add up the CRC-32 of the records too.",
        default=False,
        flag_more="It is written to standard error.",
        short="-c",
    ),
    _SCHEDULER,
    _THREADS,
    _OVERWRITE,
)
VALIDATE = (
    SortOption(
        "src",
        PATHS,
        "A file of records, a folder of files in the natural order of their names, standard "
        "input (-), or several of these, one after the other.",
        REQUIRED,
    ),
    SortOption(
        "summaries",
        FLAG,
        "The files hold no records, but summaries of parts that were validated apart.",
        default=False,
        short="-s",
    ),
    _SCHEDULER,
    _THREADS,
)
SORT = (
    SortOption(
        "src",
        PATHS,
        "A file of records, a folder of files in the natural order of their names, or several "
        "of these.",
        REQUIRED,
    ),
    SortOption(
        "dst",
        PATH,
        "A folder to make, of files whose name order is the sort order; or one file, if it "
        "ends in .dat or is a file.",
        REQUIRED,
    ),
    _SCHEDULER,
    WORKERS,
    replace(THREADS, otherwise="one a core"),
    replace(
        PARTITIONS,
        help="Number of parts.",
        otherwise=f"parts of about {TUNING.records.partition_bytes // MIB} MiB",
        unit="parts",
    ),
    SortOption(
        "carry",
        one_of("auto", "keys", "records"),
        "What travels: of each record its key and its place, by which its part fetches it from "
        "the source; or whole records. auto: what costs least, by the memory that is free for "
        "the system's cache of files.",
        "auto",
    ),
    replace(
        MEMORY,
        help=f"{MEMORY.help} Pages of the source in the system's cache are not of it.",
    ),
    TEMP_DIR,
    _OVERWRITE,
    PROGRESS,
)
SUMMARY = SortOption(
    "summary",
    PATH,
    "Write a summary of the records there, to be put together with those of other parts.",
    metavar="FILE",
    short="-o",
)
QUIET = SortOption(
    "quiet", FLAG, "Write nothing; the exit code tells.", default=False, short="-q"
)
