"""Sink: sorted partitions as Parquet parts, published whole or not at all.

Parts are written to a hidden staging folder beside the destination. Once every
part is there and proved, one rename makes the folder the destination; until
then the destination is as it was.
"""

from __future__ import annotations

import base64
import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from dlsort.encoding import Encodings
from dlsort.errors import (
    BadOptionError,
    DestinationError,
    DestinationExistsError,
    DestinationFullError,
)
from dlsort.keys import SortKey
from dlsort.options import TUNING

__all__ = [
    "COMPRESSIONS",
    "Writer",
    "check_apart",
    "check_compression",
    "check_destination",
    "part_name",
    "staging",
]

COMPRESSIONS = ("snappy", "zstd", "gzip", "lz4", "brotli", "none")
FEWEST_DIGITS = 5


def check_compression(compression: str) -> str:
    """Return the codec's name in lower case; raise if Parquet writing has none such.

    Raises
    ------
    BadOptionError
        If it is unknown.
    """
    name = compression.lower()
    if name == "uncompressed":
        name = "none"
    if name not in COMPRESSIONS or (name != "none" and not pa.Codec.is_available(name)):
        msg = f"compression is {compression!r}; expected one of {', '.join(COMPRESSIONS)}."
        raise BadOptionError(msg)
    return name


def check_destination(dst: str | Path, *, overwrite: bool) -> Path:
    """Return the absolute destination if a folder can be published there.

    Raises
    ------
    DestinationExistsError
        If something is there that must not be overwritten.
    DestinationError
        If it can't be written.
    """
    path = Path(dst).absolute()
    if ".." in path.parts:
        path = path.resolve()
    if path.is_symlink():
        msg = f"{dst} is a symbolic link; name the folder that it points to."
        raise DestinationExistsError(msg)
    if path.exists() and not path.is_dir():
        msg = f"{dst} is not a folder; expected a folder, or a path where one can be made."
        raise DestinationExistsError(msg)
    if path.is_dir():
        n_files = sum(1 for _ in path.iterdir())
        if n_files and not overwrite:
            msg = (
                f"{dst} already holds {n_files:,} file{'s' if n_files > 1 else ''}. "
                "Pass overwrite=True (--overwrite) to replace them."
            )
            raise DestinationExistsError(msg)
    if path.is_mount():
        msg = (
            f"{dst} is a mount point, which a finished folder can't replace in one step; "
            f"name a folder below it, such as {path / 'sorted'}."
        )
        raise DestinationError(msg)
    parent = _existing(path.parent)
    if not parent.is_dir():
        msg = f"{dst} can't be written: {parent} is a file, not a folder."
        raise DestinationError(msg)
    if not os.access(parent, os.W_OK | os.X_OK):
        msg = f"{dst} can't be written: no permission to make files in {parent}."
        raise DestinationError(msg)
    return path


def check_apart(destination: Path, src: str | Path, files: Sequence[str]) -> None:
    """Raise if source and destination overlap in a way that loses or doubles rows.

    To sort a folder onto itself is fine: the old files go once the new are proved.

    Parameters
    ----------
    destination : Path
        From :func:`check_destination`.
    src : str or Path
        The source as given.
    files : sequence of str
        Its files.

    Raises
    ------
    DestinationError
        If the destination lies in the source folder, where a later sort would
        read its own output; or if only some of its files are the source, since
        all of them would be replaced.
    """
    inside, outside = destination.resolve(), Path(src).resolve()
    if inside == outside:
        return
    if outside.is_dir() and inside.is_relative_to(outside):
        hidden = any(p.startswith(("_", ".")) for p in inside.relative_to(outside).parts)
        if not hidden:
            msg = (
                f"the destination {destination} lies inside the source {src}, so a later sort "
                "would read its own output; choose a destination outside of it."
            )
            raise DestinationError(msg)
    mine = next((f for f in files if Path(f).resolve().is_relative_to(inside)), None)
    if mine is not None:
        msg = (
            f"the source file {mine} lies inside the destination {destination}, which would "
            "be replaced as a whole; choose another one, or give that folder as the source."
        )
        raise DestinationError(msg)


