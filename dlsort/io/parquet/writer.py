"""Sink: sorted partitions as Parquet parts, in the types and metadata of the source."""

from __future__ import annotations

import base64
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.arrow.hidden import is_hidden, without_hidden
from dlsort.arrow.layouts import with_names_of
from dlsort.arrow.paths import field_at, find_path
from dlsort.arrow.same_names import given_name
from dlsort.arrow.transport import concat_rows
from dlsort.errors import BadOptionError
from dlsort.io.parquet.column_options import NO_OPTIONS, ColumnOptions
from dlsort.io.parquet.encodings import Encodings, encodings_of_part
from dlsort.io.parquet.leaves import first_leaf, leaf_paths
from dlsort.io.parquet.profiles import PROFILES, Profile
from dlsort.io.parts import ATTEMPTS, PARTS, Growth, part_name
from dlsort.io.schema.told_types import ARROW
from dlsort.io.storage import Output, join, write_error
from dlsort.keys import SortKey
from dlsort.options.arguments import split_codec
from dlsort.tuning import Tuning
from dlsort_cluster.arrow_sizes import value_bytes

__all__ = ["PartFile", "Writer", "check_compression"]

# Of a part. The format numbers row groups with 16 bits, and readers refuse those of more than
# 32,767; half of that leaves room for those that memory cuts short.
MOST_ROW_GROUPS = 1 << 14

_SCHEMAS = ("schema", "told_types")  # of a writer


def check_compression(codec: str) -> None:
    """Raise if this build of pyarrow has not got a codec.

    Raises
    ------
    BadOptionError
    """
    codec, _ = split_codec(codec)
    if codec != "none" and not pa.Codec.is_available(codec):
        msg = f"compression is {codec!r}, which this build of pyarrow has not got."
        raise BadOptionError(msg)


