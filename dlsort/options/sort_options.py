"""What a user may ask for of a sort of datasets: every option, once; those of rows and of
files stand in :mod:`dlsort.options.row_options` and :mod:`dlsort.options.file_options`.

An option has a name, a kind of value, a default, a unit and its help. From these follow

- the checks of what a caller gives (:func:`dlsort.options.doors.read_options`);
- the flags of the command, with their help (:mod:`dlsort.cli.flags_from_options`);
- the page ``docs/options.md``, which ``make options`` writes.

Signatures and docstrings of the doors repeat names, types and defaults for those who read
them there; a test compares them with these. :mod:`dlsort.options.doors` says who has which.
"""

from __future__ import annotations

from dlsort.options.arguments import (
    CLUSTER,
    COUNT,
    CSV_FORM,
    DATASET,
    DISPLAY,
    FLAG,
    FLAG_OR_FORCE,
    FOLDER,
    FUNCTION,
    KEY,
    PATH,
    PATHS,
    PATTERNS,
    SCHEMA,
    SHARE,
    SIZE,
    TYPES,
    one_of,
)
from dlsort.options.option import REQUIRED, SortOption
from dlsort.tuning import TUNING

__all__ = [
    "AGAINST",
    "BY",
    "CSV_OPTIONS",
    "DECRYPTION",
    "DRY_RUN",
    "DST",
    "FILES_SCHEMA",
    "HIVE_TYPES",
    "IF_EXISTS",
    "IGNORE",
    "INPUT_FORMAT",
    "INPUT_SIZE",
    "LOG_FORMAT",
    "MEMORY",
    "MODEL",
    "OVERWRITE",
    "PROGRESS",
    "REPORT",
    "RESET",
    "RESUME",
    "SCHEDULER",
    "SHOW",
    "SRC",
    "STRATEGY",
    "TEMP_DIR",
    "THREADS",
    "WORKERS",
]


# ---------------------------------------------------------------- datasets

