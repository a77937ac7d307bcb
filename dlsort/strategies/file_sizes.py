"""File sizes: what rows take once they are written, and the parts that files of a size need.

A part makes its own files (:mod:`dlsort.strategies.part_files`), as even as it can. Of three or
more each is within a sixth of the size that is wanted, whatever the sample told; one alone has
it as far as the sample told the truth.
"""

from __future__ import annotations

import pyarrow as pa

from dlsort.arrow.transport import concat_rows
from dlsort.errors import BadOptionError
from dlsort.io.parquet.encodings import choose_encodings
from dlsort.io.parquet.profiles import PROFILES
from dlsort.io.parquet.source import ParquetSource
from dlsort.io.parquet.writer import Writer
from dlsort.io.source import cut_pieces
from dlsort.keys import SortKey
from dlsort.order.sort_rows import sort_rows
from dlsort.sizes import MIB, format_bytes
from dlsort.strategies.asked import Asked
from dlsort.strategies.reader import Reader

__all__ = ["parts_for_files", "written_row_bytes"]

# Files of a part, if it has more than one: of so many each is about as long as it is to be,
# whatever the part has.
FILES_OF_PART, FEWEST_OF_PART = 4, 3
# Pieces that are read to see what their rows take, and their size in memory.
N_TRIED, TRIED_BYTES = 4, 16 * MIB
MOST_FILES = 1_000_000  # more is taken for a mistake


def written_row_bytes(source: ParquetSource, asked: Asked, keys: tuple[SortKey, ...]) -> float:
    """Return what a row takes in a file, by some that are read, sorted and encoded.

    Returns
    -------
    float
        Bytes; 0 if there are no rows, or none of those that are read is kept.

    Notes
    -----
    Reads four pieces of 16 MiB, or a row group where one has more.
    """
    pieces = [piece for piece in cut_pieces(source, TRIED_BYTES) if piece.n_rows]
    if not pieces:
        return 0.0
    reader = Reader.of(source, keys, asked.tuning)
    tables: list[pa.Table] = []
    for n in range(min(N_TRIED, len(pieces))):
        piece = pieces[n * len(pieces) // min(N_TRIED, len(pieces))]
        if sum(table.nbytes for table in tables) < N_TRIED * TRIED_BYTES:
            tables.append(reader.read(piece))
    rows = sort_rows(concat_rows(tables).combine_chunks(), keys, asked.tuning.order)
    if not rows.num_rows:
        return 0.0
    rows = rows.drop_columns(list(asked.partition_by))
    writer = Writer(
        "",
        source.schema,
        keys,
        choose_encodings(source.schema, source.layouts, asked.tuning.io),
        asked.compression,
        asked.row_group_rows or asked.tuning.io.row_group_rows,
        rows.nbytes,
        asked.tuning,
        profile=PROFILES[asked.profile],
        partition_by=asked.partition_by,
        column_options=asked.column_options,
    )
    return writer.encoded_bytes(rows) / rows.num_rows


def parts_for_files(
    source: ParquetSource,
    target_bytes: int,
    row_bytes: float,
    n_threads: int,
    part_bytes: int,
) -> int:
    """Return how many parts make files of a size.

    Parameters
    ----------
    source : ParquetSource
        The dataset's footers.
    target_bytes : int
        Size of a file that is wanted.
    row_bytes : float
        What a row takes there.
    n_threads : int
        Threads, each of which is to have a part.
    part_bytes : int
        Memory for a part: larger ones are made if one file needs more.

    Raises
    ------
    BadOptionError
        If there would be far too many files.
    """
    n_bytes = source.n_rows * row_bytes
    n_files = max(1, round(n_bytes / target_bytes))
    if n_files > MOST_FILES:
        msg = (
            f"target_file_size (--target-file-size) is {format_bytes(target_bytes)}, which "
            f"cuts the result, of about {format_bytes(int(n_bytes))}, into {n_files:,} files; "
            f"ask for a larger one, that makes at most {MOST_FILES:,}."
        )
        raise BadOptionError(msg)
    fewest = max(n_threads, -(-source.arrow_bytes // part_bytes))
    if n_files < FEWEST_OF_PART * fewest:
        return n_files
    return max(fewest, n_files // FILES_OF_PART)
