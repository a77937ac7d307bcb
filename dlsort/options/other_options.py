"""Options that sorts of datasets have not: of questions, of plans, of tables and arrays."""

from __future__ import annotations

from dlsort.options.arguments import (
    COUNT,
    DEPTH,
    FLAG,
    PATH,
    QUANTILE,
    VALUE,
    VALUE_PAIR,
    WHOLE,
    of_each,
    one_of,
)
from dlsort.options.option import REQUIRED, SortOption

__all__ = [
    "ASCENDING",
    "FORMAT",
    "MAX_DEPTH",
    "METHOD",
    "NAN_POSITION",
    "NA_POSITION",
    "OUTPUT",
    "OVERLAP",
    "STATS",
    "K",
]

# ---------------------------------------------------------------- distributions

_KEYS = "; the columns of a key by commas, all or the first"
STATS = (
    SortOption(
        "below",
        VALUE,
        f"How many rows come before this value in the order of ``by``{_KEYS}.",
    ),
    SortOption(
        "between",
        VALUE_PAIR,
        "How many rows are between two values, both included.",
    ),
    SortOption(
        "quantile", QUANTILE, "The key at this share of the rows, from 0 to 1.", unit="share"
    ),
    SortOption("quantiles", COUNT, "The keys that cut the rows into so many equal parts."),
    SortOption(
        "histogram",
        COUNT,
        "How many rows are in each of so many bins of one width, of a key of one column of "
        "numbers, dates or times.",
        unit="bins",
        metavar="BINS",
    ),
    SortOption(
        "exact",
        FLAG,
        "Read the row groups that the footers leave open; otherwise an answer has bounds.",
        default=False,
    ),
    SortOption("json", FLAG, "Write JSON.", default=False),
)

# ---------------------------------------------------------------- overlap

OVERLAP = SortOption(
    "overlap",
    FLAG,
    "Read no row: tell from the footers how many files, row groups, rows and bytes a lookup "
    "of a key touches.",
    default=False,
)
MAX_DEPTH = SortOption(
    "max_depth",
    DEPTH,
    "More row groups than that a lookup may not touch, on average; of a dataset in order it "
    "touches 1.",
    otherwise="any number",
    unit="row groups",
    flag_more="Exit code 1 if it does. Implies --overlap.",
)

# ---------------------------------------------------------------- plans

FORMAT = SortOption("format", one_of("text", "json", "html"), "text, json or html.", "text")
OUTPUT = SortOption(
    "output",
    PATH,
    "Write it there.",
    otherwise="standard output",
    metavar="FILE",
    short="-o",
)

# ---------------------------------------------------------------- tables and arrays

K = SortOption(
    "k",
    WHOLE,
    "Rows wanted; all of them, if the table has fewer.",
    REQUIRED,
    unit="rows",
)
ASCENDING = SortOption(
    "ascending",
    of_each(FLAG, of="sequence of bool"),
    "Smallest first; for all key columns or for each.",
    default=True,
)
NA_POSITION = SortOption(
    "na_position",
    of_each(one_of("last", "first"), of="a sequence of them"),
    "Where nulls go, in either direction.",
    default="last",
)
NAN_POSITION = SortOption(
    "nan_position",
    of_each(one_of("last", "first"), of="a sequence of them"),
    "Where NaN goes among the numbers: after all or before all of them, in either direction.",
    otherwise="with the nulls, as one of them",
)
METHOD = SortOption(
    "method",
    one_of("min", "dense", "first"),
    "What rows with equal keys get: how many rows have a smaller key; how many different keys "
    "are smaller; each its own place.",
    default="min",
)
