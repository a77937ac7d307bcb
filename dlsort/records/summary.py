"""What a validation finds, as valsort says and keeps it, and as parts are put together."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dlsort.records.format import KEY_BYTES, RECORD_BYTES

__all__ = ["SUMMARY_BYTES", "RecordsSummary"]

# Numbers of 128 bits, the upper half first, as valsort's have it on all machines of today: each
# half little-endian; then two records.
_FORM = struct.Struct(f"<10Q{RECORD_BYTES}s{RECORD_BYTES}s")
SUMMARY_BYTES = _FORM.size
_HALF = 64
_LOW = 2**_HALF - 1


@dataclass(frozen=True)
class RecordsSummary:
    """What :func:`validate_records` found of records, which are at least one.

    Parameters
    ----------
    n_records : int
        How many there are.
    checksum : int
        The sum of their CRC-32, which is the same in any order.
    n_duplicates : int
        Records with the key of the one before.
    n_unordered : int
        Records with a smaller key than the one before.
    first_unordered : int or None
        The first of these, counted from 0.
    first_record, last_record : bytes
        At both ends.
    """

    n_records: int
    checksum: int
    n_duplicates: int
    n_unordered: int
    first_unordered: int | None
    first_record: bytes
    last_record: bytes

    @property
    def ok(self) -> bool:
        """Whether all are in order."""
        return self.n_unordered == 0

    def followed_by(self, other: RecordsSummary) -> RecordsSummary:
        """Return the summary of these records and others behind them."""
        ends, begins = self.last_record[:KEY_BYTES], other.first_record[:KEY_BYTES]
        first = self.first_unordered
        if first is None and begins < ends:
            first = self.n_records
        if first is None and other.first_unordered is not None:
            first = self.n_records + other.first_unordered
        return RecordsSummary(
            self.n_records + other.n_records,
            self.checksum + other.checksum,
            self.n_duplicates + other.n_duplicates + (begins == ends),
            self.n_unordered + other.n_unordered + (begins < ends),
            first,
            self.first_record,
            other.last_record,
        )

    def to_text(self) -> str:
        """Return the words of valsort."""
        lines = [f"Records: {self.n_records}", f"Checksum: {self.checksum:x}"]
        if self.ok:
            lines.append(f"Duplicate keys: {self.n_duplicates}")
            lines.append("SUCCESS - all records are in order")
        else:
            lines.insert(0, f"First unordered record is record {self.first_unordered}")
            lines.append(f"ERROR - there are {self.n_unordered} unordered records")
        return "\n".join(lines)

    def to_bytes(self) -> bytes:
        """Return what ``valsort -o`` writes: 280 bytes.

        Examples
        --------
        >>> found = RecordsSummary(1, 7, 0, 0, None, b"a" * 100, b"a" * 100)
        >>> len(found.to_bytes()), RecordsSummary.from_bytes(found.to_bytes()) == found
        (280, True)
        """
        numbers = (
            self.first_unordered or 0,
            self.n_unordered,
            self.n_records,
            self.n_duplicates,
            self.checksum,
        )
        halves = [half for n in numbers for half in (n >> _HALF, n & _LOW)]
        return _FORM.pack(*halves, self.first_record, self.last_record)

    @classmethod
    def from_bytes(cls, data: bytes) -> RecordsSummary:
        """Return what such bytes say."""
        *halves, first_record, last_record = _FORM.unpack(data)
        pairs = zip(halves[::2], halves[1::2], strict=True)
        first, unordered, records, duplicates, checksum = (
            high << _HALF | low for high, low in pairs
        )
        is_any = first or None
        return cls(records, checksum, duplicates, unordered, is_any, first_record, last_record)
