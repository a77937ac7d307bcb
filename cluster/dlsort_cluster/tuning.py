"""What a process may hold: the tunables that stores share with whoever plans their memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MEMORY", "MemoryTuning"]


@dataclass(frozen=True, slots=True)
class MemoryTuning:
    """How the memory of a process is shared out."""

    # What it takes before it holds a row: Python, NumPy, Arrow, Dask and the compiled kernels
    # (measured 255 MiB, and 60 more once Parquet is read and written).
    base_bytes: int = 320 * 2**20
    # Share of the rest for shards that wait, and beyond which they are spilled; the other goes
    # to the rows that threads work on.
    store_share: float = 0.45


MEMORY = MemoryTuning()
