"""Recover: complete or undo what a client began that died while it replaced the destination.

If it had published, what it left is removed; old data that were moved aside are restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dlsort.errors import DestinationExistsError, DlsortError, ResumeError
from dlsort.io.paths import check_path
from dlsort.io.storage import filesystem, is_store, join, remove_all, write_error
from dlsort.publish.destination import place_of
from dlsort.publish.job_file import JobFile
from dlsort.publish.job_folder import (
    JOB,
    PARTIAL,
    REPLACED,
    folders_beside,
    is_locked,
    remove_folder,
    try_lock,
    unlock,
)
from dlsort.publish.to_destination import may_be_halfway, settle

__all__ = ["Settled", "recover"]


class Settled(NamedTuple):
    """A job whose client ended after, or while, its parts were published."""

    job: JobFile
    report: Mapping[str, Any]


def recover(dst: str | Path, *, resume: bool, n_at_once: int) -> Settled | None:
    """Complete or undo what a client left that died while it replaced the destination.

    Parameters
    ----------
    dst : str or Path
        The destination as given.
    resume : bool
        In a store: nobody is at work on it. What has all new parts there is completed.
    n_at_once : int
        Objects of a store that are removed at once.

    Returns
    -------
    Settled or None
        The job that is published now, if there is one.

    Raises
    ------
    ResumeError
        If a sort in a store may still publish.
    DestinationExistsError
        If there are old and new data, and nobody can tell which are wanted.
    DestinationError
        If it can't be read or written.
    """
    check_path(dst, "destination")
    try:
        if is_store(dst):
            return _settle_store(place_of(dst), n_at_once, resume=resume)
        return _settle_folder(place_of(dst), n_at_once)
    except DlsortError:  # some are OSErrors
        raise
    except OSError as error:
        raise write_error(error, dst) from error


def _settle_folder(destination: str, n_at_once: int) -> Settled | None:
    settled = None
    for stage in folders_beside(destination, PARTIAL):
        lock = try_lock(stage)
        try:
            job = JobFile.read(join(stage, JOB))
            done = None
            if lock is not None and job is not None:
                done = settle(stage, destination, n_at_once)
            if done is not None and job is not None:
                if done.is_intact:
                    settled = Settled(job, done.report)
                    remove_all(stage.removesuffix(PARTIAL) + REPLACED)
                remove_folder(stage)
        finally:
            unlock(lock, stage)
    for old in folders_beside(destination, REPLACED):
        at_work = is_locked(old.removesuffix(REPLACED) + PARTIAL)
        with suppress(OSError):
            if not at_work:
                Path(destination).rmdir()  # an empty one, made by someone who missed it
        if Path(destination).exists():
            if at_work or not Path(old).exists():  # restored by another client
                continue
            msg = (
                f"{destination} was filled by someone while a sort that was killed, or failed, "
                f"had moved what it held to {old}. Keep one of the two, and remove or rename "
                "the other."
            )
            raise DestinationExistsError(msg)
        if at_work:
            msg = (
                f"a sort is replacing {destination}, or was killed while it did: its file "
                f"system has no locks to tell which. What it held is in {old}; if no sort is "
                f"at work, rename that to {destination}."
            )
            raise DestinationExistsError(msg)
        with suppress(FileNotFoundError):  # another client was faster
            Path(old).rename(destination)
    return settled


def _settle_store(destination: str, n_at_once: int, *, resume: bool) -> Settled | None:
    if "/" not in destination.split("://", 1)[1]:
        return None
    filesystem(destination)  # refused by its own name if there is none
    settled = None
    for stage in folders_beside(destination, PARTIAL):
        if not may_be_halfway(stage, destination):
            continue
        if not resume:
            msg = (
                f"a sort has begun to publish to {destination}, and is still at it, or ended "
                "before that was done. If it ended, resume=True (--resume) completes it."
            )
            raise ResumeError(msg)
        done = settle(stage, destination, n_at_once)
        if done is not None:
            job = JobFile.read(join(stage, JOB))
            if job is not None and done.is_intact:
                settled = Settled(job, done.report)
            remove_folder(stage)
    return settled
