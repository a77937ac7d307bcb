"""Small files that are read as one.

To open a file costs Parquet's reader far more than a hundred rows do. So small files of one
schema are put one behind the other in memory, with one footer for all of them, which is made
from theirs once these and the headers of all pages have been looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dlsort.io.find import UNREADABLE
from dlsort.io.parquet.bounded_read import read_bounded
from dlsort.io.parquet.stored_schema import INT96, footer_in, open_file, schema_of
from dlsort.io.source import FileGroups
from dlsort.tuning import IoTuning
from dlsort_kernels import join_files, outline, page_sizes

__all__ = ["read_joined"]


def read_joined(
    files: Sequence[FileGroups],
    contents: Sequence[bytes],
    columns: Sequence[str],
    as_dictionary: Sequence[str],
    most_bytes: int,
    tuning: IoTuning,
) -> pa.Table | None:
    """Read the rows of whole files as if they were one.

    Parameters
    ----------
    files : sequence of FileGroups
        The files, in order.
    contents : sequence of bytes
        All of each.
    columns : sequence of str
        Which columns; the table may have more, and in another order.
    as_dictionary : sequence of str
        Columns to keep as dictionaries.
    most_bytes : int
        Memory for the rows.
    tuning : IoTuning
        How much of it a batch may take.

    Returns
    -------
    pyarrow.Table or None
        None if that can't be done, for whatever reason: reading them one by one reports why.

    Notes
    -----
    Some 10 µs a file and 5 µs a column chunk, beside the rows.
    """
    try:
        table = _read(files, contents, columns, as_dictionary, most_bytes, tuning)
    except UNREADABLE:
        return None
    return table if table and table.num_rows == sum(f.n_rows for f in files) else None


def _read(
    files: Sequence[FileGroups],
    contents: Sequence[bytes],
    columns: Sequence[str],
    as_dictionary: Sequence[str],
    most_bytes: int,
    tuning: IoTuning,
) -> pa.Table | None:
    footer = footer_in(contents[0])
    schema_bytes = max(0, outline(np.frombuffer(footer, np.uint8)).schema_stop)
    with open_file(pa.BufferReader(contents[0]), len(contents[0])) as file:
        schema = schema_of(footer[:schema_bytes], file.metadata)
    # Rows of lists are not told by the number of values: files might lend each other some.
    # INT96 is read three times.
    if schema is None or any(leaf.levels[0] or leaf.kind == INT96 for leaf in schema.leaves):
        return None
    data = b"".join(contents)
    stops = np.cumsum([len(each) for each in contents])
    n_groups = np.array([len(file.row_groups) for file in files])
    n_rows = np.array([file.n_rows for file in files])
    numbers = np.frombuffer(data, np.uint8)
    joined = join_files(
        numbers, stops, n_groups, n_rows, schema_bytes, schema.numbers, schema.names
    )
    if joined is None:
        return None
    made, chunks = joined
    widths = np.tile(schema.widths, int(n_groups.sum()))
    n_bytes, repeated = page_sizes(numbers, chunks, widths)
    batch_bytes = most_bytes // tuning.batch_share
    if not 0 <= n_bytes <= most_bytes or repeated * len(chunks) > batch_bytes:
        return None
    whole = b"".join((data, made.tobytes(), len(made).to_bytes(4, "little"), b"PAR1"))
    with open_file(
        pa.BufferReader(whole),
        len(whole),
        read_dictionary=as_dictionary,
        page_checksum_verification=True,
    ) as file:
        groups = range(int(n_groups.sum()))
        return read_bounded(file, None, groups, columns, as_dictionary, most_bytes, tuning)
