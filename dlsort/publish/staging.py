"""Staging: the hidden folder beside the destination that a job writes to until it is proved.

    .out.5f0c….partial/
        job.json          what the job is; locked as long as its client lives
        publish.json      how far it has published (see :mod:`dlsort.publish.to_folder`)
        move, range, exchange/
            parts/ …      of one strategy (see :mod:`dlsort.publish.finished`)

Once every part is there and proved, one rename makes ``parts`` the destination; until then
that is as it was. What a client leaves that is killed, or loses its cluster, is resumed by the
next sort with ``resume``, and removed by the next one that publishes.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from dlsort.errors import (
    ClusterError,
    CorruptSourceError,
    DestinationExistsError,
    DlsortError,
    DlsortWarning,
    NotProvedError,
    ResumeError,
    SourceChangedError,
    SourceUnsupportedError,
)
from dlsort.io.parts import PARTS, make_folders
from dlsort.io.sinks.sink import Sink
from dlsort.io.storage import (
    is_store,
    join,
    make_folder,
    names_in,
    remove_all,
    replace,
    write_error,
)
from dlsort.publish.finished import finished_parts
from dlsort.publish.job_file import JobFile
from dlsort.publish.job_folder import (
    JOB,
    PARTIAL,
    REPLACED,
    folders_beside,
    is_locked,
    remove_folder,
    split_name,
    try_lock,
    unlock,
    write_locked,
)
from dlsort.publish.joined import join_to
from dlsort.publish.poured import pour_to
from dlsort.publish.publication import Publication
from dlsort.publish.replaceable import Held
from dlsort.publish.to_destination import may_be_halfway, publish

__all__ = ["Abandoned", "Staging", "find_abandoned", "staging"]

JOINED = "joined.parquet"
POURED = "poured"


class Abandoned(NamedTuple):
    """What an earlier attempt has left, whose client is not there any more."""

    folder: str
    n_finished: int
    n_parts: int


class Staging:
    """A job's folder.

    Attributes
    ----------
    folder : str
        The folder itself.
    job : JobFile
        What the job is; with what an earlier attempt has chosen, if it resumes one.
    is_resumed : bool
        It resumes an earlier attempt.
    """

    def __init__(self, folder: str, job: JobFile, *, is_resumed: bool) -> None:
        self.folder = folder
        self.job = job
        self.is_resumed = is_resumed
        self._strategy: str | None = None
        self._joined: str | None = None
        self._proved: tuple[Mapping[str, int], Mapping[str, Any], Mapping[str, Any]] | None
        self._proved = None
        self._kept: Mapping[str, str] = {}

    def begin(self, name: str) -> str:
        """Return the folder of a strategy, made if it isn't there.

        The parts of the strategy that was begun last are published.
        """
        folder = self._strategy = join(self.folder, name)
        try:
            make_folders(folder)
        except OSError as error:
            raise write_error(error, folder) from error
        return folder

    @property
    def parts(self) -> str:
        """The folder that is to be published, once it is whole and proved."""
        if self._strategy is None:
            msg = "no strategy was begun"
            raise AssertionError(msg)
        return self._joined or join(self._strategy, PARTS)

    def join(self, names: Sequence[str]) -> dict[str, int]:
        """Make one file of the parts, in order, which is published in their place.

        Returns
        -------
        dict of str to int
            Its size, under the name that a file has below itself: none.

        Raises
        ------
        DestinationError
            If it can't be written.
        """
        path = join(self.folder, JOINED)
        paths = [join(self.parts, name) for name in names]
        try:
            n_bytes = join_to(paths, path)
        except OSError as error:
            raise write_error(error, path) from error
        self._joined = path
        return {"": n_bytes}

    def pour(
        self, names: Sequence[str], sink: Sink, n_threads: int, *, single_file: bool
    ) -> tuple[dict[str, int], int]:
        """Write the parts, in order, in another format, which is published in their place.

        Returns
        -------
        sizes : dict of str to int
            Of the files, as of :meth:`join` if it is one.
        n_rows : int
            Rows that were written.

        Raises
        ------
        DestinationError
            If they can't be written.
        """
        place = join(self.folder, POURED)
        paths = [join(self.parts, name) for name in names]
        remove_all(place)  # an earlier attempt's
        try:
            sizes, n_rows = pour_to(place, paths, sink, n_threads, single_file=single_file)
        except OSError as error:
            raise write_error(error, place) from error
        self._joined = place
        return sizes, n_rows

    def prove(
        self,
        sizes: Mapping[str, int],
        summary: Mapping[str, Any],
        report: Mapping[str, Any],
        kept: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Note that the parts are whole and proved, so that they are published.

        Parameters
        ----------
        sizes : mapping of str to int
            The parts' names and sizes.
        summary : mapping
            What the marker in a store says of them.
        report : mapping
            The job's.
        kept : mapping of str to str
            Those that a store's destination holds already, by what they are to be called.
        """
        self._proved, self._kept = (sizes, summary, report), kept

    def publication(self, destination: str, held: Held, n_at_once: int) -> Publication:
        """Return what is to be published where."""
        if self._proved is None:
            msg = "the parts were not proved"
            raise AssertionError(msg)
        sizes, summary, report = self._proved
        return Publication(
            parts=self.parts,
            destination=destination,
            held=held,
            stage=self.folder,
            aside=self.folder.removesuffix(PARTIAL) + REPLACED,
            sizes=sizes,
            summary=summary,
            report=report,
            n_at_once=n_at_once,
            kept=self._kept,
        )

    def has_strategy(self, name: str) -> bool:
        """Return whether a strategy was begun."""
        return bool(names_in(join(self.folder, name)))

    def drop_strategy(self, name: str) -> None:
        """Remove all that a strategy has made."""
        remove_all(join(self.folder, name))


