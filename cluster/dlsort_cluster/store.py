"""Where a worker keeps the shards it was sent, in memory or on disk.

One unit an input (see :mod:`dlsort_cluster.wire`). A unit that still fits the
store's budget stays in memory as it came; any other is written to disk by the
thread that brought it, which is the back-pressure. Nothing is taken out on
read, so a merge may run again. Units with a few rows for each partition are
joined before the first read: else the work would grow with inputs times
partitions, not with their sum.
"""

from __future__ import annotations

import errno
import mmap
import shutil
import threading
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dlsort_cluster import spill
from dlsort_cluster.exchange import ShardsLostError, SpillError, SpillFullError
from dlsort_cluster.wire import Unit, compact, count_bytes, held_bytes, join

__all__ = ["ShardStore", "StoreClosedError"]

# Up to this share of the budget, units are kept with all that they hold alive: a copy of their
# own rows alone takes fresh memory, and time.
_ROOM_SHARE = 0.25
# Units are joined until there are so many rows for a partition, on average: 2,000 units
# of 500 rows were read by 2,000 partitions in 36 s one by one, in 8 s joined.
_FEW_ROWS = 64
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class _Ready(NamedTuple):
    """All units, in input order, and their starts: (n_units, n_parts + 1)."""

    units: list[Unit | spill.Spilled]
    starts: np.ndarray


class StoreClosedError(Exception):
    """The store was closed, for instance because its run was given up."""


