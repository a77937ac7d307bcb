"""The encodings of the parts: those of the source's footers, corrected by a part's own rows.

pyarrow's default writes a dictionary for every column and falls back to plain
pages when it has grown too large: the slow way for a column of mostly distinct
values, and twice the bytes. The source's footers show which columns are worth
a dictionary; integers and what is stored as them are delta-packed otherwise.
On TPC-H lineitem that halves the writer's time at a smaller file (DESIGN.md).
Then, for each part::

    sample       runs of 129 neighbouring rows, spread evenly over the part
    candidates   for each column the encodings of its type: bytes a value, from the sample
                 (encoded_sizes), and what writing them takes (dlsort.tuning.WriteCosts)
    choice       of those no larger than pyarrow's default by more than 5 % the cheapest

The footers of the source can't know what sorting brings together, and say little where its
writer made no dictionaries. Nested columns, dictionaries, booleans and small parts keep what
the footers say. The same rows give the same choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_variable
from dlsort.arrow.made import array_of
from dlsort.arrow.views import bytes_views, fixed_view, nulls, raw_view
from dlsort.io.parquet.encoded_sizes import (
    Numbers,
    Runs,
    changes_of,
    compressed_bytes,
    delta_bytes,
    distinct_values,
    index_bytes,
    split_bytes,
    text_sizes,
)
from dlsort.io.parquet.files.layouts import ColumnLayout
from dlsort.tuning import IoTuning

__all__ = ["Encodings", "choose_encodings", "encodings_of_part"]

DELTA_TYPES = ("INT32", "INT64")
DECIMAL_AS_INTEGER = 18  # digits that fit a 64-bit integer

RUN_ROWS = 129  # whose 128 differences are one block of DELTA_BINARY_PACKED
DICTIONARY_PAGE_BYTES = 2**20  # where pyarrow gives a dictionary up
INT32_DIGITS = 9
DAY_MS = 86_400_000

PLAIN, DICTIONARY = "PLAIN", "DICTIONARY"
DELTA, SPLIT = "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"
DELTA_LENGTH, DELTA_TEXT = "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"


class _Candidate(NamedTuple):
    """An encoding, its bytes a value and the nanoseconds a value that it takes beyond PLAIN."""

    encoding: str
    n_bytes: float
    ns: float


@dataclass(frozen=True)
class _Sampled:
    """The sampled values of a column that are not null, and what is to be written of it.

    Parameters
    ----------
    array : pyarrow.Array
        (m,) values.
    runs : Runs
        (m,) where they come from.
    n_values : float
        Values of a column chunk.
    codec : pyarrow.Codec or None
        Of its pages.
    thorough : bool
        Whether that is a slow one.
    tuning : IoTuning
        What writing takes.
    """

    array: pa.Array
    runs: Runs
    n_values: float
    codec: pa.Codec | None
    thorough: bool
    tuning: IoTuning


@dataclass(frozen=True)
class _Different:
    """How many different values a column chunk has.

    Parameters
    ----------
    n_chunk : float
        In a column chunk, of ``n_values`` values.
    n_seen : int
        Among the ``n_sampled`` values of the sample.
    changes : float
        The share of rows that differ from the row before.
    most_bytes : float
        Of a dictionary that is tried.
    """

    n_chunk: float
    n_values: float
    n_seen: int
    n_sampled: int
    changes: float
    most_bytes: float

    @classmethod
    def of(cls, values: pa.Array, sampled: _Sampled) -> _Different:
        """Count them."""
        numbered = values.dictionary_encode()
        code = numbered.indices.to_numpy()
        changes = changes_of(code, sampled.runs)
        n_chunk = distinct_values(code, changes, sampled.runs, sampled.n_values)
        seen = len(numbered.dictionary)
        most_bytes = sampled.tuning.costs.dictionary_fill * DICTIONARY_PAGE_BYTES
        return cls(n_chunk, sampled.n_values, seen, len(code), changes, most_bytes)

    @property
    def share(self) -> float:
        """Different values over all."""
        return self.n_chunk / self.n_values

    def fits(self, width: float) -> bool:
        """Return whether a dictionary stays within its page, so that no values fall back."""
        return self.n_chunk * width <= self.most_bytes

    def dictionary_bytes(self, width: float, plain_bytes: float) -> float:
        """Return the bytes a value of a dictionary with its indices.

        It compresses no better than all values do as PLAIN, to ``plain_bytes``.
        """
        ratio = min(1.0, plain_bytes * self.n_sampled / (self.n_seen * width))
        return self.share * width * ratio + index_bytes(self.n_chunk, self.changes)


@dataclass(frozen=True)
class Encodings:
    """What the writer uses; columns without are plain.

    Parameters
    ----------
    dictionary : tuple of str
        Paths of the leaf columns that get a dictionary.
    other : dict of str to str
        Parquet's name of the encoding of other leaf columns, by path.
    """

    dictionary: tuple[str, ...]
    other: dict[str, str]


def choose_encodings(
    schema: pa.Schema, stored: Mapping[str, ColumnLayout], tuning: IoTuning
) -> Encodings:
    """Return the encodings of the result from how the source is stored."""
    dictionary: list[str] = []
    other: dict[str, str] = {}
    kinds = dict(zip(schema.names, schema.types, strict=True))
    for path, layout in stored.items():
        kind = kinds.get(path)
        if layout.has_few_values(tuning) or (kind is not None and pt.is_dictionary(kind)):
            dictionary.append(path)
        elif layout.physical_type in DELTA_TYPES or (
            kind is not None and pt.is_decimal(kind) and kind.precision <= DECIMAL_AS_INTEGER
        ):
            other[path] = "DELTA_BINARY_PACKED"
    return Encodings(tuple(dictionary), other)


def encodings_of_part(
    table: pa.Table,
    of_source: Encodings,
    tuning: IoTuning,
    *,
    row_group_rows: int,
    compression: str,
) -> Encodings:
    """Return the encodings that suit a part's rows.

    Parameters
    ----------
    table : pyarrow.Table
        The part, sorted, in transport types.
    of_source : Encodings
        Those by the source's footers, for columns of which the rows say nothing.
    tuning : IoTuning
        What writing takes, and how many rows are looked at.
    row_group_rows : int
        Rows of a row group: each has its own dictionaries.
    compression : str
        Codec of the pages, by Parquet's name in lower case.

    Notes
    -----
    Time O(sample), whatever the part's size (DESIGN.md).
    """
    if table.num_rows < tuning.encoding_rows:
        return of_source
    every = frozenset(table.column_names)
    names = [name for name in table.column_names if _is_judged(table, name, every, tuning)]
    sample, runs = _sample(table.select(names), tuning.encoding_runs)
    dictionary, other = set(of_source.dictionary), dict(of_source.other)
    thorough = compression in tuning.costs.thorough_codecs
    codec = _quickest(compression, has_levels=thorough)
    for name, column in zip(names, sample.columns, strict=True):
        array = column.chunk(0)
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        missing = nulls(array)
        valid = runs if missing is None else Runs(runs.number[~missing])
        if len(valid) < RUN_ROWS:  # too few to judge by
            continue
        n_values = min(row_group_rows, table.num_rows) * len(valid) / len(runs)
        chosen = _choose(_Sampled(array.drop_null(), valid, n_values, codec, thorough, tuning))
        dictionary.discard(name)
        other.pop(name, None)
        if chosen == DICTIONARY:
            dictionary.add(name)
        elif chosen != PLAIN:
            other[name] = chosen
    return Encodings(tuple(sorted(dictionary)), other)


def _is_judged(table: pa.Table, name: str, every: frozenset[str], tuning: IoTuning) -> bool:
    """Return whether a column's own rows decide, and its path names no other column."""
    kind = table.schema.field(name).type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pt.is_nested(kind) or pt.is_dictionary(kind) or pt.is_boolean(kind) or pt.is_null(kind):
        return False
    if "." in name and not every.isdisjoint(_above(name)):
        return False
    column = table.column(name)
    return not is_variable(kind) or column.nbytes <= tuning.encoding_value_bytes * len(column)


