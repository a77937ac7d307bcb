"""Units for a worker of the same machine: in memory that both can look at.

The sender writes a unit to a file without a name that lies in memory (Linux'
``memfd_create``) and sends where it is; the receiver maps it. So rows are copied
once, where a socket copies them three times, through both event loops. What
keeps the memory is the sender's descriptor, until the receiver has answered,
and then the receiver's map: nothing is left behind when either is killed.

A worker sees the files of another if both run under one user in one container;
where it does not, the units are sent (:class:`NotSharedError`).
"""

from __future__ import annotations

import itertools
import json
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dlsort_cluster.wire import write_stream

__all__ = ["NotSharedError", "SharedStream", "attach", "share"]

# A smaller unit is sent: to make and map a file takes as long as to send this.
_FEWEST_BYTES = 256 * 2**10

# Share of the files a process may open that may wait to be mapped.
_OPEN_SHARE = 0.125


class NotSharedError(Exception):
    """That memory can't be seen from this process."""


class Place(NamedTuple):
    """Where shared memory is, as a message tells it.

    ``machine`` names the running kernel and the process namespace, ``inode`` and
    ``device`` the file: a number of a process or a descriptor alone may stand for
    another one in another container, or later.
    """

    machine: str
    process: int
    descriptor: int
    device: int
    inode: int


# Numbers of the streams that are open. A set, not a semaphore: streams may end
# with the garbage, at a moment when this thread is just taking a lock.
_open: set[int] = set()
_numbers = itertools.count()


class SharedStream:
    """An IPC stream in shared memory, kept until it is closed.

    Attributes
    ----------
    n_bytes : int
        Size of the stream.
    """

    def __init__(self, table: pa.Table) -> None:
        self._number = next(_numbers)
        self._fd = os.memfd_create("dlsort-unit", os.MFD_CLOEXEC)
        _open.add(self._number)
        try:
            # By path, as Arrow would close a descriptor of ours.
            with pa.OSFile(f"/proc/self/fd/{self._fd}", "wb") as file:
                write_stream(table, file)
            status = os.fstat(self._fd)
        except BaseException:
            self.close()
            raise
        self.n_bytes = status.st_size
        self._place = Place(_machine(), os.getpid(), self._fd, status.st_dev, status.st_ino)

    def place(self) -> bytes:
        """Return where another process finds it, for :func:`attach`."""
        return json.dumps(self._place).encode()

    def read(self) -> npt.NDArray[np.uint8]:
        """Return the stream itself, to be sent after all.

        Raises
        ------
        NotSharedError
            If it is closed.
        """
        if self._number not in _open:
            msg = "it is closed"
            raise NotSharedError(msg)
        # Through its own descriptor: the reason to send it may be that there is no other left.
        stream = np.empty(self.n_bytes, np.uint8)
        done = 0
        while done < self.n_bytes:
            n_read = os.preadv(self._fd, [stream[done:].data], done)
            if not n_read:
                msg = "it is shorter than it was"
                raise NotSharedError(msg)
            done += n_read
        return stream

    def close(self) -> None:
        """Let go of it; a receiver that has it mapped keeps it.

        May be called twice, and from two threads at once.
        """
        try:
            _open.remove(self._number)
        except KeyError:
            return
        os.close(self._fd)

    def __sizeof__(self) -> int:
        """Tell Dask what it keeps in memory."""
        return self.n_bytes

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            self.close()


def share(table: pa.Table, n_bytes: int) -> SharedStream | None:
    """Write a table to shared memory, or return None where it had better be sent.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of one unit.
    n_bytes : int
        What they take, about.
    """
    if n_bytes < _FEWEST_BYTES or len(_open) >= _most_open():
        return None
    try:
        return SharedStream(table)
    except OSError:  # no descriptor or no memory left
        return None


def attach(place: bytes) -> npt.NDArray[np.uint8]:
    """Map a stream that another process shares; it lives as long as the array.

    Raises
    ------
    NotSharedError
        If this process can't see it.
    """
    where = Place(*json.loads(place))
    if where.machine != _machine():
        msg = f"{where}: on another machine than {_machine()}"
        raise NotSharedError(msg)
    try:
        fd = os.open(f"/proc/{where.process}/fd/{where.descriptor}", os.O_RDONLY)
        try:
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) != (where.device, where.inode):
                msg = f"{where}: another file by now"
                raise NotSharedError(msg)
            return _map(fd)
        finally:
            os.close(fd)
    except OSError as error:  # also one descriptor or map too many
        raise NotSharedError(str(error)) from error


def _map(fd: int) -> npt.NDArray[np.uint8]:
    # Arrow's maps need no descriptor to stay open, Python's do.
    with pa.memory_map(f"/proc/self/fd/{fd}") as file:
        return np.frombuffer(file.read_buffer(), np.uint8)


@cache
def _machine() -> str:
    """Name the running kernel and the process namespace, or nothing."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


@cache
def _most_open() -> int:
    """Return how many files may wait to be mapped: none where memory can't be shared."""
    if not hasattr(os, "memfd_create") or not _machine():
        return 0
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return int(_OPEN_SHARE * soft) if soft > 0 else 2**10
