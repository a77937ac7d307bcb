"""What a user may ask for of the files that a sort writes."""

from __future__ import annotations

from dlsort.options.arguments import (
    BY_COLUMN,
    CODEC,
    COMPRESSIONS,
    COUNT,
    FLAG,
    LEVELS,
    PROFILE_NAMES,
    SIZE,
    one_of,
)
from dlsort.options.arguments import COLUMNS as COLUMN_NAMES
from dlsort.options.option import SortOption
from dlsort.sizes import MIB
from dlsort.tuning import TUNING

__all__ = [
    "COLUMN_OPTIONS",
    "COMPRESSION",
    "MANIFEST",
    "OUTPUT_FORMAT",
    "PARTITIONS",
    "PARTITION_BY",
    "PARTITION_SIZE",
    "PROFILE",
    "ROW_GROUP_ROWS",
    "SINGLE_FILE",
    "TARGET_FILE_SIZE",
]

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
COLUMN_OPTIONS = SortOption(
    "column_options",
    BY_COLUMN,
    "How single columns are written: a YAML or JSON file, or a mapping, that gives a column's "
    "name or a nested one's path its encoding, compression, statistics and "
    "bloom_filter, as in {l_comment: {compression: zstd:7, statistics: false}}.",
)
ROW_GROUP_ROWS = SortOption(
    "row_group_rows",
    COUNT,
    "Rows of each row group of the files; more if a file would have over 16,384 of them.",
    otherwise=f"{TUNING.io.row_group_rows:,}, or the profile's",
    unit="rows",
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
