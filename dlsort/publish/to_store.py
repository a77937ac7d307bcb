"""Publish to a store, which has no rename.

The parts are copied beside what is there, under names of their own; when all are there, the old
objects are removed, and a marker, ``_SUCCESS``, is written last: while it isn't there, the
destination is not whole. A record says which objects are the old and which the new. Whatever
else is found in the destination on the way is someone else's: then nothing is removed.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from dlsort.errors import DestinationError
from dlsort.io import storage
from dlsort.io.storage import filesystem, join, remove, write_error
from dlsort.publish.destination import MARKER, filled, named
from dlsort.publish.publication import Settlement
from dlsort.publish.replaceable import Held, look, unseen

__all__ = ["Record", "begin", "publish", "settle"]


_RESUMED = "another client has resumed this sort"


class _OthersError(Exception):
    """The destination holds what neither was there nor was put there."""


class _ClaimedError(_OthersError):
    """Another client undoes what this one has copied, or completes it."""


@dataclass(frozen=True)
class Record:
    """How a job publishes, kept in its folder until that is done.

    Attributes
    ----------
    tag : str
        12 hexadecimal digits of this attempt's own: another client may resume the job.
    files : dict of str to int
        The parts' names in the destination, with the tag, and their sizes.
    old : dict of str to [int, str]
        What was there, but for the marker, and its stamps.
    marker : str or None
        The marker that was there.
    summary : mapping
        What the new one says of the parts.
    report : mapping
        The job's.
    is_copied : bool
        All parts are there: what is old may go.
    """

    tag: str
    files: dict[str, int]
    old: dict[str, list[Any]]
    marker: str | None
    summary: Mapping[str, Any]
    report: Mapping[str, Any]
    is_copied: bool = False

    @staticmethod
    def read(path: str) -> Record | None:
        """Return the record in a file; None if it isn't there.

        Raises
        ------
        ValueError, TypeError
            If it holds no such record.
        """
        try:
            record = Record(**json.loads(storage.read_bytes(path)))
        except FileNotFoundError:
            return None
        form = re.compile(rf"([^/=]+=[^/]*/)*part-\d+(-\d+)?-{record.tag}\.parquet")
        is_tag = re.fullmatch("[0-9a-f]{12}", record.tag)
        if not is_tag or not all(map(form.fullmatch, record.files)):
            msg = "it names files that are none of the job's"
            raise ValueError(msg)
        return record

    def keep(self, path: str) -> None:
        """Write it."""
        storage.replace(path, json.dumps(asdict(self)).encode())

    @property
    def new_marker(self) -> bytes:
        """The marker that says that all is there."""
        return json.dumps({**self.summary, "files": sorted(self.files)}, indent=2).encode()


def begin(
    parts: str,
    destination: str,
    sizes: Mapping[str, int],
    summary: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    held: Held,
    kept: Mapping[str, str] = MappingProxyType({}),
) -> Record:
    """Look at both folders, and return what is to be done.

    ``held`` is what the destination held when the sort began; ``kept`` which of its objects
    are parts still, by what they are to be called.

    Raises
    ------
    DestinationExistsError
        If the destination holds something else now.
    DestinationError
        If the store can't be read, or the parts aren't those of ``sizes`` any more.
    """
    try:
        objects, marker = _look(destination)
        new, _ = _look(parts)
    except OSError as error:
        raise write_error(error, destination) from error
    strays = sorted(unseen(objects, held))
    if marker is not None and MARKER not in held:
        strays.append(MARKER)
    if strays:
        raise filled(destination, named(strays))
    found = {name: size for name, (size, _) in new.items()}
    found |= {name: objects[old][0] for name, old in kept.items() if old in objects}
    if found != dict(sizes):
        msg = f"{parts} does not hold the parts that were proved; nothing was published."
        raise DestinationError(msg)
    tag = uuid.uuid4().hex[:12]
    files = {_tagged(name, tag): size for name, size in sorted(sizes.items())}
    return Record(tag, files, objects, marker, summary, report)


def publish(
    record: Record,
    parts: str,
    destination: str,
    path: str,
    others: Sequence[str],
    on_decided: Callable[[], None],
    n_at_once: int,
    kept: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Copy the parts, remove what is old, and write the marker.

    Parameters
    ----------
    record : Record
        From :func:`begin`.
    parts, destination : str
        Folders of one store.
    path : str
        Where the record is kept.
    others : sequence of str
        Where those of other jobs with this destination are, if they publish.
    on_decided : callable
        Called once all parts are there, before anything that is old is removed.
    n_at_once : int
        Objects that are copied, or removed, at once.
    kept : mapping of str to str
        Parts that are objects of the destination, by what they are to be called.

    Raises
    ------
    DestinationError
        If the store does not let it, or someone else writes to the destination too. It is as it
        was then, unless the record is still there.
    """
    is_begun = False
    try:
        _check_first(path)
        remove(_claim(path))  # of a client that resumed an earlier attempt, and died
        record.keep(path)
        try:
            _check_alone(record, destination, others)
            is_begun = True
            fs, inner = filesystem(destination)
            _remove(fs, inner, MARKER)
            source = filesystem(parts)[1].rstrip("/")

            below = inner.rstrip("/")

            def copy(name: str) -> None:
                old = kept.get(part := _untagged(name))
                fs.cp_file(f"{below}/{old}" if old else f"{source}/{part}", f"{below}/{name}")

            _each(copy, record.files, n_at_once)
            _check(record, destination)
            _check_ours(record, path)
            record = replace(record, is_copied=True)
            record.keep(path)
            _check_unclaimed(path)
            _check_ours(record, path)
            _check(record, destination)
            on_decided()
        except _ClaimedError:
            raise
        except BaseException:
            with suppress(OSError):  # a store out of reach: then the record stays
                if is_begun:
                    _undo(record, destination, path)
                elif _is_ours(record, path):
                    remove(path)
            raise
        _complete(record, destination, path, n_at_once)
    except _OthersError as error:
        raise filled(destination, str(error)) from error
    except NotImplementedError as error:
        msg = f"{destination} can't be written: its store can't copy objects."
        raise DestinationError(msg) from error
    except OSError as error:
        raise write_error(error, destination) from error


