"""Publish to a folder: by one rename, or an exchange of two folders' names.

A reader sees all of the parts, or what was there before.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dlsort.errors import DestinationError, DestinationExistsError
from dlsort.io import storage
from dlsort.io.storage import join, write_error
from dlsort.publish.destination import check_unchanged, filled, named
from dlsort.publish.publication import RECORD, Publication, Settlement
from dlsort.publish.replaceable import look, unseen

__all__ = ["is_published", "publish", "settle"]


def publish(publication: Publication, on_decided: Callable[[], None]) -> None:
    """Rename the folder of parts, as :func:`dlsort.publish.to_destination.publish`."""
    parts, destination, aside = (
        Path(publication.parts),
        Path(publication.destination),
        Path(publication.aside),
    )
    identity = _identity(parts)
    if identity is None:
        msg = f"the finished parts are not in {parts} any more; nothing was published."
        raise DestinationError(msg)
    if _sizes(parts) != dict(
        publication.sizes
    ):  # old data, if another client has resumed our job
        msg = f"{parts} does not hold the parts that were proved; nothing was published."
        raise DestinationError(msg)
    is_done = False
    try:
        check_unchanged(publication.destination, publication.held, publication.destination)
        if destination.exists():  # who may read the old may read the new
            parts.chmod(stat.S_IMODE(destination.stat().st_mode))
        _keep_record(publication, identity)
        folders = {parts.joinpath(name).parent for name in publication.sizes}
        for path in (Path(publication.stage, RECORD), Path(publication.stage), parts):
            _sync(path)
        for path in sorted(folders | {above for each in folders for above in each.parents}):
            if path != parts and path.is_relative_to(parts):
                _sync(path)
        if not (publication.held and destination.exists()):
            is_done = True
            _move(parts, destination)
        elif _exchange(parts, destination):
            check_unchanged(publication.parts, publication.held, publication.destination)
            is_done = True
        else:
            destination.rename(aside)
            check_unchanged(publication.aside, publication.held, publication.destination)
            is_done = True
            _move(parts, destination)
        _sync(destination.parent)
        on_decided()
    except BaseException as error:  # Ctrl-C too: the old one must not stay aside
        if _is(destination, identity) and is_done:
            on_decided()
            return  # all that was wanted is done
        with suppress(OSError):
            if _is(destination, identity):
                _exchange(parts, destination)
            elif not destination.exists() and aside.exists():
                aside.rename(destination)
        failure = _in_words(error, destination)
        if _identity(aside) is not None:
            failure.add_note(f"What {destination} held is in {aside}: rename that back.")
        if failure is error:
            raise
        raise failure from error
    finally:
        if _is(destination, identity) and is_done:
            storage.remove_all(str(aside))


def _move(parts: Path, destination: Path) -> None:
    """Rename parts to a destination that is not there, or an empty folder if they are one."""
    if parts.is_dir():
        parts.rename(destination)
        return
    try:
        destination.hardlink_to(parts)  # which takes no other file's place, as a rename does
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        parts.rename(destination)
    else:
        parts.unlink()


def is_published(stage: str, destination: str) -> bool:
    """Return whether a job's parts are the destination."""
    record = _read_record(stage)
    return record is not None and _is(Path(destination), record["identity"])


def settle(stage: str, destination: str) -> Settlement | None:
    """Say how a job has ended, as :func:`dlsort.publish.to_destination.settle`."""
    record = _read_record(stage)
    if record is None:
        return None
    identity, sizes, held = record["identity"], record["sizes"], record["held"]
    parts, aside = Path(stage, record["parts"]), Path(stage, record["aside"])
    is_there = _is(Path(destination), identity)
    # A device may have another number since: then its files are compared.
    if not is_there and (_is(parts, identity) or _sizes(parts) == sizes):
        return None
    # What is in the job's folder now, or aside, is what was replaced.
    for old in (parts, aside):
        new = sorted(unseen(look(str(old)), held))
        if new:
            msg = (
                f"{old} is what {destination} held before it was replaced, but someone has "
                f"written to it meanwhile: {named(new)}. Move that away from there, and try "
                "again."
            )
            raise DestinationExistsError(msg)
    return Settlement(
        record["report"], is_intact=is_there and _sizes(Path(destination)) == sizes
    )


def _sizes(folder: Path) -> dict[str, int] | None:
    with suppress(OSError):
        if folder.exists():
            held = look(str(folder))
            return {name: size for name, (size, _) in held.items() if name[-1:] != "/"}
    return None


def _keep_record(publication: Publication, identity: list[int]) -> None:
    record = {
        "identity": identity,
        "parts": os.path.relpath(publication.parts, publication.stage),
        "aside": os.path.relpath(publication.aside, publication.stage),
        "sizes": dict(publication.sizes),
        "held": dict(publication.held),
        "report": publication.report,
    }
    with suppress(OSError):  # a full disk: only a later attempt would know less
        storage.replace(join(publication.stage, RECORD), json.dumps(record).encode())


def _read_record(stage: str) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads(Path(stage, RECORD).read_bytes())
        kinds = {"identity": list, "parts": str, "aside": str}
        kinds |= {"sizes": dict, "held": dict, "report": dict}
        if all(isinstance(record[name], kind) for name, kind in kinds.items()):
            return dict(record)
    return None


def _in_words(error: BaseException, destination: Path) -> BaseException:
    """Return the sentence for what a file system has refused; any other error as it is."""
    if not isinstance(error, OSError) or isinstance(error, DestinationError):
        return error
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
        return filled(destination)
    return write_error(error, destination)


def _identity(folder: Path) -> list[int] | None:
    """Return what stays with a folder when it is renamed; None if there is none."""
    with suppress(OSError):
        status = folder.lstat()
        return [status.st_dev, status.st_ino]
    return None


def _is(folder: Path, identity: object) -> bool:
    return identity is not None and _identity(folder) == identity


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders' names in one step; False where no system call can.

    Linux' ``renameat2``, which Python has no function for.

    Raises
    ------
    OSError
        If it fails for another reason.
    """
    at_cwd, exchange = -100, 2
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):  # NFS, FUSE, gVisor
        return False
    raise OSError(number, os.strerror(number), str(other))


def _sync(path: Path) -> None:
    """Have a file, or a folder's entries, on disk, where that can be done."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
