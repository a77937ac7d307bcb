"""Places: all names below what a caller names, on disk or in a store, unread."""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from dlsort.errors import CorruptSourceError
from dlsort.io.listing.names import before_glob, hidden_part, partition_folders
from dlsort.io.storage import filesystem, is_store, join

__all__ = ["Place", "list_place"]


@dataclass
class Place:
    """What a caller names: names below a folder, with ``/`` between their parts.

    Parameters
    ----------
    folder : str
        Absolute path, or URL.
    above : tuple of str
        The folders named ``column=value`` that it ends with, as far as they count.
    names : dict of str to str or None
        Files; where it leads for one behind a link, else None.
    hidden : dict of str to None
        Files and folders that begin with ``_`` or ``.`` and that nobody asked for. Nobody looks
        into these folders, which have a ``/`` behind them.
    linked : list of str
        Links to folders that they are in themselves.
    broken : dict of str to str
        What is neither a file nor a folder, and what it is.
    is_file : bool
        The one name was given as it is.
    whole : list of str
        What the names begin with of folders that are there with all that is in them.
    """

    folder: str
    above: tuple[str, ...] = ()
    names: dict[str, str | None] = field(default_factory=dict)
    hidden: dict[str, None] = field(default_factory=dict)
    linked: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    is_file: bool = False
    whole: list[str] = field(default_factory=list)

    def path(self, name: str) -> str:
        """Return the path or URL of a name."""
        return join(self.folder, name.rstrip("/")) if name else self.folder


def list_place(src: str, *, is_root: bool) -> Place:
    """Return all names that a path, a folder or a glob stands for.

    Parameters
    ----------
    src : str
        Path or URL.
    is_root : bool
        If it is a folder, those named ``column=value`` count from there, and not above it.

    Raises
    ------
    CorruptSourceError
        If a folder can't be listed: its files would be missing in silence.
    """
    try:
        return (
            _in_store(src, is_root=is_root) if is_store(src) else _on_disk(src, is_root=is_root)
        )
    except OSError as error:
        where = f"the folder {error.filename}" if error.filename else src
        msg = f"can't read {where}: {error.strerror or error}."
        raise CorruptSourceError(msg) from error


def _on_disk(src: str, *, is_root: bool) -> Place:
    path = Path(src).absolute()
    if path.is_dir():
        place = Place(str(path), () if is_root else partition_folders(str(path)))
        place.whole.append("")
        _walk(place, _Way(str(path), "", (os.path.realpath(path),)))
        return place
    if path.is_file() or not globbing.has_magic(str(path)):
        place = Place(str(path.parent), partition_folders(str(path.parent)))
        if path.is_file():
            place.names[path.name] = None
            place.is_file = True
        return place
    folder, pattern = before_glob(str(path))
    place = Place(folder, partition_folders(folder))
    if Path(folder).is_dir():
        way = _Way(folder, "", (os.path.realpath(folder),))
        _meet(place, way, pattern.split("/"), set())
    return place


class _Way(NamedTuple):
    """How a folder was come to.

    Attributes
    ----------
    folder, prefix : str
        Its path, and what names in it begin with.
    real : tuple of str
        Without links: it, and those above it.
    behind_link : bool
        There was a link on the way.
    """

    folder: str
    prefix: str
    real: tuple[str, ...]
    behind_link: bool = False

    def into(
        self, place: Place, entry: os.DirEntry[str], *, may_return: bool = False
    ) -> _Way | None:
        """Return the way into a folder; None where a link leads back to one that it came by.

        A pattern that names folders may return: it ends, and reads there what it names.
        """
        name = self.prefix + entry.name
        if not entry.is_symlink():
            real = (*self.real, f"{self.real[-1]}/{entry.name}")
            return _Way(entry.path, f"{name}/", real, self.behind_link)
        target = Path(entry.path).resolve()
        if not may_return and any(Path(real).is_relative_to(target) for real in self.real):
            place.linked.append(f"{name}/")
            return None
        return _Way(entry.path, f"{name}/", (*self.real, str(target)), behind_link=True)


