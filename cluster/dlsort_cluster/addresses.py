"""Addresses: what messages call a worker, and of which one they tell that it lacks a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import get_worker

__all__ = ["is_told", "naming_this_worker", "worker_name"]

# What is raised where nothing is mounted, or something else.
_UNSEEN = (FileNotFoundError, NotADirectoryError, PermissionError)


def is_told(address: str) -> bool:
    """Return whether an address says something to people: one in this process does not."""
    return "://" in address and not address.startswith("inproc://")


def worker_name(address: str, given: object = None) -> str:
    """Return what messages call a worker.

    Parameters
    ----------
    address : str
        Its address.
    given : str or int, optional
        Its name in Dask: a number, or its address, if nobody gave it one.

    Examples
    --------
    >>> worker_name("tcp://10.0.0.4:4001", "bare one")
    "worker 'bare one' (tcp://10.0.0.4:4001)"
    >>> worker_name("tcp://10.0.0.4:4001"), worker_name("inproc://10.0.0.4/1/2")
    ('worker tcp://10.0.0.4:4001', 'a worker in the process of the client')
    """
    if is_told(address):
        is_given = isinstance(given, str) and given not in ("", address)
        return f"worker {given!r} ({address})" if is_given else f"worker {address}"
    return "a worker in the process of the client"


@contextmanager
def naming_this_worker() -> Iterator[None]:
    """Have an error of a file that is not seen name the worker, if this is one elsewhere.

    It stays of its class, with its ``errno``.
    """
    try:
        yield
    except _UNSEEN as error:
        try:
            worker = get_worker()
            address, given = worker.address, worker.name
        except ValueError:  # no worker
            address = given = ""
        # those of who uses this package tell enough, and so does what was told already
        if type(error) not in _UNSEEN or not is_told(address) or address in str(error):
            raise
        verb = "may not open" if isinstance(error, PermissionError) else "does not see"
        what = error.filename or f"a file of the source ({error.strerror or error})"
        msg = (
            f"{worker_name(address, given)} {verb} {what}. If the client does, mount it there "
            "under the same path, for the same user."
        )
        code = [] if error.errno is None else [error.errno]
        raise type(error)(*code, msg) from error
