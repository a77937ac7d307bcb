"""What ``dlsort stats`` may be asked: its own flags."""

from __future__ import annotations

from dlsort.options.arguments import COUNT, FLAG, QUANTILE, VALUE, VALUE_PAIR
from dlsort.options.option import SortOption

__all__ = ["STATS"]

_KEYS = "; the columns of a key by commas, all or the first"

#: In the order of its help.
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
