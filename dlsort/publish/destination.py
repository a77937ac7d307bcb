"""Destination: whether a folder can be published there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

from dlsort.errors import (
    DestinationError,
    DestinationExistsError,
    DlsortError,
    shown,
)
from dlsort.io.paths import check_path
from dlsort.io.sinks.sink import Sink, has_name_of
from dlsort.io.storage import existing, filesystem, is_store, write_error
from dlsort.publish.replaceable import (
    TABLE_LOGS,
    Held,
    foreign,
    is_parquet,
    look,
    never_replaced,
    not_of,
    tables_apart,
    unseen,
)
from dlsort.tuning import IoTuning

__all__ = [
    "MARKER",
    "Overwrite",
    "check_apart",
    "check_destination",
    "check_unchanged",
    "filled",
    "named",
    "place_of",
]


# What is written last into a destination in a store: without it, that is not whole.
MARKER = "_SUCCESS"

Overwrite = bool | Literal["force"]
_MOST_NAMED = 5
_FORCE = (
    'Choose another folder, or pass overwrite="force" (--overwrite=force) to delete all '
    "that is there."
)


def place_of(dst: str | Path) -> str:
    """Return a destination in one form, whoever asks.

    Examples
    --------
    >>> place_of("/data/in/../out/"), place_of("memory://bucket/out/"), place_of("memory://")
    ('/data/out', 'memory://bucket/out', 'memory://')
    """
    if is_store(dst):
        scheme, mark, inner = str(dst).partition("://")
        return scheme + mark + inner.rstrip("/")
    path = Path(dst).absolute()
    if ".." not in path.parts:
        return str(path)
    # Other than Path.resolve, realpath takes links that lead in a circle. What the path itself
    # is, a link perhaps, must still be seen.
    if path.name == "..":
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 - text


def check_destination(
    dst: str | Path,
    tuning: IoTuning,
    *,
    overwrite: Overwrite,
    single_file: bool = False,
    sink: Sink | None = None,
) -> tuple[str, Held]:
    """Return the absolute destination if a folder can be published there, and what it holds.

    Parameters
    ----------
    dst : str or Path
        As given; a URL if it is in a store.
    tuning : IoTuning
        How many files are compared.
    overwrite : bool or "force"
        It may hold a dataset; with ``"force"`` anything.
    single_file : bool
        A file is to be published there.
    sink : Sink or None
        What is written in the place of Parquet, so that it may be replaced too.

    Raises
    ------
    DestinationExistsError
        If something is there that must not be overwritten.
    DestinationError
        If it can't be written, or never is replaced.
    """
    check_path(dst, "destination")
    try:
        str(dst).encode()
    except UnicodeEncodeError:
        name = shown(str(dst))
        msg = f"the destination is {name}: its name is no text in UTF-8; choose another."
        raise DestinationError(msg) from None
    try:
        place = (
            _check_prefix(str(dst))
            if is_store(dst)
            else _check_folder(dst, single_file=single_file)
        )
        return place, _check_held(place, dst, overwrite, tuning, sink)
    except DlsortError:  # some are OSErrors
        raise
    except OSError as error:
        raise write_error(error, dst) from error


def _check_folder(dst: str | Path, *, single_file: bool) -> str:
    path = Path(place_of(dst))
    if path.is_symlink():
        msg = f"{dst} is a symbolic link; name the folder that it points to."
        raise DestinationExistsError(msg)
    if single_file and path.is_dir():
        msg = (
            f"{dst} is a folder, but one file is asked for; name a file, or remove the folder."
        )
        raise DestinationExistsError(msg)
    if path.exists() and not (path.is_file() if single_file else path.is_dir()):
        msg = f"{dst} is not a folder; expected a folder, or a path where one can be made."
        raise DestinationExistsError(msg)
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()  # links on the way may lead in a circle
    what = never_replaced(str(path))
    if what is not None:
        msg = (
            f"{dst} is {what}, which is never replaced; name a folder below it, such as "
            f"{path / 'sorted'}."
        )
        raise DestinationError(msg)
    if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
        msg = f"{dst} can't be replaced: no permission to write to it."
        raise DestinationError(msg)
    parent = existing(path.parent)
    if not parent.is_dir():
        msg = f"{dst} can't be written: {parent} is a file, not a folder."
        raise DestinationError(msg)
    if not os.access(parent, os.W_OK | os.X_OK):
        msg = f"{dst} can't be written: no permission to make files in {parent}."
        raise DestinationError(msg)
    return str(path)


def _check_prefix(url: str) -> str:
    """Return a destination in a store if objects can be there."""
    url = place_of(url)
    if {".", ".."} & set(url.split("/")):
        msg = f"{url} has a . or .. in it, which a store takes for a name; leave it out."
        raise DestinationError(msg)
    what = never_replaced(url)
    if what is not None:
        below = f"{url}/sorted" if not url.endswith("://") else f"{url}bucket/sorted"
        msg = f"{url} is {what}: it has no folder in it; name one below it, such as {below}."
        raise DestinationError(msg)
    fs, path = filesystem(url)
    if fs.isfile(path):
        msg = f"{url} is an object; expected a folder, or a name where one can be made."
        raise DestinationExistsError(msg)
    return url


def _check_held(
    place: str, dst: str | Path, overwrite: Overwrite, tuning: IoTuning, sink: Sink | None
) -> Held:
    """Return what a destination holds, if it may be replaced."""
    held = look(place, deep=overwrite == "force")
    if held and not overwrite:
        n_files = len(held) if is_store(dst) else sum("/" not in n.rstrip("/") for n in held)
        kind = "object" if is_store(dst) else "file"
        msg = (
            f"{dst} already holds {n_files:,} {kind}{'s' if n_files > 1 else ''}. "
            f"Pass overwrite=True (--overwrite) to replace {'them' if n_files > 1 else 'it'}."
        )
        raise DestinationExistsError(msg)
    if "" in held and overwrite != "force":
        if sink is not None and not has_name_of(place, sink):
            msg = f"{dst} is no file of {sink.format}, by its name. {_FORCE}"
            raise DestinationExistsError(msg)
        if sink is None and not is_parquet(place):
            msg = f"{dst} is no Parquet file. {_FORCE}"
            raise DestinationExistsError(msg)
        return held
    if overwrite == "force":
        return held
    strays = foreign(place, held) if sink is None else not_of(sink, held)
    if strays:
        kind_of_files = "Parquet" if sink is None else sink.format
        what = (
            "1 thing that belongs"
            if len(strays) == 1
            else f"{len(strays):,} things that belong"
        )
        logs = [
            f"{log} is the log of {t} tables. "
            for log, t in TABLE_LOGS.items()
            if log in strays
        ]
        msg = (
            f"{dst} holds {what} to no {kind_of_files} dataset: {named(strays)}. "
            f"{''.join(logs)}{_FORCE}"
        )
        raise DestinationExistsError(msg)
    apart = [] if sink else [named([name]) for name in tables_apart(place, held, tuning)]
    if apart:
        why = (
            f"the footer of {apart[0]} can't be read"
            if len(apart) == 1
            else f"{apart[0]} and {apart[1]} hold different tables"
        )
        msg = f"{dst} does not look like one Parquet dataset: {why}. {_FORCE}"
        raise DestinationExistsError(msg)
    return held


def named(names: Sequence[str]) -> str:
    """Return the first few of some names, and how many more there are."""
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MOST_NAMED]]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


def check_unchanged(folder: str, held: Held, destination: str) -> None:
    """Raise if a folder holds what a destination did not when the sort began.

    Raises
    ------
    DestinationExistsError
        If it does: someone wrote that meanwhile, and it must not be deleted.
    """
    new = unseen(look(folder), held)
    if new:
        raise filled(destination, named(sorted(new)))


def check_apart(destination: str, src: str | Path, files: Sequence[str]) -> None:
    """Raise if source and destination overlap in a way that loses or doubles rows.

    To sort a folder onto itself is fine: the old files go once the new are proved.

    Parameters
    ----------
    destination : str
        From :func:`check_destination`.
    src : str or Path
        The source as given.
    files : sequence of str
        Its files.

    Raises
    ------
    DestinationError
        If the destination lies in the source folder, where a later sort would
        read its own output; or if only some of its files are the source, since
        all of them would be replaced.
    """
    inside, outside = _plain(destination), _plain(str(src))
    if is_store(destination) != is_store(src) or inside == outside:
        return
    if inside.is_relative_to(outside) and (is_store(src) or Path(outside).is_dir()):
        hidden = any(p.startswith(("_", ".")) for p in inside.relative_to(outside).parts)
        if not hidden:
            msg = (
                f"the destination {destination} lies inside the source {src}, so a later sort "
                "would read its own output; choose a destination outside of it."
            )
            raise DestinationError(msg)
    # Folder by folder, where there may be thousands of files in each.
    apart: set[str] = set()
    for mine in files:
        is_link = not is_store(mine) and Path(mine).is_symlink()
        folder = mine if is_link else mine.rpartition("/")[0]
        if folder in apart:
            continue
        if not (_plain(folder).is_relative_to(inside) or _plain(mine) == inside):
            apart.add(folder)
            continue
        msg = (
            f"the source file {mine} lies inside the destination {destination}, which would "
            "be replaced as a whole; choose another one, or give that folder as the source."
        )
        raise DestinationError(msg)


def _plain(path: str) -> PurePath:
    """Return a path without links in it."""
    return (
        PurePosixPath(filesystem(path)[1]) if is_store(path) else Path(os.path.realpath(path))
    )


def filled(destination: object, how: str = "") -> DestinationExistsError:
    """Return the error for a destination that isn't ours alone any more."""
    more = f" ({how})" if how else ""
    msg = f"{destination} was filled by someone meanwhile{more}; nothing was published."
    return DestinationExistsError(msg)