def _above(name: str) -> Iterator[str]:
    """Yield the names of the structs of which a column of this name could be a field."""
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(1, len(parts)))


def _sample(table: pa.Table, n_runs: int) -> tuple[pa.Table, Runs]:
    """Return runs of neighbouring rows, spread evenly, and the run of each row."""
    starts = np.linspace(0, table.num_rows - RUN_ROWS, n_runs).astype(int)
    pieces = [table.slice(start, RUN_ROWS) for start in starts.tolist()]
    sample = pa.concat_tables(pieces).combine_chunks()
    return sample, Runs(np.repeat(np.arange(n_runs, dtype=np.int32), RUN_ROWS))


def _quickest(compression: str, *, has_levels: bool) -> pa.Codec | None:
    """Return a codec at the level that is quickest to try."""
    if compression == "none":
        return None
    return pa.Codec(compression, 1) if has_levels else pa.Codec(compression)


def _choose(sampled: _Sampled) -> str:
    """Return the cheapest encoding of those hardly larger than pyarrow's default."""
    candidates, costs = list(_candidates(sampled)), sampled.tuning.costs
    default = min(c.n_bytes for c in candidates if c.encoding in (PLAIN, DICTIONARY))
    small = [c for c in candidates if c.n_bytes <= costs.larger * default]
    return min(small, key=lambda c: c.ns + costs.byte_ns * c.n_bytes).encoding


