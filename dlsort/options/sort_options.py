"""What a user may ask for of a sort of datasets: every option, once.

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
    CODEC,
    COMPRESSIONS,
    COUNT,
    CSV_FORM,
    DATASET,
    DISPLAY,
    FLAG,
    FLAG_OR_FORCE,
    FOLDER,
    FUNCTION,
    KEY,
    KEY_COLUMNS,
    LEVELS,
    LOCALE,
    PATH,
    PATHS,
    PATTERNS,
    PREDICATE,
    PROFILE_NAMES,
    RENAMED,
    SCHEMA,
    SHARE,
    SIZE,
    TYPES,
    WHOLE,
    one_of,
)
from dlsort.options.arguments import (
    COLUMNS as COLUMN_NAMES,
)
from dlsort.options.option import REQUIRED, SortOption
from dlsort.sizes import MIB
from dlsort.tuning import TUNING

__all__ = [
    "AGAINST",
    "BY",
    "COLLATE",
    "COLUMNS",
    "COMPRESSION",
    "CSV_OPTIONS",
    "DECRYPTION",
    "DRY_RUN",
    "DST",
    "FILES_SCHEMA",
    "HIVE_TYPES",
    "IF_EXISTS",
    "IGNORE",
    "IGNORE_CASE",
    "INPUT_FORMAT",
    "INPUT_SIZE",
    "LIMIT",
    "LOG_FORMAT",
    "MANIFEST",
    "MEMORY",
    "MERGE",
    "MODEL",
    "NAN_FIRST",
    "NAN_LAST",
    "NATURAL",
    "NUMERIC",
    "OFFSET",
    "OUTPUT_FORMAT",
    "OVERWRITE",
    "PARTITIONS",
    "PARTITION_BY",
    "PARTITION_SIZE",
    "PROFILE",
    "PROGRESS",
    "RENAME",
    "REPORT",
    "RESET",
    "RESUME",
    "REVERSE",
    "ROW_GROUP_ROWS",
    "SCHEDULER",
    "SHOW",
    "SINGLE_FILE",
    "SRC",
    "STRATEGY",
    "TARGET_FILE_SIZE",
    "TEMP_DIR",
    "THREADS",
    "UNIQUE",
    "UNIQUE_BY",
    "WHERE",
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
IGNORE_CASE = SortOption(
    "ignore_case",
    FLAG,
    "Text compares without regard to case (Unicode's case folding).",
    default=False,
)
NATURAL = SortOption(
    "natural",
    FLAG,
    "Numbers in text compare by their value: file2 is before file10.",
    default=False,
)
NUMERIC = SortOption(
    "numeric",
    FLAG,
    "Text compares as the number that it begins with, exactly; text that begins with none goes "
    "with the nulls.",
    default=False,
)
COLLATE = SortOption(
    "collate",
    LOCALE,
    "Text in the order of a language, as ICU has it (needs PyICU); with ``natural`` its "
    "numbers by their value.",
    otherwise="by Unicode's code points",
)
REVERSE = SortOption(
    "reverse",
    FLAG,
    "The whole order turned round: every direction, and the places of nulls and of NaN. Rows "
    "with equal keys keep their order.",
    default=False,
)
NAN_FIRST = SortOption(
    "nan_first",
    FLAG,
    "NaN before all numbers, in each key column of floats that has no place for it of its own.",
    default=False,
)
NAN_LAST = SortOption(
    "nan_last",
    FLAG,
    "NaN after all numbers, in each key column of floats that has no place for it of its own.",
    default=False,
)
COLUMNS = SortOption(
    "columns",
    COLUMN_NAMES,
    "Columns of the result, in this order, separated by commas. The key may name others.",
    otherwise="all of the source",
)
RENAME = SortOption(
    "rename",
    RENAMED,
    "What columns are called in the result, as in l_tax=tax,l_comment=note. All other options "
    "call them as the source does.",
)
WHERE = SortOption(
    "where",
    PREDICATE,
    'A condition in SQL: only rows for which it is true are sorted, as in "l_shipdate >= '
    "'1998-01-01' and l_returnflag in ('A', 'R')\".",
    otherwise="all rows",
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
UNIQUE = SortOption(
    "unique",
    one_of("first", "last"),
    "Keep one row of each key, the first or the last of the stable sort.",
    otherwise="all rows",
)
UNIQUE_BY = SortOption(
    "unique_by",
    KEY_COLUMNS,
    "The first columns of ``by``, of which ``unique`` keeps one row each: sorted by id,time, "
    "last by id is the latest row of each id.",
    otherwise="all columns of the key",
)
LIMIT = SortOption(
    "limit",
    COUNT,
    "Write the first so many rows of the sorted order, after ``unique``.",
    otherwise="all rows",
    unit="rows",
)
OFFSET = SortOption(
    "offset",
    WHOLE,
    "Pass over the first so many rows of the sorted order.",
    otherwise="0",
    unit="rows",
)
MERGE = SortOption(
    "merge",
    FLAG,
    "Each file is in the order of ``by`` already. Files that follow one another are copied "
    "as they are, whatever their footers claim; one that is not in order is refused.",
    default=False,
)
PARTITIONS = SortOption(
    "partitions",
    COUNT,
    "Number of files to write.",
    otherwise=f"files of about {TUNING.budget.partition_bytes // MIB} MiB in memory",
    unit="files",
)
PARTITION_SIZE = SortOption(
    "partition_size",
    SIZE,
    "Size of a file's rows in memory, as in 128MiB; not with ``partitions``.",
    unit="bytes",
)
TARGET_FILE_SIZE = SortOption(
    "target_file_size",
    SIZE,
    "Size of a file as it is written, as in 256MiB: files of about this size are made; not "
    "with ``partitions`` or ``partition_size``.",
    unit="bytes",
)
PARTITION_BY = SortOption(
    "partition_by",
    COLUMN_NAMES,
    "Columns that become folders, as in day=2024-01-01/country=de: they are not in the files, "
    "each of which is sorted, as the files of a folder are together. Not with ``partitions``.",
)
SINGLE_FILE = SortOption(
    "single_file",
    FLAG,
    "Write one file, not a folder; so does a ``dst`` that ends in .parquet and is no folder. "
    "Not with ``partition_by`` or ``target_file_size``, nor in an object store.",
    default=False,
)
OUTPUT_FORMAT = SortOption(
    "output_format",
    one_of("parquet", "arrow", "csv", "jsonl"),
    "What is written: Parquet, Arrow IPC, CSV, or JSON lines. A ``dst`` that ends as such a "
    "file does, and is no folder, becomes one; else a folder of files. - as ``dst`` is "
    "standard output, for all but Parquet.",
    otherwise="by the end of DST, such as .csv.gz, else parquet",
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
COMPRESSION = SortOption(
    "compression",
    CODEC,
    f"{', '.join(COMPRESSIONS[:-1])} or {COMPRESSIONS[-1]}; with a level, as in zstd:7, of "
    + ", ".join(f"{codec} {least} to {most}" for codec, (least, most) in LEVELS.items())
    + ".",
    otherwise="snappy, or the profile's",
)
PROFILE = SortOption(
    "profile",
    one_of(*PROFILE_NAMES),
    "Whom the files are for: encodings, codec, row groups and types that suit spark, duckdb, "
    "delta tables, readers of 2018 (legacy), or a small disk (compact).",
    "default",
)
ROW_GROUP_ROWS = SortOption(
    "row_group_rows",
    COUNT,
    "Rows of each row group of the files; more if a file would have over 16,384 of them.",
    otherwise=f"{TUNING.io.row_group_rows:,}, or the profile's",
    unit="rows",
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
MANIFEST = SortOption(
    "manifest",
    FLAG,
    "Have the files' footers tell of the sort: key, place among the files, checksum and some "
    "of the keys.",
    default=True,
    flag_help="Leave out of the files' footers what they tell of the sort: key, place among "
    "the files, checksum and some of the keys.",
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
