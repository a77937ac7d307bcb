"""What a caller of the batch door asks for, checked before anything is read or started."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlsort.errors import BadOptionError, ClusterError, shown
from dlsort.io.listing.hive import HiveTypes, read_hive_types
from dlsort.io.listing.names import read_ignore
from dlsort.io.parquet.profiles import PROFILES
from dlsort.io.parquet.writer import check_compression
from dlsort.io.paths import Places, list_of, read_folder, read_path, read_places
from dlsort.io.schema.united import SchemaWanted
from dlsort.io.schema.wanted import read_schema
from dlsort.io.storage import is_store, without_scheme
from dlsort.keys import By, SortKey, parse_by
from dlsort.options.doors import DOORS, read_options
from dlsort.publish.destination import Overwrite
from dlsort.strategies.budget import ask_memory
from dlsort.tuning import Tuning
from dlsort.wording import closest
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.machine import EMBEDDED, machine_memory_bytes

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["NO_MODEL", "Asked", "read_arguments"]

NO_MODEL = "none"
ONE_FILE = ".parquet"  # a destination whose name ends so is a file, unless it is a folder


@dataclass(frozen=True)
class Asked:
    """The arguments of a sort, as :func:`dlsort.sort_dataset` explains them.

    Parameters
    ----------
    src : str or tuple of str
        Paths or URLs, as they were given but for ``file://``.
    dst : str
        Such a path, or URL; empty where nothing is to be written.
    by : By
        The key as it was given: the source's names tell what it means.
    scheduler : str, Client or Cluster, or None
        The cluster to join; None: one of our own.
    temp_dir : str or None
        Absolute.
    ignore : tuple of str
        Patterns.
    hive_types : dict of str to pyarrow.DataType
        By column.
    decryption : str or None
        Names the function that gives the keys of encrypted files.
    model : str or None
        A sorted dataset, or "none".
    memory_bytes : int
        What ``memory`` comes to on this machine.
    tuning : Tuning
        The tunables.
    row_bytes : float
        What a row takes in a file, by a sample; only where files are to have a size.
    """

    src: Places
    dst: str
    by: By
    scheduler: Joinable | None
    workers: int | None
    threads: int | None
    partitions: int | None
    partition_size: int | None
    target_file_size: int | None
    partition_by: tuple[str, ...]
    single_file: bool
    input_size: int | None
    strategy: str
    memory: int | str | None
    temp_dir: str | None
    profile: str
    compression: str
    row_group_rows: int | None
    overwrite: Overwrite
    resume: bool
    schema: SchemaWanted
    manifest: bool
    ignore: tuple[str, ...]
    hive_types: HiveTypes
    decryption: str | None
    model: str | None
    memory_bytes: int
    tuning: Tuning
    row_bytes: float = 0.0

    def keys(self, names: Iterable[str]) -> tuple[SortKey, ...]:
        """Return the key, of a source with columns of these names."""
        return parse_by(self.by, names)

    def sort_keys(self, names: Iterable[str]) -> tuple[SortKey, ...]:
        """Return what rows are sorted by: the columns that are folders first, then the key."""
        folders, keys = self.partition_by, self.keys(names)
        return *map(SortKey, folders), *(key for key in keys if key.column not in folders)


def read_arguments(
    given: Mapping[str, Any], tuning: Tuning, door: str = "sort_dataset"
) -> Asked:
    """Return the arguments of a sort.

    Parameters
    ----------
    given : mapping
        A value for each option.
    tuning : Tuning
        The tunables.
    door : str
        Whose options they are; those of a sort that it has not have their defaults.

    Raises
    ------
    BadKeyError, BadOptionError
        If one is not what it should be, or two exclude each other.
    ClusterError
        If the client that is given, or current, can't be used.
    """
    values = {option.name: option.default for option in DOORS["sort_dataset"]}
    values |= read_options(door, given)
    del values["progress"]  # the door's own
    scheduler = _cluster_to_join(values["scheduler"], values["workers"], values["threads"])
    memory_bytes = ask_memory(
        values["memory"],
        machine_memory_bytes(),
        tuning.budget,
        "machine" if scheduler is None else None,
    )
    temp_dir, dst = values["temp_dir"], values["dst"]
    values |= {
        "scheduler": scheduler,
        "src": read_places(values["src"], "source (src)"),
        "partition_by": values["partition_by"] or (),
        "ignore": read_ignore(values["ignore"]),
        "hive_types": read_hive_types(values["hive_types"]),
        "schema": read_schema(values["schema"]),
        "dst": ""
        if dst is None and door == "explain"
        else str(without_scheme(read_path(dst, "destination (dst)"))),
        "temp_dir": None if temp_dir is None else read_folder(temp_dir, "temp_dir"),
    }
    if values["model"] not in (None, NO_MODEL):
        values["model"] = str(without_scheme(read_path(values["model"], "model")))
    profile = PROFILES[values["profile"]]
    values["compression"] = values["compression"] or profile.compression
    values["row_group_rows"] = values["row_group_rows"] or profile.row_group_rows or None
    check_compression(values["compression"])
    values["single_file"] = _is_single_file(values)
    asked = Asked(**values, memory_bytes=memory_bytes, tuning=tuning)
    if asked.workers and asked.threads and asked.threads < asked.workers:
        msg = (
            f"threads is {asked.threads}, fewer than workers ({asked.workers}); each process "
            "needs one."
        )
        raise BadOptionError(msg)
    if asked.temp_dir:
        if asked.scheduler is None and not Path(asked.temp_dir).is_dir():
            msg = f"temp_dir is {shown(os.fspath(temp_dir))}; expected an existing folder."
            raise BadOptionError(msg)
        folder = Path(os.path.realpath(asked.temp_dir))
        _check_temp_dir(folder, str(temp_dir), list_of(asked.src), asked.dst)
    return asked


def _is_single_file(values: Mapping[str, Any]) -> bool:
    """Return whether one file is wanted, by its flag or the destination's name.

    Raises
    ------
    BadOptionError
        If that can't be.
    """
    dst = values["dst"]
    by_name = dst.endswith(ONE_FILE) and not is_store(dst) and not Path(dst).is_dir()
    if not (values["single_file"] or by_name):
        return False
    for other in ("partition_by", "target_file_size"):
        if values[other]:
            msg = f"single_file and {other} exclude each other; give one of them."
            if not values["single_file"]:
                msg = (
                    f"the destination {dst} is to be one file, as it ends in {ONE_FILE}, which "
                    f"{other} (--{other.replace('_', '-')}) excludes; name a folder."
                )
            raise BadOptionError(msg)
    if is_store(dst):
        msg = f"single_file is given for {dst}; in an object store a folder is written."
        raise BadOptionError(msg)
    return True


def _check_temp_dir(folder: Path, named: str, src: Sequence[str], dst: str) -> None:
    """Raise if what is there for a while would be replaced, or read.

    Raises
    ------
    BadOptionError
        If it is the destination or the source folder, or lies in one.
    """
    for place, what, why in (
        (dst, "destination", "be in the way of what is published there"),
        *((place, "source folder", "be taken for the source") for place in src),
    ):
        if is_store(place):
            continue
        path = Path(os.path.realpath(place))
        if path.is_file() or not folder.is_relative_to(path):
            continue
        how = "is" if folder == path else "lies in"
        msg = (
            f"temp_dir (--temp-dir) is {named!r}, which {how} the {what} {place}: what is kept "
            f"there meanwhile would {why}. Choose a folder outside of it."
        )
        raise BadOptionError(msg)


def _is_meant_here(scheduler: str) -> bool:
    """Return whether a name is one of Dask's for this process, or ours with a slip in it."""
    from dask.base import named_schedulers

    is_dasks = scheduler.lower() in named_schedulers
    return ":" not in scheduler and (is_dasks or bool(closest(scheduler, [EMBEDDED])))


