"""A publication: what is published where, and how it came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dlsort.publish.replaceable import Held

__all__ = ["RECORD", "Publication", "Settlement"]

RECORD = "publish.json"


@dataclass(frozen=True)
class Publication:
    """What is to be published, where, and how.

    Attributes
    ----------
    parts, destination : str
        Folders of one file system or store.
    held : mapping
        What the destination held when the sort began, which is replaced.
    stage : str
        The job's folder, which goes next: what is replaced may be left in it.
    aside : str
        Where the old destination stands for a moment, beside it, in a file system whose
        folders can't be exchanged.
    sizes : mapping of str to int
        The parts' names and sizes, as they were proved.
    summary : mapping
        What the marker in a store says of the parts: key, rows, checksum.
    report : mapping
        The job's, for whoever completes this.
    n_at_once : int
        Objects of a store that are copied, or removed, at once.
    kept : mapping of str to str
        Parts that are not among ``parts``: objects that a store's destination holds, by what
        they are to be called; they are copied from there.
    """

    parts: str
    destination: str
    held: Held
    stage: str
    aside: str
    sizes: Mapping[str, int]
    summary: Mapping[str, Any]
    report: Mapping[str, Any]
    n_at_once: int
    kept: Mapping[str, str] = field(default_factory=dict)


class Settlement(NamedTuple):
    """A job that is published, whose client did not tidy up.

    Attributes
    ----------
    report : mapping
        The job's.
    is_intact : bool
        The destination holds its parts, and nothing else.
    """

    report: Mapping[str, Any]
    is_intact: bool
