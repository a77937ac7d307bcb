"""Where a worker keeps the shards it was sent, in memory or on disk.

One unit an input (see :mod:`dlsort_cluster.wire`). A unit that still fits the
store's budget stays in memory as it came; any other is written to disk by the
thread that brought it, which is the back-pressure. If it is small, all small ones
go with it, joined by partition, so that a partition is read back from few places.
Nothing is taken out on read, so a merge may run again.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa

from dlsort_cluster.arrow_sizes import count_bytes, held_bytes
from dlsort_cluster.exchange import Shards, ShardsLostError, SpillError, SpillFullError
from dlsort_cluster.store import spill
from dlsort_cluster.store.codecs import Codecs
from dlsort_cluster.store.ready import (
    Kept,
    Ready,
    Spilled,
    find_shards,
    is_small,
    make_ready,
    on_disk,
    read_all,
)
from dlsort_cluster.tuning import MEMORY
from dlsort_cluster.wire import Unit, apart, compact

__all__ = ["ShardStore", "StoreClosedError"]

T = TypeVar("T")

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


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
    has_room : callable, optional
        ``has_room(n_bytes)`` returns whether the process may hold so many bytes more: where
        it may not, units go to disk below the limit too.
    whole_share : float
        Of the limit, for units that are kept with all that they hold alive, not copied.
    codecs : Codecs, optional
        What compresses what goes to disk; by default what takes least.

    Attributes
    ----------
    memory_bytes, spilled_bytes, read_bytes : int
        Bytes held in memory, written to disk, read back from disk.

    Notes
    -----
    All methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        run: str,
        worker: str,
        parts: list[int],
        limit_bytes: int,
        temp_dir: str,
        has_room: Callable[[int], bool] | None = None,
        whole_share: float = MEMORY.whole_share,
        codecs: Codecs | None = None,
    ) -> None:
        self.run = run
        self.worker = worker
        self.limit_bytes = limit_bytes
        self._whole_bytes = int(whole_share * limit_bytes)
        self.temp_dir = temp_dir
        self.memory_bytes = 0
        self.spilled_bytes = 0
        self.read_bytes = 0
        self.total_bytes = 0
        self._place = {part: place for place, part in enumerate(parts)}
        self._units: dict[int, Kept | Spilled] = {}
        self._ready: Ready | None = None  # what the units are once all are there
        self._readying = threading.Lock()
        self._taken: set[int] = set()
        self._idle_files: list[spill.SpillFile] = []  # nobody is writing to these
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._has_room = has_room or (lambda n_bytes: True)
        self._makers = 0  # threads that write small units to disk
        self._closed = False
        self._codecs = codecs or Codecs()

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
        small = is_small(unit, n_bytes)
        with self._lock:
            self._check_open()
            if input_id in self._taken:
                return False
            self._taken.add(input_id)
        try:
            with self._lock:
                kept_bytes, as_it_is = self._find_room(n_bytes, held, wait=small)
                self.memory_bytes += kept_bytes or 0
                group = {} if kept_bytes is not None or not small else self._take_small()
            if kept_bytes is not None:
                self._keep(input_id, unit, kept_bytes, as_it_is=as_it_is)
            else:
                self._spill_units(group, {input_id: unit})
        except BaseException:
            with self._lock:
                self._taken.discard(input_id)
            raise
        with self._lock:
            self._check_open()
            self.total_bytes += n_bytes
        return True

    def put_all(self, inputs: Sequence[int], together: Unit) -> list[Unit]:
        """Keep units that have come together, and return those that were not there already.

        Parameters
        ----------
        inputs : sequence of int
            Whose units they are, in their order.
        together : Unit
            The rows and starts of all.

        Raises
        ------
        StoreClosedError, SpillFullError, SpillError
            As :meth:`put`.
        """
        if len(inputs) == 1:
            return [together] if self.put(inputs[0], together) else []
        n_bytes = count_bytes(together.table)
        row_bytes = n_bytes / max(1, together.table.num_rows)
        units = dict(zip(inputs, apart(together, len(inputs)), strict=True))
        with self._lock:
            self._check_open()
            units = {i: unit for i, unit in units.items() if i not in self._taken}
            self._taken.update(units)
        sizes = {i: int(unit.table.num_rows * row_bytes) for i, unit in units.items()}
        group: dict[int, Kept] = {}
        try:
            with self._lock:
                kept_bytes, _ = self._find_room(n_bytes, n_bytes, wait=True)
                if kept_bytes is None:
                    group = self._take_small()
                else:
                    # They share their memory, and count for it together.
                    self._units.update({i: Kept(u, sizes[i]) for i, u in units.items()})
                    self.memory_bytes += sum(sizes.values())
            if kept_bytes is None:
                self._spill_units(group, units)
        except BaseException:
            with self._lock:
                self._taken.difference_update(units)
            raise
        with self._lock:
            self._check_open()
            self.total_bytes += n_bytes
        return list(units.values())

    def _find_room(self, n_bytes: int, held: int, *, wait: bool) -> tuple[int | None, bool]:
        """Return what a unit counts for in memory (None: no room), and if it is not copied."""
        while True:
            self._check_open()
            as_it_is = self.memory_bytes + held <= self._whole_bytes
            kept_bytes = held if as_it_is else n_bytes
            fits = self.memory_bytes + kept_bytes <= self.limit_bytes
            if fits and self._has_room(0 if as_it_is else n_bytes):
                return kept_bytes, as_it_is
            if not (wait and self._makers):
                return None, False
            self._room.wait()

    def _keep(self, input_id: int, unit: Unit, kept_bytes: int, *, as_it_is: bool) -> None:
        try:
            table = unit.table if as_it_is else compact(unit.table)
            with self._lock:
                self._check_open()
                self._units[input_id] = Kept(Unit(table, unit.starts), kept_bytes)
        except BaseException:
            with self._lock:
                if not self._closed:
                    self.memory_bytes -= kept_bytes
            raise

    def read(self, part: int, n_inputs: int) -> Shards:
        """Return a partition's shards in input order.

        Shards without rows are left out, but for one if all are empty. What is on disk
        is read later, also if the store is closed by then.

        Raises
        ------
        ShardsLostError
            If the unit of one of the ``n_inputs`` inputs is not there.
        StoreClosedError
            If the store is closed.
        """
        shards = find_shards(self._make_ready(part, n_inputs), self._place[part])
        return Shards(
            [shard.schema for shard in shards],
            [shard.n_rows for shard in shards],
            sum(shard.n_bytes for shard in shards),
            lambda number, first, last: self._read(lambda: shards[number].read(first, last)),
            lambda: self._read(lambda: read_all(shards)),
        )

    def _read(self, read: Callable[[], tuple[T, int]]) -> T:
        try:
            found, n_read = read()
        except (OSError, pa.ArrowException) as error:
            place = f"{self.temp_dir} on {self.worker}"
            msg = f"run {self.run}: cannot read back from {place}: {error}."
            raise SpillError(msg) from error
        with self._lock:
            self.read_bytes += n_read
        return found

    def _make_ready(self, part: int, n_inputs: int) -> Ready:
        with self._readying:
            with self._lock:
                self._check_open()
                if self._ready is not None:
                    return self._ready
                units = {i: self._units[i] for i in range(n_inputs) if i in self._units}
            if len(units) < n_inputs:
                missing = next(i for i in range(n_inputs) if i not in units)
                msg = (
                    f"run {self.run}: input {missing} of {n_inputs} never reached"
                    f" {self.worker}, which needs it for partition {part}."
                    " This is a bug: please report it."
                )
                raise ShardsLostError(msg)
            ready = make_ready(units, len(self._place))
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
            self._room.notify_all()

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

    def shed(self, wanted: int) -> int:
        """Write units that wait in memory to disk, at least so many bytes if there are.

        Returns
        -------
        int
            The bytes that were written; some may be freed only when a merge has read them.

        Raises
        ------
        StoreClosedError
            If the store is closed.
        SpillFullError, SpillError
            If a unit could not be written; it is kept.
        """
        done = 0
        with self._readying:  # no unit is away while all are counted
            while done < wanted:
                n_bytes = self._shed_ready() if self._ready else self._shed_some()
                if not n_bytes:
                    break
                done += n_bytes
        return done

    def _shed_some(self) -> int:
        """Write the small units that are there, or else the largest one."""
        with self._lock:
            self._check_open()
            group = self._take_small()
            if not group:
                kept = [i for i, unit in self._units.items() if isinstance(unit, Kept)]
                if not kept:
                    return 0
                largest = max(kept, key=lambda i: self._units[i].n_bytes)  # type: ignore[union-attr]
                group = {largest: self._units.pop(largest)}  # type: ignore[dict-item]
                self._makers += 1
        self._spill_units(group, {})
        return sum(kept.n_bytes for kept in group.values())

    def _shed_ready(self) -> int:
        """Write the largest unit of those that are ready to be read."""
        with self._lock:
            self._check_open()
            ready = self._ready
        if ready is None or not ready.units:
            return 0
        place = int(np.argmax(ready.n_bytes))
        n_bytes = ready.n_bytes[place]
        run = self._spill([ready.units[place]], n_bytes)
        with self._lock:
            self._check_open()
            self._ready = on_disk(ready, place, run)
            # What units hold beside their own rows goes with the last of them.
            left = max(0, self.memory_bytes - n_bytes)
            self.memory_bytes = left if self._ready.units else 0
        return max(1, n_bytes)

    def _take_small(self) -> dict[int, Kept]:
        """Take small units out of memory, up to half of it, to be written together."""
        group: dict[int, Kept] = {}
        wanted = self.limit_bytes / 2
        for input_id, kept in self._units.items():
            if wanted <= 0:
                break
            if isinstance(kept, Kept) and is_small(kept.unit, kept.n_bytes):
                group[input_id] = kept
                wanted -= kept.n_bytes
        for input_id in group:
            del self._units[input_id]
        self._makers += bool(group)
        return group

    def _spill_units(self, group: dict[int, Kept], new: dict[int, Unit]) -> None:
        """Write units to disk, some of them taken out of memory; on an error these are kept."""
        units = {**{i: kept.unit for i, kept in group.items()}, **new}
        n_bytes = sum(count_bytes(unit.table) for unit in units.values())
        inputs = sorted(units)
        try:
            if spill.can_join([units[i] for i in inputs]):
                run = self._spill([units[i] for i in inputs], n_bytes)
                found = {i: Spilled(run, member) for member, i in enumerate(inputs)}
            else:
                found = {i: Spilled(self._spill([units[i]], n_bytes), 0) for i in inputs}
        except BaseException:
            with self._lock:
                if not self._closed:
                    self._units.update(group)
            raise
        else:
            with self._lock:
                self._check_open()
                self._units.update(found)
                self.memory_bytes -= sum(kept.n_bytes for kept in group.values())
        finally:
            if group:
                with self._lock:
                    self._makers -= 1
                    self._room.notify_all()

    def _spill(self, units: list[Unit], n_bytes: int) -> spill.Run:
        """Write units to disk, or leave no trace of them."""
        with self._lock:
            file = self._idle_files.pop() if self._idle_files else None
        try:
            file = file or spill.SpillFile(self.temp_dir)
            with self._codecs.choose(n_bytes) as codec:
                run = spill.write(file, units, codec)
        except OSError as error:
            raise self._spill_error(error, n_bytes) from error
        with self._lock:
            self.spilled_bytes += run.end - run.begin
            if not self._closed:
                self._idle_files.append(file)
        return run

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