def _candidates(sampled: _Sampled) -> Iterator[_Candidate]:
    if is_variable(sampled.array.type):
        return _text_candidates(sampled)
    return _fixed_candidates(sampled)


def _fixed_candidates(sampled: _Sampled) -> Iterator[_Candidate]:
    array, runs, codec = sampled.array, sampled.runs, sampled.codec
    costs = sampled.tuning.costs
    integers = _stored_integers(array)
    values = raw_view(array) if integers is None else integers
    width = values.nbytes / len(values)
    plain = compressed_bytes(values, codec) / len(values)
    packing_ns = costs.packing_byte_ns[sampled.thorough] * width
    packs = plain < costs.hopeless_ratio * width
    yield _Candidate(PLAIN, plain, packing_ns if packs else 0.0)
    different = _Different.of(array if values.ndim > 1 else array_of(values), sampled)
    if different.fits(width):
        n_bytes = different.dictionary_bytes(width, plain)
        ns = costs.dictionary_ns + costs.dictionary_share_ns * different.share
        yield _Candidate(DICTIONARY, n_bytes, ns)
    if integers is not None:
        n_bytes = delta_bytes(integers, runs)
        ns = costs.delta_ns + costs.delta_byte_ns * n_bytes
        yield _Candidate(DELTA, n_bytes, ns)
    elif pt.is_float32(array.type) or pt.is_float64(array.type):
        yield _Candidate(SPLIT, split_bytes(values, codec), costs.split_ns)


def _stored_integers(array: pa.Array) -> Numbers | None:
    """Return the integers that Parquet stores, (n,) int32 or int64; None if it stores none."""
    kind = array.type
    if pt.is_decimal(kind):
        if kind.precision > DECIMAL_AS_INTEGER:
            return None
        values = fixed_view(array)
        if values.ndim > 1:
            values = values[:, 0].astype(np.int64)
        return values.astype(np.int32 if kind.precision <= INT32_DIGITS else np.int64)
    if pt.is_floating(kind) or pt.is_fixed_size_binary(kind):
        return None
    values = fixed_view(array)
    if pt.is_date64(kind):
        return (values // DAY_MS).astype(np.int32)
    return values.astype(np.int32 if values.itemsize <= 4 else np.int64)


def _text_candidates(sampled: _Sampled) -> Iterator[_Candidate]:
    array, runs, costs = sampled.array, sampled.runs, sampled.tuning.costs
    offsets, _ = bytes_views(array)
    letters = (int(offsets[-1]) - int(offsets[0])) / len(array)
    width = letters + 4
    different = _Different.of(array, sampled)
    n_bytes = different.share * width
    if n_bytes <= sampled.tuning.dictionary_value_bytes:  # nothing else comes near
        yield _Candidate(DICTIONARY, n_bytes, 0.0)
        return
    looked_at = np.flatnonzero(runs.number % sampled.tuning.encoding_text_runs == 0)
    fewer = Runs(runs.number[looked_at])
    views = bytes_views(array.take(array_of(looked_at)))
    sizes = text_sizes(*views, fewer, sampled.codec, sampled.tuning.encoding_letters)
    yield _Candidate(PLAIN, sizes.plain, 0.0)
    if different.fits(width):
        n_bytes = different.dictionary_bytes(width, sizes.plain)
        ns = costs.text_dictionary_share_ns * different.share
        yield _Candidate(DICTIONARY, n_bytes, ns)
    saved_ns = 0.0
    if sampled.codec is not None and sizes.ratio > costs.hopeless_ratio:
        saved_ns = costs.hopeless_byte_ns * letters
    delta_length_ns = costs.delta_length_ns[sampled.thorough]
    yield _Candidate(DELTA_LENGTH, sizes.delta_length, delta_length_ns - saved_ns)
    delta_text_ns = costs.delta_text_ns[sampled.thorough]
    yield _Candidate(DELTA_TEXT, sizes.delta, delta_text_ns - saved_ns)
