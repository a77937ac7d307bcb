"""Sizes of Arrow tables: what their rows take, and what they keep alive."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["count_bytes", "held_bytes", "value_bytes"]


def count_bytes(table: pa.Table) -> int:
    """Return how many bytes a table's own rows take."""
    try:
        return int(table.nbytes)
    except pa.ArrowException:  # older versions can't measure views
        return int(table.get_total_buffer_size())


def value_bytes(table: pa.Table) -> int:
    """Return how many bytes a table's own rows take beside dictionaries, which others share."""
    chunks = (chunk for column in table.columns for chunk in column.chunks)
    try:
        return sum(int(getattr(chunk, "indices", chunk).nbytes) for chunk in chunks)
    except pa.ArrowException:  # as above
        return int(table.get_total_buffer_size())


def held_bytes(table: pa.Table) -> int:
    """Return how many bytes a table keeps alive, its own rows and others."""
    return int(table.get_total_buffer_size())