class PartFile:
    """A part that is being written; a context, without which nothing is left behind.

    It lies elsewhere, and under another name, until all of it is on disk: a run may be
    restarted while an attempt of it still writes.

    Attributes
    ----------
    name : str
        Path of the file in the folder of parts.
    n_bytes : int
        Size of the file, once it is closed.

    Raises
    ------
    DestinationFullError
        If there is no space.
    DestinationError
        If it can't be written for another reason.
    """

    def __init__(self, writer: Writer, name: str, n_rows: int) -> None:
        self.n_bytes = 0
        self._n_written = 0  # rows that are in row groups
        self._group_rows = max(writer.row_group_rows, -(-n_rows // MOST_ROW_GROUPS))
        self.name = name
        self._writer = writer
        self._path = join(writer.folder, PARTS, name)
        attempt = f"{name.rpartition('/')[2]}.{uuid.uuid4().hex[:12]}.tmp"
        self._output = Output(self._path, join(writer.folder, ATTEMPTS, attempt))
        self._file: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []  # rows for the next row group

    def __enter__(self) -> PartFile:
        return self

    @property
    def row_bytes(self) -> float:
        """Bytes that a row has taken so far; 0 if none is written."""
        if not self._n_written:
            return 0.0
        where = self._output.where
        n_bytes = os.stat(where).st_size if isinstance(where, str) else where.tell()  # noqa: PTH116 - a path or an open object
        return float(n_bytes / self._n_written)

    def write(self, table: pa.Table) -> None:
        """Write the next rows, in order and checked; the last may wait for their row group."""
        self._waiting.append(without_hidden(table))
        size = self._group_rows
        n_rows = sum(waiting.num_rows for waiting in self._waiting)
        n_bytes = sum(map(value_bytes, self._waiting))
        ready = n_rows // size * size if n_bytes <= self._writer.part_bytes else n_rows
        if ready:
            self._write(ready)

    def close(self, manifest: Mapping[bytes, bytes] = MappingProxyType({})) -> None:
        """Write what is left, wait until it is on disk, and give the part its name.

        ``manifest`` goes into the footer's metadata.
        """
        self._write(sum(waiting.num_rows for waiting in self._waiting))
        with self._in_words():
            assert self._file is not None
            self._file.add_key_value_metadata({**self._writer.metadata(), **manifest})
            self._file.close()
            self.n_bytes = self._output.commit()

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            with suppress(OSError, pa.ArrowException):
                self._file.close()
        self._output.discard()

    def _write(self, n_rows: int) -> None:
        """Write some of the rows that wait: none, if the part has none."""
        if self._file is not None and not n_rows:
            return
        rows = concat_rows(self._waiting)
        with self._in_words():
            if self._file is None:
                self._file = self._writer.open_file(self._output.where, rows)
            written = _as_written(rows, self._file.schema)
            self._file.write_table(written.slice(0, n_rows), self._group_rows)
        self._n_written += n_rows
        self._waiting = [rows.slice(n_rows)]

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(error, self._path) from error


@dataclass(frozen=True)
class Writer:
    """Writes parts. Picklable: it goes to the workers.

    Parameters
    ----------
    folder : str
        Where parts and their records go (:mod:`dlsort.publish.finished`), the same path
        on every worker.
    schema : pyarrow.Schema
        The source's schema, which the parts keep, without hidden columns.
    keys : tuple of SortKey
        What parts are sorted by; they are checked before.
    encodings : Encodings
        By the source's footers; a part's own rows correct them.
    compression : str
        Codec of the pages, perhaps with a level, as in ``zstd:7``.
    row_group_rows : int
        Rows of each row group but the last; more where a part would have too many of them.
    part_bytes : int
        Arrow size of a part that fits the memory: a larger one is sorted in pieces, and no
        more than this is kept back for a row group.
    tuning : Tuning
        Of the sort, the proof and the encodings.
    job : str
        What names the job in the parts' footers; empty if they are to say nothing.
    times_in_utc : bool
        Whether times of day are marked as such in UTC, as the source's are.
    told_types : pyarrow.Schema or None
        The Arrow schema that parts tell, as the source's files tell theirs.
    has_elements : bool
        Whether the source calls the values of all lists ``element``, as Parquet's format does.
    marks : tuple of str
        Of the source's files, for the first part's footer.
    growth : Growth or None
        The parts that those of this job are put among; None: they are all.
    made_fields : tuple of pyarrow.Field
        Hidden key columns that can be made anew of the parts'.
    partition_by : tuple of str
        Columns that are folders, and not in the files; they lead ``keys``.
    target_bytes : int
        Size of a file; 0: whatever a part has.
    row_bytes : float
        What a row takes in a file, by a sample, where a size is wanted.
    profile : Profile
        Whom the files are for.
    chosen : tuple of str
        Options by which rows were left out, or files cut, for the parts' footers.
    column_options : ColumnOptions
        How single columns are written, in the place of what is chosen.
    """

    folder: str
    schema: pa.Schema
    keys: tuple[SortKey, ...]
    encodings: Encodings
    compression: str
    row_group_rows: int
    part_bytes: int
    tuning: Tuning
    job: str = ""
    times_in_utc: bool = False
    told_types: pa.Schema | None = None
    has_elements: bool = False
    marks: tuple[str, ...] = ()
    growth: Growth | None = None
    made_fields: tuple[pa.Field, ...] = ()
    partition_by: tuple[str, ...] = ()
    target_bytes: int = 0
    row_bytes: float = 0.0
    profile: Profile = PROFILES["default"]
    chosen: tuple[str, ...] = ()
    column_options: ColumnOptions = NO_OPTIONS

    @property
    def manifest_keys(self) -> tuple[SortKey, ...]:
        """The key of a file as far as it can be told: columns it has, or that are made anew."""
        made = {field.name for field in self.made_fields}
        return tuple(
            takewhile(lambda key: not is_hidden(key.column) or key.column in made, self.by)
        )

    @property
    def told_keys(self) -> tuple[SortKey, ...]:
        """The key as far as the parts have it: its columns before the first hidden one."""
        return tuple(takewhile(lambda key: not is_hidden(key.column), self.keys))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled; pyarrow's pickles lose names inside of fixed-size lists."""
        schemas = {n: self.__dict__[n] for n in _SCHEMAS if self.__dict__[n] is not None}
        stored = {n: schema.serialize().to_pybytes() for n, schema in schemas.items()}
        return {**self.__dict__, **stored}

    def __setstate__(self, state: dict[str, Any]) -> None:
        stored = {n: state[n] for n in _SCHEMAS if state[n] is not None}
        schemas = {n: pa.ipc.read_schema(pa.py_buffer(each)) for n, each in stored.items()}
        self.__dict__.update({**state, **schemas})

    def __dask_tokenize__(self) -> object:
        """Tell it from others: a folder has one."""
        return self.folder

    @property
    def by(self) -> tuple[SortKey, ...]:
        """What each file is sorted by: but for its folders, where there is more."""
        return tuple(k for k in self.keys if k.column not in self.partition_by) or self.keys

    def open(
        self,
        part: int,
        n_parts: int,
        n_rows: int,
        folder: str = "",
        number: int | None = None,
    ) -> PartFile:
        """Begin a file of so many rows: a part, or one of several of it in a folder."""
        return PartFile(self, folder + part_name(part, n_parts, number), n_rows)

    def encoded_bytes(self, rows: pa.Table) -> int:
        """Return what some rows take as a file, which is not kept."""
        sink = pa.MockOutputStream()
        with self.open_file(sink, rows) as file:
            file.write_table(_as_written(rows, file.schema), self.row_group_rows)
        return int(sink.size())

    def open_file(self, where: Any, table: pa.Table) -> pq.ParquetWriter:
        """Begin a file of the types and the encodings that suit its first rows."""
        codec, level = split_codec(self.compression)
        chosen = encodings_of_part(
            table,
            self.encodings,
            self.profile.tuned(self.tuning.io),
            row_group_rows=self.row_group_rows,
            compression=codec,
        )
        chosen = self.profile.allowed(chosen)
        # Parquet's writer takes paths, and "a.b" may be a column and a struct's field too.
        schema = _with_given_names(self._as_in_source(table.schema))
        listed = "element" if self.has_elements else None
        leaves = [(path, field.name) for field in schema for path in leaf_paths(field, listed)]
        paths = Counter(path for path, _ in leaves)
        one = {path for path, times in paths.items() if times == 1}
        codecs = {"compression": codec, "compression_level": level}
        if self.column_options:
            chosen = self.column_options.encodings(dict(leaves), chosen)
            n_rows = min(self.row_group_rows, table.num_rows)
            codecs = self.column_options.arguments(dict(leaves), self.compression, n_rows)
        return pq.ParquetWriter(
            where,
            schema,
            **codecs,
            use_dictionary=[p for p in sorted(chosen.dictionary) if p in one] or False,
            column_encoding={p: e for p, e in chosen.other.items() if p in one} or None,
            version=self.profile.version,
            store_decimal_as_integer=self.profile.integer_decimals,
            write_page_index=self.profile.has_page_index,
            write_time_adjusted_to_utc=self.times_in_utc,
            store_schema=False,  # the source's is stored instead, see metadata
            # else the names that are in the source; extension types don't tell them
            use_compliant_nested_type=self.has_elements,
            sorting_columns=self._sorting_columns(table.schema),
        )

    def _as_in_source(self, rows: pa.Schema) -> pa.Schema:
        """Return the schema of rows, with what the source calls the values of lists.

        Rows of several files may have several such names, and which come first may vary. So it
        is with what is told of a column, as its number in an Iceberg table.
        """
        fields = []
        for field in rows:
            like = self.schema.field(field.name)
            kind = with_names_of(field.type, like.type)
            fields.append(field.with_type(kind).with_metadata(like.metadata))
        return pa.schema(fields, rows.metadata)

    def metadata(self) -> dict[bytes, bytes]:
        """Return the file's metadata: the source's, with the Arrow schema if it has one.

        The rows come as dictionaries and offset strings where that saves work;
        a reader is to see the types of the source.
        """
        metadata = dict(self.schema.metadata or {})
        metadata.pop(ARROW, None)
        if self.told_types is not None:
            kept = [each for each in self.told_types if each.name not in self.partition_by]
            types = pa.schema(kept, self.told_types.metadata)
            told = _with_given_names(types).serialize().to_pybytes()
            metadata[ARROW] = base64.b64encode(told)
        return metadata

    def _sorting_columns(self, schema: pa.Schema) -> list[pq.SortingColumn] | None:
        """Return the claim that a part is sorted, where Parquet's order is the same.

        Parquet puts NaN nowhere in particular, orders an ordered dictionary by value, and
        knows leaves only, so a float, ordered dictionary, struct or list key is not claimed,
        nor what comes after it.
        """
        claimed = []
        for key in self.told_keys:
            if key.column in self.partition_by:
                continue  # it is the same in all rows of a file
            kind = field_at(self.schema, key.column).type
            if isinstance(kind, pa.BaseExtensionType):
                kind = kind.storage_type
            inner = kind.value_type if pt.is_dictionary(kind) else kind
            if pt.is_floating(inner) or pt.is_nested(inner):
                break
            if pt.is_dictionary(kind) and kind.ordered:
                break
            path = find_path(self.schema, key.column)
            top = schema.get_field_index(self.schema.names[path[0]])
            leaf = first_leaf(schema, (top, *path[1:]))
            claimed.append(pq.SortingColumn(leaf, key.descending, key.nulls_first))
        return claimed or None


def _as_written(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    written = rows.rename_columns(list(map(given_name, rows.column_names)))
    return written if written.schema == schema else written.cast(schema)


def _with_given_names(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose columns have the names that they had in the source."""
    fields = [field.with_name(given_name(field.name)) for field in schema]
    return pa.schema(fields, schema.metadata)
