"""Publish: finished parts become the destination.

A file system does it by a rename (:mod:`dlsort.publish.to_folder`). A store has none, so it
takes copies and a marker (:mod:`dlsort.publish.to_store`). In both a record in the job's
folder, written first, lets a later attempt find out how far that went.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dlsort.io import storage
from dlsort.io.storage import is_store, join
from dlsort.publish import to_folder, to_store
from dlsort.publish.publication import RECORD, Publication, Settlement

__all__ = ["may_be_halfway", "publish", "settle"]


def publish(
    publication: Publication,
    others: Callable[[], Sequence[str]],
    on_decided: Callable[[], None],
) -> None:
    """Make a folder of parts the destination.

    Parameters
    ----------
    publication : Publication
        What is published, and where.
    others : callable
        Returns the folders of all jobs with this destination.
    on_decided : callable
        Called once the new will not be undone any more.

    Raises
    ------
    DestinationExistsError
        If it was filled by someone meanwhile.
    DestinationError
        If it can't be written. It is as it was then, unless :func:`may_be_halfway`.
    """
    if is_store(publication.destination):
        to_store.publish(
            to_store.begin(
                publication.parts,
                publication.destination,
                publication.sizes,
                publication.summary,
                publication.report,
                held=publication.held,
                kept=publication.kept,
            ),
            publication.parts,
            publication.destination,
            join(publication.stage, RECORD),
            [join(stage, RECORD) for stage in others() if stage != publication.stage],
            on_decided,
            publication.n_at_once,
            publication.kept,
        )
    else:
        to_folder.publish(publication, on_decided)


def may_be_halfway(stage: str, destination: str) -> bool:
    """Return whether a destination may be neither what it was nor whole.

    In a file system: whether it is the new, and what it was in the job's folder.
    """
    if not is_store(stage):
        return to_folder.is_published(stage, destination)
    try:
        storage.stamp_of(join(stage, RECORD))
    except FileNotFoundError:
        return False
    except OSError:  # out of reach: nothing may be removed
        return True
    return True


def settle(stage: str, destination: str, n_at_once: int) -> Settlement | None:
    """Complete what a job had begun to publish, or undo it.

    In a store ``n_at_once`` objects are removed at once.

    Returns
    -------
    Settlement or None
        If it is published.

    Raises
    ------
    DestinationError
        If a store does not let it, the destination was changed by others since, or what was
        replaced while it was.
    """
    if is_store(stage):
        return to_store.settle(join(stage, RECORD), destination, n_at_once)
    return to_folder.settle(stage, destination)
