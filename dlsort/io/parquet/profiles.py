"""Profiles: how files are written for those who read them, each in one row.

A profile changes how values are stored, never the values: a column of a type that its readers
can't have is refused. ``docs/sinks.md`` has the same table for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import holds
from dlsort.errors import BadOptionError
from dlsort.io.parquet.encodings import DELTA, PLAIN, Encodings
from dlsort.tuning import IoTuning

__all__ = ["PROFILES", "Profile", "check_profile"]


@dataclass(frozen=True)
class Profile:
    """How files are written.

    Parameters
    ----------
    compression : str
        Codec, if nobody gave one.
    row_group_rows : int
        Rows of a row group, if nobody gave them; 0: the tunable.
    encodings : tuple of str, optional
        What may be used beside dictionaries, of which pyarrow falls back to plain; None: all.
    version : str
        Of the format's types, as pyarrow has it.
    has_page_index : bool
        Whether pages have statistics of their own.
    integer_decimals : bool
        Whether decimals of up to 18 digits are stored as integers.
    is_smallest : bool
        Encodings are chosen by size, whatever they take.
    refused : tuple of str
        Kinds of values, of :data:`_KINDS`, that the readers can't have.
    """

    compression: str = "snappy"
    row_group_rows: int = 0
    encodings: tuple[str, ...] | None = None
    version: str = "2.6"
    has_page_index: bool = True
    integer_decimals: bool = True
    is_smallest: bool = False
    refused: tuple[str, ...] = ()

    def tuned(self, tuning: IoTuning) -> IoTuning:
        """Return how encodings are chosen."""
        if not self.is_smallest:
            return tuning
        costs = replace(tuning.costs, byte_ns=_BYTE_NS, larger=1.0)
        return replace(tuning, costs=costs)

    def allowed(self, chosen: Encodings) -> Encodings:
        """Return encodings, dictionaries in the place of those that may not be used."""
        if self.encodings is None:
            return chosen
        other = {path: e for path, e in chosen.other.items() if e in self.encodings}
        dictionary = {*chosen.dictionary, *(chosen.other.keys() - other.keys())}
        return Encodings(tuple(sorted(dictionary)), other)


# What makes a byte dearer than any time that it takes to save it.
_BYTE_NS = 1e6

_NANOSECONDS = "times in nanoseconds"
_TIMES = "times of day"
_UNSIGNED = "unsigned integers"
_DURATIONS = "durations"
_HALVES = "halffloat"
_WIDE = "decimals of more than 38 digits"

_KINDS = {
    _NANOSECONDS: lambda kind: (
        (pt.is_timestamp(kind) or pt.is_time64(kind)) and kind.unit == "ns"
    ),
    _TIMES: pt.is_time,
    _UNSIGNED: pt.is_unsigned_integer,
    _DURATIONS: pt.is_duration,
    _HALVES: pt.is_float16,
    _WIDE: lambda kind: pt.is_decimal(kind) and kind.precision > 38,
}

PROFILES: Mapping[str, Profile] = {
    "default": Profile(),
    "spark": Profile(
        encodings=(PLAIN, DELTA),
        refused=(_NANOSECONDS, _TIMES, _HALVES, _WIDE),
    ),
    "duckdb": Profile(compression="zstd", row_group_rows=122_880),
    "delta": Profile(
        encodings=(PLAIN, DELTA),
        refused=(_NANOSECONDS, _TIMES, _UNSIGNED, _DURATIONS, _HALVES, _WIDE),
    ),
    "legacy": Profile(
        encodings=(PLAIN,),
        version="2.4",
        has_page_index=False,
        integer_decimals=False,
        refused=(_NANOSECONDS, _DURATIONS, _HALVES),
    ),
    "compact": Profile(compression="zstd:15", row_group_rows=1_048_576, is_smallest=True),
}


def check_profile(schema: pa.Schema, name: str) -> None:
    """Raise if a column is of a type that a profile's readers can't have.

    Raises
    ------
    BadOptionError
    """
    for field in schema:
        for what in PROFILES[name].refused:
            if holds(field.type, _KINDS[what]):
                msg = (
                    f"profile (--profile) is {name!r}, whose readers can't have {what}, but "
                    f"{field.name!r} is of type {field.type}. Choose another profile, or cast "
                    "the column first."
                )
                raise BadOptionError(msg)