@contextmanager
def staging(
    destination: str,
    job: JobFile,
    *,
    held: Held,
    resume: bool,
    partitions: int | None,
    n_at_once: int,
    on_decided: Callable[[], None],
) -> Iterator[Staging]:
    """Give a folder for the parts; publish them once they are proved, or leave no trace.

    What is finished is kept on failure if the cluster failed, or if ``resume`` is set:
    unless it is the source or the proof that failed.

    Parameters
    ----------
    destination : str
        Where the folder goes. What is there is kept until the new is complete.
    job : JobFile
        What the job is.
    held : mapping
        What the destination holds, which is replaced.
    resume : bool
        Resume what an earlier attempt has left, if it has.
    partitions : int or None
        As the user gave it.
    n_at_once : int
        Objects of a store that are copied, or removed, at once.
    on_decided : callable
        Called once publishing will not be undone any more.

    Yields
    ------
    Staging

    Raises
    ------
    ResumeError
        If what is left is of another job, or its client is still at work.
    DestinationError
        If the folder can't be made or moved.
    """
    new_folders = _missing_above(destination)
    lock, folder, is_publishing = None, None, False
    try:
        try:
            stage, lock = _open(destination, job, resume=resume, partitions=partitions)
        except DlsortError:  # some are OSErrors
            raise
        except OSError as error:
            raise write_error(error, destination) from error
        folder = stage.folder
        yield stage
        publication = stage.publication(destination, held, n_at_once)
        is_publishing = True
        publish(publication, lambda: folders_beside(destination, PARTIAL), on_decided)
    except BaseException as error:
        if folder is not None:
            if is_publishing and may_be_halfway(folder, destination):
                error.add_note(
                    f"{destination} may be neither what it was nor whole: the same again with "
                    f"resume=True (--resume) makes it whole from {folder}."
                )
                raise
            n_finished = _n_finished(folder)
            if n_finished and _is_worth_keeping(error, resume=resume):
                error.add_note(
                    f"{n_finished:,} of {stage.job.n_parts:,} parts are finished and kept in "
                    f"{folder}: the same again with resume=True (--resume) resumes from them."
                )
                raise
            remove_folder(folder)
        for parent in new_folders:
            with suppress(OSError):
                parent.rmdir()
        raise
    else:
        remove_folder(folder)
    finally:
        if folder is not None:
            unlock(lock, folder)
    places = [folder, publication.aside]
    if not is_store(destination):  # there it can't be seen if a client is still at work
        for other in folders_beside(destination, PARTIAL):
            left = try_lock(other)
            if left is not None:
                remove_folder(other)
                unlock(left, other)
                places.append(other)
    _warn_of_left(destination, places)


