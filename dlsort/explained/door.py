"""The door that explains: a sort's plan, what it is predicted to take, what else there was.

The plan is made as :func:`dlsort.sort_dataset` makes it, by the same functions, from footers
and what this machine has learned. No row is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dlsort.errors import BadOptionError
from dlsort.explained.explanation import Explanation
from dlsort.explained.of_dataset import explain_dataset
from dlsort.io.sinks.sink import PIPE
from dlsort.keys import By, format_by, parse_by
from dlsort.options.arguments import data_name, is_dasks
from dlsort.options.doors import DOORS
from dlsort.options.settings import with_settings
from dlsort.publish.replaceable import Held
from dlsort.strategies.asked import Asked, read_arguments
from dlsort.strategies.opened import open_selected
from dlsort.strategies.standing import look_at_destination, result_before
from dlsort.strategies.where import told_where
from dlsort.tuning import TUNING, Tuning

if TYPE_CHECKING:
    from pyarrow.compute import Expression

    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["explain", "explain_sort"]

# What means something for a frame; and what fixes a part of a plan.
_OF_FRAMES = ("src", "by", "partitions")
_DEFAULTS = {option.name: option.default for option in DOORS["explain"]}
PINS = (
    "scheduler",
    "workers",
    "threads",
    "partitions",
    "partition_size",
    "input_size",
    "strategy",
    "memory",
)


@with_settings("explain")
def explain(
    src: str | PathLike[str] | Sequence[str | PathLike[str]] | Any,
    by: By,
    *,
    ignore_case: bool = False,
    natural: bool = False,
    numeric: bool = False,
    collate: str | None = None,
    reverse: bool = False,
    nan_first: bool = False,
    nan_last: bool = False,
    columns: str | Sequence[str] | None = None,
    rename: str | Mapping[str, str] | None = None,
    where: str | Expression | None = None,
    unique: str | None = None,
    unique_by: str | Sequence[str] | None = None,
    limit: int | None = None,
    offset: int | None = None,
    merge: bool = False,
    dst: str | PathLike[str] | None = None,
    scheduler: Joinable | None = None,
    workers: int | None = None,
    threads: int | None = None,
    partitions: int | None = None,
    partition_size: int | str | None = None,
    input_size: int | str | None = None,
    strategy: str = "auto",
    memory: int | str | None = None,
    schema: str | PathLike[str] | Mapping[str, Any] | pa.Schema = "union",
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
    input_format: str | None = None,
    csv_options: str | PathLike[str] | Mapping[str, Any] | None = None,
    decryption: str | Callable[[], Any] | None = None,
    _tuning: Tuning = TUNING,
) -> Explanation:
    """Tell how a dataset or a frame would be sorted, and why so; nothing is sorted or written.

    Parameters
    ----------
    src : str, path-like, a sequence of these, or a Dask frame
        A dataset, as of :func:`dlsort.sort_dataset`, of which only footers are read. Of a
        frame, what can be said without computing it.
    by : str, SortKey or a sequence of these
        The key, as in ``"day,price:desc"``.
    ignore_case, natural, numeric, collate, reverse, nan_first, nan_last
        As of :func:`dlsort.sort_dataset`.
    columns, rename, where, unique, unique_by, limit, offset, merge
        As of :func:`dlsort.sort_dataset`. How many rows a condition keeps is not known before
        they are read.
    dst : str or path-like, optional
        Where the parts would go: that it is not in the way of the source.
    scheduler : str, Client or Cluster, optional
        As of :func:`dlsort.sort_dataset`: a cluster is asked for its size.
    workers, threads, partitions : int, optional
        What is given is part of the plan. Of a frame ``partitions`` alone.
    partition_size, input_size : int or str, optional
        As of :func:`dlsort.sort_dataset`.
    strategy : {"auto", "move", "range", "exchange"}
        As of :func:`dlsort.sort_dataset`.
    memory : int or str, optional
        As of :func:`dlsort.sort_dataset`.
    schema : str, path-like, mapping or pyarrow.Schema
        As of :func:`dlsort.sort_dataset`.
    ignore : str or a sequence of str
        Patterns of files to leave out.
    hive_types : str, mapping or Schema, optional
        Types of the columns that folders give.
    input_format : {"parquet", "csv", "jsonl", "arrow"}, optional
        As of :func:`dlsort.sort_dataset`. What is no Parquet is read to be explained.
    csv_options : str, path-like or mapping, optional
        As of :func:`dlsort.sort_dataset`.
    decryption : str or callable, optional
        Gives the keys of encrypted files.

    Returns
    -------
    Explanation
        Printed it is the plan as a tree.

    Raises
    ------
    DlsortError
        As the sort would, as far as footers show it.

    Examples
    --------
    >>> import tempfile, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> pq.write_table(pa.table({"x": range(1000)}), folder.name + "/x.parquet")
    >>> found = explain(folder.name + "/x.parquet", "x", threads=1)
    >>> found.plan["threads"], found.pinned, found.predicted_seconds < 1
    (1, {'threads': 1}, True)
    >>> folder.cleanup()
    """
    given = locals()  # the parameters
    began = time.perf_counter()
    if is_dasks(src):
        return _of_frame(given)
    if (name := data_name(src)) is not None:
        msg = f"src is {name}; expected a path, or a Dask frame."
        raise BadOptionError(msg)
    asked = read_arguments(given, _tuning, "explain")
    pinned = {name: getattr(asked, name) for name in PINS if given[name] != _DEFAULTS[name]}
    if "scheduler" in pinned:
        pinned["scheduler"] = str(scheduler)
    found = explain_dataset(asked, pinned, began)
    return replace(found, notes=[*_kept(asked), *found.notes])


def explain_sort(given: Mapping[str, Any], _tuning: Tuning = TUNING) -> Explanation:
    """Tell the plan of a sort with all its options: whether it may be written, too.

    Parameters
    ----------
    given : mapping
        A value for each option of :func:`dlsort.sort_dataset`.

    Raises
    ------
    DlsortError
        As the sort would, as far as footers show it.
    """
    began = time.perf_counter()
    asked = read_arguments(given, _tuning)
    notes = ["a dry run: nothing is sorted or written", *_kept(asked)]
    done = None
    standing: tuple[str, Held] = "", {}
    if asked.if_exists == "skip":
        with open_selected(asked) as selection:
            done = result_before(asked, selection, began)
    if done is None:
        standing = ("", {}) if asked.dst == PIPE else look_at_destination(asked)
        notes += [f"{asked.dst} would be replaced"] if standing[1] else []
    else:
        notes += [f"{asked.dst} is this sort's result already, which would be skipped"]
    pinned = {name: getattr(asked, name) for name in PINS if given[name] != _DEFAULTS[name]}
    found = explain_dataset(asked, pinned, began, standing)
    return replace(found, notes=[*notes, *found.notes])


def _kept(asked: Asked) -> list[str]:
    """Return which rows a sort would keep, if not all: how many, it finds as it reads."""
    kept = []
    if asked.where is not None:
        kept.append(f"where {told_where(asked.where)}")
    if asked.unique is not None:
        of = "key"
        if asked.unique_by is not None:
            of = f"value of {format_by(parse_by(asked.unique_by))}"
        kept.append(f"the {asked.unique} of each {of}")
    kept += [f"{n} {v:,}" for n in ("limit", "offset") if (v := getattr(asked, n)) is not None]
    return [f"rows that are kept: {', '.join(kept)}"] if kept else []


def _of_frame(given: Mapping[str, Any]) -> Explanation:
    from dlsort.explained.of_frame import explain_frame

    options = {option.name: option for option in DOORS["explain"]}
    for name, option in options.items():
        if name not in _OF_FRAMES and given[name] != option.default:
            msg = f"{name} is of sorts of datasets; src is {data_name(given['src'])}."
            raise BadOptionError(msg)
    by, partitions = (options[name].read(given[name]) for name in ("by", "partitions"))
    return explain_frame(given["src"], by, partitions, given["_tuning"])