class ShardStore:
    """The shards of one run on one worker.

    Parameters
    ----------
    run : str
        Name of the run, for messages.
    worker : str
        Address of the worker, for messages.
    parts : sequence of int
        The partitions this worker owns, ascending.
    limit_bytes : int
        Bytes of units to keep in memory.
    temp_dir : str
        An existing folder for what goes beyond.

    Attributes
    ----------
    memory_bytes, spilled_bytes, read_bytes : int
        Bytes held in memory, written to disk, read back from disk.

    Notes
    -----
    All methods may be called from any thread.
    """

    def __init__(
        self, *, run: str, worker: str, parts: list[int], limit_bytes: int, temp_dir: str
    ) -> None:
        self.run = run
        self.worker = worker
        self.limit_bytes = limit_bytes
        self.temp_dir = temp_dir
        self.memory_bytes = 0
        self.spilled_bytes = 0
        self.read_bytes = 0
        self.total_bytes = 0
        self._place = {part: place for place, part in enumerate(parts)}
        self._units: dict[int, Unit | spill.Spilled] = {}
        self._ready: _Ready | None = None  # what the units are once all are there
        self._readying = threading.Lock()
        self._taken: set[int] = set()
        self._idle_files: list[spill.SpillFile] = []  # nobody is writing to these
        self._lock = threading.Lock()
        self._closed = False

    def put(self, input_id: int, unit: Unit) -> bool:
        """Keep a unit; return False if this input's is there already.

        Raises
        ------
        StoreClosedError
            If the store is closed.
        SpillFullError, SpillError
            If the unit had to go to disk and could not.
        """
        n_bytes, held = count_bytes(unit.table), held_bytes(unit.table)
        with self._lock:
            self._check_open()
            if input_id in self._taken:
                return False
            self._taken.add(input_id)
            as_it_is = self.memory_bytes + held <= _ROOM_SHARE * self.limit_bytes
            kept_bytes = held if as_it_is else n_bytes
            in_memory = self.memory_bytes + kept_bytes <= self.limit_bytes
            if in_memory:
                self.memory_bytes += kept_bytes
        try:
            kept: Unit | spill.Spilled
            if in_memory:
                table = unit.table if as_it_is else compact(unit.table)
                kept = Unit(table, unit.starts)
            else:
                kept = self._spill(unit, n_bytes)
        except BaseException:
            with self._lock:
                self._taken.discard(input_id)
                if in_memory and not self._closed:
                    self.memory_bytes -= kept_bytes
            raise
        with self._lock:
            self._check_open()
            self._units[input_id] = kept
            self.total_bytes += n_bytes
        return True

    def read(self, part: int, n_inputs: int) -> list[pa.Table]:
        """Return a partition's shards in input order.

        Shards without rows are left out, but for one if all are empty.

        Raises
        ------
        ShardsLostError
            If the unit of one of the ``n_inputs`` inputs is not there.
        StoreClosedError
            If the store is closed.
        """
        ready = self._make_ready(part, n_inputs)
        place = self._place[part]
        firsts, lasts = ready.starts[:, place], ready.starts[:, place + 1]
        maps: dict[spill.SpillFile, mmap.mmap] = {}
        shards = [
            self._rows(ready.units[i], int(firsts[i]), int(lasts[i]), maps)
            for i in np.flatnonzero(lasts > firsts)
        ]
        if not shards and ready.units:
            shards.append(self._rows(ready.units[0], 0, 0, maps))
        return shards

    def _make_ready(self, part: int, n_inputs: int) -> _Ready:
        with self._readying:
            with self._lock:
                self._check_open()
                if self._ready is not None:
                    return self._ready
                units = [self._units.get(input_id) for input_id in range(n_inputs)]
            if None in units:
                msg = (
                    f"run {self.run}: input {units.index(None)} of {n_inputs} never reached"
                    f" {self.worker}, which needs it for partition {part}."
                    " This is a bug: please report it."
                )
                raise ShardsLostError(msg)
            joined = _join_small([unit for unit in units if unit is not None])
            starts = [unit.starts for unit in joined]
            ready = _Ready(
                joined, np.stack(starts) if starts else np.zeros((0, len(self._place) + 1), int)
            )
            with self._lock:
                self._check_open()
                self._ready = ready
                self._units.clear()
            return ready

    def close(self) -> None:
        """Forget all units and give their disk space back; may be called twice.

        What a thread is just reading or writing goes when it is done.
        """
        with self._lock:
            self._closed = True
            self._units.clear()
            self._ready = None
            self._idle_files.clear()
            self.memory_bytes = 0

    def heartbeat(self) -> dict[str, float]:
        """Return the numbers that the dashboard's shuffle page shows."""
        return {
            "memory": self.memory_bytes,
            "total": self.total_bytes,
            "buckets": len(self._taken),  # the page's own word
            "written": self.spilled_bytes,
            "read": self.read_bytes,
            "avg_size": self.total_bytes / max(1, len(self._taken)),
            "avg_duration": 0.0,
            "memory_limit": self.limit_bytes,
        }

    def _check_open(self) -> None:
        if self._closed:
            msg = f"run {self.run}: the store on {self.worker} is closed"
            raise StoreClosedError(msg)

    def _spill(self, unit: Unit, n_bytes: int) -> spill.Spilled:
        """Write a unit to disk, or leave no trace of it."""
        with self._lock:
            file = self._idle_files.pop() if self._idle_files else None
        try:
            file = file or spill.SpillFile(self.temp_dir)
            spilled = spill.write(file, unit)
        except OSError as error:
            raise self._spill_error(error, n_bytes) from error
        with self._lock:
            self.spilled_bytes += spilled.end - spilled.begin
            if not self._closed:
                self._idle_files.append(file)
        return spilled

    def _spill_error(self, error: OSError, n_bytes: int) -> SpillError:
        place = f"{self.temp_dir} on {self.worker}"
        advice = "set temporary-directory (--temp-dir) to a"
        if error.errno not in _NO_SPACE:
            return SpillError(
                f"run {self.run}: cannot spill to {place}: {error}."
                f" Make it writable, or {advice} folder that is."
            )
        try:
            free = _size(shutil.disk_usage(self.temp_dir).free)
        except OSError:
            free = "unknown"
        return SpillFullError(
            f"run {self.run}: no space left in {place} (needed {_size(n_bytes)}, free"
            f" {free}). Add workers, or {advice} larger disk."
        )

    def _rows(
        self,
        unit: Unit | spill.Spilled,
        first: int,
        last: int,
        maps: dict[spill.SpillFile, mmap.mmap],
    ) -> pa.Table:
        if isinstance(unit, Unit):
            return unit.table.slice(first, last - first)
        try:
            if unit.file not in maps:
                maps[unit.file] = unit.file.map()
            table, n_read = spill.read(unit, maps[unit.file], first, last)
        except OSError as error:
            msg = f"run {self.run}: cannot read back from {self.temp_dir}: {error}."
            raise SpillError(msg) from error
        with self._lock:
            self.read_bytes += n_read
        return table


def _join_small(units: list[Unit | spill.Spilled]) -> list[Unit | spill.Spilled]:
    """Join neighbours that are in memory and have few rows for each partition."""
    joined: list[Unit | spill.Spilled] = []
    group: list[Unit] = []
    n_rows = 0

    def flush() -> None:
        nonlocal n_rows
        together = join(group) if len(group) > 1 else None
        joined.extend(group if together is None else [together])
        group.clear()
        n_rows = 0

    for unit in units:
        enough = _FEW_ROWS * (len(unit.starts) - 1)
        if not isinstance(unit, Unit) or unit.table.num_rows >= enough:
            flush()
            joined.append(unit)
            continue
        group.append(unit)
        n_rows += unit.table.num_rows
        if n_rows >= enough:
            flush()
    flush()
    return joined


def _size(n_bytes: int) -> str:
    """Return bytes as people read them.

    Examples
    --------
    >>> _size(3 * 2**29), _size(5 * 2**20)
    ('1.5 GiB', '5.0 MiB')
    """
    for unit, power in (("GiB", 30), ("MiB", 20)):
        if n_bytes >= 2**power:
            return f"{n_bytes / 2**power:.1f} {unit}"
    return f"{n_bytes / 2**10:.1f} KiB"