def _warn_of_left(destination: str, places: Iterable[str]) -> None:
    """Warn of what could not be removed; the destination is as it should be all the same."""
    for place in dict.fromkeys(places):
        with suppress(OSError):  # a store out of reach
            if names_in(place):
                msg = (
                    f"{destination} is complete, but old files could not be removed: they are "
                    f"in {place}; remove that by hand."
                )
                warnings.warn(msg, DlsortWarning, stacklevel=2)


def find_abandoned(destination: str) -> list[Abandoned]:
    """Return what earlier attempts at a destination have left, most finished parts first.

    One whose job file is damaged has no parts to resume from.
    """
    abandoned = []
    for folder in folders_beside(destination, PARTIAL):
        lock = try_lock(folder)
        if lock is not None:
            job = JobFile.read(join(folder, JOB))
            abandoned.append(
                Abandoned(folder, _n_finished(folder), job.n_parts)
                if job is not None
                else Abandoned(folder, 0, 0)
            )
        unlock(lock, folder)
    return sorted(abandoned, key=lambda left: left.n_finished, reverse=True)


def _n_finished(folder: str) -> int:
    strategies = [join(folder, name) for name in names_in(folder) if name != JOB]
    return max((len(finished_parts(strategy)) for strategy in strategies), default=0)


def _is_worth_keeping(error: BaseException, *, resume: bool) -> bool:
    hopeless = (
        NotProvedError,
        CorruptSourceError,
        SourceChangedError,
        SourceUnsupportedError,
        DestinationExistsError,
    )
    return isinstance(error, ClusterError) or (resume and not isinstance(error, hopeless))


def _missing_above(destination: str) -> list[Path]:
    """Return the folders above a destination that will have to be made."""
    if is_store(destination):
        return []
    parent = Path(destination).parent
    return [path for path in (parent, *parent.parents) if not path.exists()]


def _open(
    destination: str, job: JobFile, *, resume: bool, partitions: int | None
) -> tuple[Staging, int | None]:
    """Return the folder and its lock: one that was left, or a fresh one."""
    if resume:
        differs = None
        for left in find_abandoned(destination):
            lock = try_lock(left.folder)
            kept = JobFile.read(join(left.folder, JOB))
            if lock is not None and kept is not None:
                try:
                    resumed = job.resuming(kept, partitions=partitions)
                    return Staging(left.folder, resumed, is_resumed=True), lock
                except ResumeError as error:
                    differs = differs or error
            unlock(lock, left.folder)
        if differs is not None:
            raise differs
        if any(map(is_locked, folders_beside(destination, PARTIAL))):
            msg = (
                f"another sort is at work on {destination}, or its file system has no locks to "
                "tell; wait until it has ended, or leave resume (--resume) out."
            )
            raise ResumeError(msg)
    above, name = split_name(destination)
    folder = join(above, f".{name}.{uuid.uuid4().hex[:12]}{PARTIAL}")
    lock = None
    try:
        if is_store(folder):
            replace(join(folder, JOB), job.to_json())
        else:
            make_folder(folder)
            lock = write_locked(Path(folder, JOB), job.to_json())
    except BaseException:
        remove_all(folder)
        unlock(lock, folder)
        raise
    return Staging(folder, job, is_resumed=False), lock