def settle(path: str, destination: str, n_at_once: int) -> Settlement | None:
    """Complete what a job had begun, or undo it, as ``to_folder.settle``."""
    try:
        record = Record.read(path)
        if record is None:
            return None
        if not record.is_copied:
            # Its client may only be slow. Either it sees the claim, or we what it has kept.
            storage.replace(_claim(path), b"")
            record = Record.read(path)
        if record is None or not record.is_copied:
            if record is not None:
                _undo(record, destination, path)
            remove(_claim(path))
            return None
        if _look(destination)[1] != record.new_marker.decode("latin-1"):
            _check(record, destination)
            _complete(record, destination, path, n_at_once)
        objects, _ = _look(destination)
        remove(_claim(path))
        remove(path)
    except (OSError, ValueError, TypeError, _OthersError) as error:
        msg = (
            f"what a sort has begun to publish to {destination} can't be completed: "
            f"{str(error).rstrip('.')}. Nothing was changed: put that right, or remove {path} "
            "to give that sort up."
        )
        raise DestinationError(msg) from error
    sizes = {name: size for name, (size, _) in objects.items()}
    return Settlement(record.report, is_intact=sizes == record.files)


def _look(folder: str) -> tuple[dict[str, list[Any]], str | None]:
    """Return the stamps of all objects below a folder but the marker, and what that says."""
    objects = {name: list(stamp) for name, stamp in look(folder).items()}
    marker = None
    if objects.pop(MARKER, None) is not None:
        marker = storage.read_bytes(join(folder, MARKER)).decode("latin-1")
    return objects, marker