@contextmanager
def staging(destination: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give a fresh folder for the parts; publish it on success, remove it on failure.

    Parameters
    ----------
    destination : Path
        Where the folder goes. What is there is kept until the new is complete.
    overwrite : bool
        Replace a destination that holds files.

    Yields
    ------
    Path
        The staging folder, hidden, beside the destination.

    Raises
    ------
    DestinationError
        If the folder can't be made or moved.
    """
    folder = destination.parent / f".{destination.name}.{uuid.uuid4().hex[:12]}.partial"
    made = [p for p in (destination.parent, *destination.parent.parents) if not p.exists()]
    try:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise write_error(error, destination) from error
        yield folder
        _publish(folder, destination, overwrite=overwrite)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _publish(folder: Path, destination: Path, *, overwrite: bool) -> None:
    old = folder.with_suffix(".replaced")
    try:
        if destination.is_dir():
            if not overwrite:
                _still_empty(destination)
            destination.rename(old)
        folder.rename(destination)
    except BaseException as error:  # Ctrl-C too: the old one must not stay aside
        if old.exists() and not destination.exists():
            old.rename(destination)
        if isinstance(error, OSError) and not isinstance(error, DestinationError):
            raise write_error(error, destination) from error
        raise
    finally:
        if destination.exists():
            shutil.rmtree(old, ignore_errors=True)


def _still_empty(destination: Path) -> None:
    if any(destination.iterdir()):
        msg = f"{destination} was filled by someone meanwhile; nothing was published."
        raise DestinationExistsError(msg)


def write_error(error: OSError, path: Path | str) -> DestinationError:
    """Return the sentence for an error while writing to a path."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with suppress(OSError):
            free = shutil.disk_usage(_existing(Path(path))).free
            return DestinationFullError(
                f"no space left while writing {path} ({free / 2**20:,.0f} MiB free). "
                "Nothing was published; free some space or choose another destination."
            )
        return DestinationFullError(
            f"no space left while writing {path}. Nothing was published."
        )
    return DestinationError(f"{path} can't be written: {error.strerror or error}.")


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def part_name(part: int, n_parts: int) -> str:
    """Return a part's file name, zero-padded so that names sort as rows do.

    Examples
    --------
    >>> part_name(7, 12)
    'part-00007.parquet'
    """
    digits = max(FEWEST_DIGITS, len(str(n_parts - 1)))
    return f"part-{part:0{digits}d}.parquet"


@dataclass(frozen=True)
class Writer:
    """Writes one part. Picklable: it goes to the workers.

    Parameters
    ----------
    folder : str
        The staging folder, the same path on every worker.
    schema : pyarrow.Schema
        The source's schema, which the parts keep.
    keys : tuple of SortKey
        The key, written as ``sorting_columns``; parts are checked before.
    encodings : Encodings
        Which columns get a dictionary, which are delta-packed.
    compression : str
        Codec of the pages.
    """

    folder: str
    schema: pa.Schema
    keys: tuple[SortKey, ...]
    encodings: Encodings
    compression: str

    def write(self, table: pa.Table, part: int, n_parts: int) -> int:
        """Write a sorted, checked table as a part; return the file's size in bytes.

        Raises
        ------
        DestinationFullError
            If there is no space.
        DestinationError
            If it can't be written for another reason.
        """
        path = Path(self.folder) / part_name(part, n_parts)
        # a run may be restarted while an attempt of it still writes
        attempt = path.with_suffix(f".{uuid.uuid4().hex[:12]}.tmp")
        try:
            with self._open(attempt, table.schema) as writer:
                writer.write_table(table, row_group_size=TUNING.row_group_rows)
                writer.add_key_value_metadata(self._metadata())
            size = attempt.stat().st_size
            attempt.replace(path)
        except OSError as error:
            attempt.unlink(missing_ok=True)
            raise write_error(error, path) from error
        except BaseException:
            attempt.unlink(missing_ok=True)
            raise
        return size

    def _open(self, path: Path, schema: pa.Schema) -> pq.ParquetWriter:
        dictionary = set(self.encodings.dictionary)
        return pq.ParquetWriter(
            path,
            schema,
            compression=self.compression,
            use_dictionary=sorted(dictionary) or False,
            column_encoding=dict.fromkeys(self.encodings.delta, "DELTA_BINARY_PACKED") or None,
            store_decimal_as_integer=True,
            write_page_index=True,
            store_schema=False,  # the source's is stored instead, see _metadata
            sorting_columns=self._sorting_columns(schema),
        )

    def _metadata(self) -> dict[bytes, bytes]:
        """Return the file's metadata: the source's, with its Arrow schema.

        The rows come as dictionaries and offset strings where that saves work;
        a reader is to see the types of the source.
        """
        metadata = {
            k: v for k, v in (self.schema.metadata or {}).items() if k != b"ARROW:schema"
        }
        metadata[b"ARROW:schema"] = base64.b64encode(self.schema.serialize().to_pybytes())
        return metadata

    def _sorting_columns(self, schema: pa.Schema) -> list[pq.SortingColumn] | None:
        """Return the claim that a part is sorted, where Parquet's order is the same.

        Parquet puts NaN nowhere in particular, and orders an ordered
        dictionary by value, so a float or ordered dictionary key is not claimed,
        nor what comes after it.
        """
        claimed = []
        leaves = _first_leaves(schema)
        for key in self.keys:
            kind = self.schema.field(key.column).type
            if pt.is_floating(kind) or (pt.is_dictionary(kind) and kind.ordered):
                break
            claimed.append(
                pq.SortingColumn(leaves[key.column], key.descending, key.nulls_first)
            )
        return claimed or None


def _first_leaves(schema: pa.Schema) -> dict[str, int]:
    """Return the number of each column's first Parquet leaf."""
    leaves, number = {}, 0
    for field in schema:
        leaves[field.name] = number
        number += _n_leaves(field.type)
    return leaves


def _n_leaves(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _n_leaves(kind.storage_type)
    if pt.is_dictionary(kind) or not pt.is_nested(kind):
        return 1
    return sum(_n_leaves(kind.field(i).type) for i in range(kind.num_fields))