SRC = SortOption(
    "src",
    PATHS,
    "A file of Parquet, CSV, JSON lines or Arrow IPC, a folder of them at any depth, a glob, a "
    "Delta or Iceberg table; ``-``: standard input; @FILE: what that file lists; or a list of "
    "such.",
    REQUIRED,
)
DST = SortOption(
    "dst",
    PATH,
    "A folder to make: the order of its files' names is the sort order; or one file, if it "
    "ends in .parquet.",
    REQUIRED,
)
BY = SortOption(
    "by",
    KEY,
    "Columns to sort by, most significant first, separated by commas: "
    "COLUMN[:asc|:desc][:nulls_first|:nulls_last][:nan_first|:nan_last]. A name with a comma "
    "or a colon stands in double quotes, as in '\"a,b\":desc,c', unless it is all that is "
    "given; struct.field is a field. NaN goes with the nulls unless it has a place. What has "
    "parentheses is computed, as in lower(name) or '(a + b):desc'; :natural, :numeric and "
    ":ignore_case say how text compares.",
    REQUIRED,
    flag_more="Given again, it names further columns.",
)
SCHEDULER = SortOption(
    "scheduler",
    CLUSTER,
    "Run on this Dask cluster, as in tcp://host:8786. It must see ``src`` and ``dst`` under "
    "the same paths.",
    otherwise="embedded: this process",
)
WORKERS = SortOption(
    "workers",
    COUNT,
    "Worker processes to start on this machine, instead of sorting in this one.",
    unit="processes",
)
THREADS = SortOption(
    "threads",
    COUNT,
    "Threads in all, of this process or of all workers together.",
    otherwise="what costs least, one a core at the most",
    unit="threads",
)
INPUT_SIZE = SortOption(
    "input_size",
    SIZE,
    "Size in memory of what a thread reads at once, as in 64MiB.",
    otherwise="what costs least, 128MiB at the most",
    unit="bytes",
)
STRATEGY = SortOption(
    "strategy",
    one_of("auto", "move", "range", "exchange"),
    "How files are made: move and range use the order of the source, as its footers tell it; "
    "exchange suits any. auto: what costs least.",
    "auto",
)
MEMORY = SortOption(
    "memory",
    SHARE,
    "Memory for the whole job, as in 4GiB, or as in 50% of what there is: the machine's, or "
    "the cluster's workers'. What does not fit goes to ``temp_dir``.",
    otherwise=f"{TUNING.budget.job_memory_share:.0%}",
    unit="bytes",
)
TEMP_DIR = SortOption(
    "temp_dir",
    FOLDER,
    "Existing folder for rows that do not fit the memory, outside of source and destination.",
    otherwise="the system's",
)
OVERWRITE = SortOption(
    "overwrite",
    FLAG_OR_FORCE,
    "Replace ``dst``, once the new one is proved, if it holds nothing but a Parquet dataset; "
    "with =force whatever it holds.",
    default=False,
)
RESUME = SortOption(
    "resume",
    FLAG,
    "Use what an earlier attempt has kept that was killed or lost its cluster; and keep "
    "what is finished if this one fails.",
    default=False,
)
IF_EXISTS = SortOption(
    "if_exists",
    one_of("fail", "skip", "resume", "replace"),
    "What to do about a ``dst`` that is there. fail: refuse it. skip: nothing, if it is the "
    "result of this sort (same source files, key and options) already; else as ``overwrite`` "
    "says. resume, replace: as ``resume`` and ``overwrite``.",
    otherwise="as overwrite and resume say",
)
FILES_SCHEMA = SortOption(
    "schema",
    SCHEMA,
    "union: columns that differ between files get a type that holds the values of all, and "
    "what a file has not is null. strict: a difference is refused. A file: its schema is "
    "taken, and refused where it can't hold a value. name:type,…: these columns have these "
    "types, and the others go by union.",
    default="union",
)
PROGRESS = SortOption(
    "progress",
    DISPLAY,
    "True: a live display on standard error, a line a phase off a terminal. An object with "
    "the methods phase, rows and finish is told as the job goes; a function, every event.",
    otherwise="none in Python, and a display for the command",
    flag_help="Say nothing until the end: no live display, nor a line a phase off a terminal.",
)
REPORT = SortOption(
    "report",
    PATH,
    "Write the report there too: a page with plots if it ends in .html (needs bokeh), text for "
    ".txt, else its figures as JSON; -: as JSON to standard output, and the report for people "
    "to standard error.",
    metavar="FILE.json",
)
DRY_RUN = SortOption(
    "dry_run",
    FLAG,
    "Tell the plan, and whether ``dst`` may be written; sort and write nothing.",
    default=False,
)
LOG_FORMAT = SortOption(
    "log_format",
    one_of("text", "json"),
    "text, or json: on standard error one JSON object a line for each event, warning and "
    "error, and nothing else.",
    "text",
)
SHOW = SortOption(
    "show",
    FLAG,
    "Measure nothing; show what was measured, and what the jobs since then have taught.",
    default=False,
)
RESET = SortOption(
    "reset",
    FLAG,
    "Measure nothing; remove what was measured, and the history of jobs.",
    default=False,
)
IGNORE = SortOption(
    "ignore",
    PATTERNS,
    "Files of the source to leave out, by a pattern of their names, of their paths in it, or "
    "of folders, as in '*.csv'.",
    default=(),
    flag_more="Given again, it leaves out more.",
)
HIVE_TYPES = SortOption(
    "hive_types",
    TYPES,
    "Types of the columns that folders such as day=2024-01-01 tell, as in "
    "day:date32,region:string.",
    otherwise="int32 if all values are such numbers, else text",
)
INPUT_FORMAT = SortOption(
    "input_format",
    one_of("parquet", "csv", "jsonl", "arrow"),
    "What the source's files are: Parquet, CSV, JSON lines, or Arrow IPC (Feather too).",
    otherwise="by the ends of their names, such as .csv.gz",
)
CSV_OPTIONS = SortOption(
    "csv_options",
    CSV_FORM,
    "How CSV is written, as in delimiter=;,header=false, or a YAML or JSON file: delimiter, "
    "quote, escape, header, names, null_values, encoding, decimal, timestamp_formats; several "
    "values are parted by |.",
    otherwise="commas, double quotes, a header, null as nothing without quotes",
)
DECRYPTION = SortOption(
    "decryption",
    FUNCTION,
    "What gives the keys of encrypted files: a function without arguments that returns "
    "pyarrow's FileDecryptionProperties. Each process imports and calls it itself. The result "
    "is not encrypted.",
)
MODEL = SortOption(
    "model",
    DATASET,
    "A dataset that dlsort has sorted by the same key, whose footers tell how keys are "
    "distributed: that is used in the place of a sample, if a small one shows that it holds. "
    "none: a sample, as for a first sort.",
    otherwise="what is to be replaced, if it is such a dataset",
)
AGAINST = SortOption(
    "against",
    PATHS,
    "Compare row count, columns and checksum of all rows with this dataset too.",
    metavar="SRC",
)
