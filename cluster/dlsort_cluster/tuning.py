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
    # Share of a store's budget up to which units are kept with all that they hold alive: a copy
    # of their own rows alone takes fresh memory, and time.
    whole_share: float = 0.25
    sending_share: float = 0.1  # of a worker's limit, for rows that wait to be sent
    # Of a worker's limit, where Dask's configuration leaves it out: its own defaults.
    spill_share: float = 0.7
    terminate_share: float = 0.95  # there the nanny kills the worker, which is not told where
    surely_share: float = 0.25  # a task that takes no more is tried, however little is left
    # Above it a worker gives back what it has freed at the end of a run. Whoever works on has
    # to fetch that again page by page: three sorts of lineitem on 12 GiB took 1.5 x.
    much_share: float = 1 / 3
    # What a partition takes by its own size until it is split, with the reading; and the size
    # until one has been seen, Dask's own for a partition.
    read_copies: float = 4.0
    partition_bytes: int = 128 * 2**20
    # The same beside itself while it is split or merged: 142 MB of lineitem took 1.6 times that
    # to be grouped and sent, and 2.0 to be read and gathered. The frame written to Parquet by
    # the same task takes 1.9, as its shards are gone by then.
    frame_copies: float = 2.0
    look_s: float = 0.05  # between two looks, of 30 us; a thread makes 50 MB in that time
    # How long looks go on without a store: frames are read before there is one, and results
    # taken away when there is none any more.
    awake_s: float = 10.0
    trim_s: float = 0.25  # between two times that freed memory is returned, of some 30 ms each
    warn_s: float = 30.0  # between two warnings of one kind
    patience_s: float = 60.0  # how long a task waits for its turn while there is memory for it


MEMORY = MemoryTuning()