def _meet(place: Place, way: _Way, parts: Sequence[str], seen: set[tuple[str, int]]) -> None:
    """Take over what a pattern meets in a folder: Python's own goes round links in circles."""
    if (way.folder, len(parts)) in seen:
        return
    seen.add((way.folder, len(parts)))
    part, *rest = parts
    deep = part == "**"
    if deep and not rest:
        place.whole.append(way.prefix)
        _walk(place, way)
        return
    if deep:
        _meet(place, way, rest, seen)
    pattern = "*" if deep else part
    with os.scandir(way.folder) as entries:
        found = [entry for entry in entries if fnmatchcase(entry.name, pattern)]
    # what all of "*" leads back to is met without the link
    may_return = not deep and (bool(rest) or part != "*")
    for entry in found:
        is_folder = os.path.isdir(entry.path)  # noqa: PTH112 - the entry raises for circles
        if not is_folder and (rest or deep):
            continue
        if hidden_part(entry.name, pattern) is not None:
            place.hidden[way.prefix + entry.name + "/" * is_folder] = None
        elif not is_folder:
            _take(place, way, entry)
        elif (inside := way.into(place, entry, may_return=may_return)) is not None:
            if rest or deep:
                _meet(place, inside, parts if deep else rest, seen)
            else:
                place.whole.append(inside.prefix)
                _walk(place, inside)


def _walk(place: Place, way: _Way) -> None:
    """Take over the names below a folder."""
    with os.scandir(way.folder) as entries:
        found = list(entries)
    for entry in found:
        is_file = entry.is_file(follow_symlinks=False)
        if hidden_part(entry.name) is not None:
            is_folder = entry.is_dir(follow_symlinks=False)
            place.hidden[way.prefix + entry.name + "/" * is_folder] = None
        elif is_file or not os.path.isdir(entry.path):  # noqa: PTH112 - as above
            _take(place, way, entry)
        elif (inside := way.into(place, entry)) is not None:
            _walk(place, inside)


def _take(place: Place, way: _Way, entry: os.DirEntry[str]) -> None:
    """Take over what is not a folder."""
    name = way.prefix + entry.name
    is_plain = entry.is_file(follow_symlinks=False)
    if is_plain and not way.behind_link:
        place.names.setdefault(name, None)
    elif os.path.isfile(entry.path):  # noqa: PTH113 - the entry raises for links in a circle
        place.names.setdefault(name, os.path.realpath(entry.path))
    else:
        place.broken[name] = "links to no file" if entry.is_symlink() else "is not a file"


def _in_store(url: str, *, is_root: bool) -> Place:
    fs, path = filesystem(url)
    if not globbing.has_magic(path):
        folder = path.rstrip("/")
        below = fs.find(folder)
        if below == [folder] or fs.isfile(folder):
            parent, _, name = fs.unstrip_protocol(folder).rpartition("/")
            return Place(parent, partition_folders(parent), {name: None}, is_file=True)
        place = Place(fs.unstrip_protocol(folder), () if is_root else partition_folders(folder))
        _take_objects(place, below, folder, "")
        return place
    folder, pattern = before_glob(path)
    place = Place(fs.unstrip_protocol(folder), partition_folders(folder))
    for whole, info in fs.glob(path, detail=True).items():
        name = whole[len(folder) :].strip("/")
        if (hidden := hidden_part(name, pattern)) is not None:
            is_folder = info["type"] == "directory" or hidden != name
            place.hidden[hidden + "/" * is_folder] = None
        elif info["type"] == "directory":
            _take_objects(place, fs.find(whole), whole.rstrip("/"), f"{name}/" if name else "")
        else:
            place.names[name] = None
    return place


def _take_objects(place: Place, objects: list[str], folder: str, prefix: str) -> None:
    """Take over the objects below a prefix; one that ends with ``/`` stands for a folder."""
    place.whole.append(prefix)
    for whole in objects:
        name = whole[len(folder) :].strip("/")
        if whole.endswith("/") or not name:
            continue
        if (hidden := hidden_part(name)) is None:
            place.names[prefix + name] = None
        else:
            place.hidden[prefix + hidden + "/" * (hidden != name)] = None
