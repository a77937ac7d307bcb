"""What a user may ask for of rows: which of them, by which order, with which columns."""

from __future__ import annotations

from dlsort.options.arguments import COLUMNS as COLUMN_NAMES
from dlsort.options.arguments import (
    COUNT,
    FLAG,
    KEY_COLUMNS,
    LOCALE,
    PREDICATE,
    RENAMED,
    WHOLE,
    one_of,
)
from dlsort.options.option import SortOption

__all__ = [
    "COLLATE",
    "COLUMNS",
    "IGNORE_CASE",
    "LIMIT",
    "MERGE",
    "NAN_FIRST",
    "NAN_LAST",
    "NATURAL",
    "NUMERIC",
    "OFFSET",
    "RENAME",
    "REVERSE",
    "UNIQUE",
    "UNIQUE_BY",
    "WHERE",
]

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
UNIQUE = SortOption(
    "unique",
    one_of("first", "last"),
    "Keep one row of each key, the first or the last of the stable sort.",
    otherwise="all rows",
    flag_more="Alone it is first.",
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