def _cluster_to_join(
    scheduler: Any, workers: int | None, threads: int | None
) -> Joinable | None:
    """Return the cluster that is given; or current, unless processes or threads are wanted."""
    is_current = scheduler is None
    if is_current and (workers or threads or "distributed" not in sys.modules):
        return None  # nobody has a client where Dask's are not even loaded
    if isinstance(scheduler, str) and scheduler == EMBEDDED:
        return None
    from dlsort_cluster.clusters.joined import check_usable, current_client, is_joinable
    from dlsort_cluster.clusters.reach import fault_of

    if is_current:
        scheduler = current_client()
        if scheduler is None:
            return None
    elif isinstance(scheduler, str) and (fault := fault_of(scheduler)):
        hint = f" Did you mean {EMBEDDED!r}?" if _is_meant_here(scheduler) else ""
        msg = (
            f"scheduler is {shown(scheduler)}, {fault}; expected an address such as "
            f"tcp://host:8786, or {EMBEDDED!r}.{hint}"
        )
        raise BadOptionError(msg)
    elif not is_joinable(scheduler):
        msg = (
            f"scheduler is {shown(scheduler)}; expected an address such as tcp://host:8786, a "
            f"Dask client or cluster, or {EMBEDDED!r}."
        )
        raise BadOptionError(msg)
    try:
        check_usable(scheduler, is_current=is_current)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    return scheduler