def _check_first(path: str) -> None:
    if storage.is_there(path):
        msg = "another client publishes the same job"
        raise _OthersError(msg)


def _check_alone(record: Record, destination: str, others: Sequence[str]) -> None:
    """Raise if others publish too, or have since the record was made."""
    if any(map(storage.is_there, others)):
        msg = "another sort publishes to it"
        raise _OthersError(msg)
    if _look(destination) != (record.old, record.marker):
        msg = "it is not what it was a moment ago"
        raise _OthersError(msg)


def _without(objects: dict[str, list[Any]], names: Container[str]) -> dict[str, list[Any]]:
    return {name: stamp for name, stamp in objects.items() if name not in names}


def _check(record: Record, destination: str) -> None:
    """Raise unless a destination holds the new, what is left of the old, and nothing else."""
    objects, marker = _look(destination)
    if marker is not None:
        msg = f"another sort has written {MARKER}"
        raise _OthersError(msg)
    for name, size in record.files.items():
        if name not in objects or objects[name][0] != size:
            msg = f"{name} is not there as it was copied"
            raise _OthersError(msg)
    for name, stamp in _without(objects, record.files).items():
        if record.old.get(name) != stamp:
            msg = f"{name} was written there by others"
            raise _OthersError(msg)


def _is_ours(record: Record, path: str) -> bool:
    """Return whether the record there is still this attempt's."""
    with suppress(ValueError, TypeError):
        kept = Record.read(path)
        return kept is not None and kept.tag == record.tag
    return False


def _check_ours(record: Record, path: str) -> None:
    if not _is_ours(record, path):
        raise _OthersError(_RESUMED)


def _check_unclaimed(path: str) -> None:
    """Raise if another client has taken this one for dead: it may have hung until now."""
    if storage.is_there(_claim(path)):
        raise _ClaimedError(_RESUMED)


def _claim(path: str) -> str:
    """Return where a client claims that it undoes what another has begun."""
    return f"{path}.claim"


def _undo(record: Record, destination: str, path: str) -> None:
    """Restore a destination, as far as it is ours."""
    fs, inner = filesystem(destination)
    is_ours = _is_ours(record, path)
    if is_ours and record.is_copied:
        record = replace(record, is_copied=False)
        record.keep(path)
    for name in record.files:
        _remove(fs, inner, name)
    if not is_ours and storage.is_there(path):
        return  # the old objects are another client's now
    objects, marker = _look(destination)
    if record.marker is not None and marker is None and objects == record.old:
        fs.pipe_file(f"{inner.rstrip('/')}/{MARKER}", record.marker.encode("latin-1"))
    if is_ours:
        remove(path)


def _complete(record: Record, destination: str, path: str, n_at_once: int) -> None:
    """Remove what was there before, and say that the new is whole."""
    _check_ours(record, path)
    fs, inner = filesystem(destination)
    _each(lambda name: _remove(fs, inner, name), record.old, n_at_once)
    fs.pipe_file(f"{inner.rstrip('/')}/{MARKER}", record.new_marker)
    with suppress(OSError):  # all is published; the job's folder goes next
        remove(path)


def _each(call: Callable[[str], None], names: Iterable[str], n_at_once: int) -> None:
    """Call for each name, some at once; once this returns or raises, no call is under way."""
    pool = ThreadPoolExecutor(n_at_once, thread_name_prefix="dlsort-publish")
    try:
        for done in as_completed([pool.submit(call, name) for name in names]):
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _remove(fs: Any, inner: str, name: str) -> None:
    with suppress(FileNotFoundError):
        fs.rm_file(f"{inner.rstrip('/')}/{name}")


def _tagged(name: str, tag: str) -> str:
    """Return a part's name that no other job gives; by name, parts keep their order.

    Examples
    --------
    >>> _tagged("part-00007.parquet", "5f0c")
    'part-00007-5f0c.parquet'
    """
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{tag}{path.suffix}"))


def _untagged(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(path.stem.rsplit("-", 1)[0] + path.suffix))
