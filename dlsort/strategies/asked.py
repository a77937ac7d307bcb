"""What a caller of the batch door asks for, checked before anything is read or started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dlsort.arrow.hidden import is_hidden, shown_name
from dlsort.errors import BadOptionError, ClusterError, shown
from dlsort.ingest.csv_options import CsvOptions, read_csv_options
from dlsort.io.listing.hive import HiveTypes, read_hive_types
from dlsort.io.listing.names import read_ignore
from dlsort.io.parquet.column_options import ColumnOptions, read_column_options
from dlsort.io.parquet.profiles import PROFILES
from dlsort.io.parquet.writer import check_compression
from dlsort.io.paths import Places, list_of, read_folder, read_path, read_places
from dlsort.io.schema.united import SchemaWanted
from dlsort.io.schema.wanted import read_schema
from dlsort.io.sinks.sink import Sink
from dlsort.io.storage import is_store, without_scheme
from dlsort.key_expressions.computed import ComputedKey
from dlsort.key_expressions.flags import KeyFlags, order_of
from dlsort.keys import By, SortKey, format_by, parse_by
from dlsort.options.doors import DOORS, KEY_FLAGS, read_options
from dlsort.options.option import REQUIRED
from dlsort.publish.destination import Overwrite
from dlsort.strategies.budget import ask_memory
from dlsort.strategies.fewer_rows import FewerRows
from dlsort.strategies.form import read_form
from dlsort.tuning import Tuning
from dlsort.wording import closest
from dlsort_cluster.exchange import ExchangeError
from dlsort_cluster.machine import EMBEDDED, machine_memory_bytes

if TYPE_CHECKING:
    from dlsort_cluster.clusters.joined import Joinable

__all__ = ["NO_MODEL", "Asked", "read_arguments"]

NO_MODEL = "none"


@dataclass(frozen=True)
class Asked:
    """The arguments of a sort, as :func:`dlsort.sort_dataset` explains them.

    Parameters
    ----------
    src : str or tuple of str
        Paths or URLs, as they were given but for ``file://``.
    dst : str
        Such a path, or URL; empty where nothing is to be written.
    by, unique_by : By
        The key, and its first columns, as given: the source's names tell what they mean.
    flags : KeyFlags
        What is asked for of all key columns.
    columns, rename : tuple of str, dict of str to str, or None
        Columns of the result, and what they are called there.
    where : str, pyarrow.compute.Expression or None
        Which rows are sorted.
    scheduler : str, Client or Cluster, or None
        The cluster to join; None: one of our own.
    temp_dir : str or None
        Absolute.
    ignore : tuple of str
        Patterns.
    hive_types : dict of str to pyarrow.DataType
        By column.
    sink : Sink or None
        What is written in the place of Parquet.
    compression : str
        Empty: as the parts that are there.
    input_format : str or None
        What the source's files are; None: what their names say.
    csv_options : CsvOptions
        How CSV is written.
    column_options : ColumnOptions
        How single columns of the result are written.
    decryption : str or None
        Names the function that gives the keys of encrypted files.
    model : str or None
        A sorted dataset, or "none".
    if_exists : str or None
        "skip" is still to be done; the others are in ``overwrite`` and ``resume``.
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
    unique: str | None
    unique_by: By | None
    limit: int | None
    offset: int | None
    merge: bool
    flags: KeyFlags
    columns: tuple[str, ...] | None
    rename: dict[str, str] | None
    where: Any
    scheduler: Joinable | None
    workers: int | None
    threads: int | None
    partitions: int | None
    partition_size: int | None
    target_file_size: int | None
    partition_by: tuple[str, ...]
    single_file: bool
    sink: Sink | None
    input_size: int | None
    strategy: str
    memory: int | str | None
    temp_dir: str | None
    profile: str
    compression: str
    row_group_rows: int | None
    column_options: ColumnOptions
    overwrite: Overwrite
    resume: bool
    if_exists: str | None
    schema: SchemaWanted
    manifest: bool
    ignore: tuple[str, ...]
    hive_types: HiveTypes
    input_format: str | None
    csv_options: CsvOptions
    decryption: str | None
    model: str | None
    memory_bytes: int
    tuning: Tuning
    row_bytes: float = 0.0

    def order(self, schema: pa.Schema) -> tuple[tuple[SortKey, ...], tuple[ComputedKey, ...]]:
        """Return the key, of a source with these columns, and what is computed of it."""
        return order_of(self.by, schema, self.flags)

    def fewer(self, keys: tuple[SortKey, ...]) -> FewerRows | None:
        """Return which rows of the order by a key are wanted; None: all of them.

        Raises
        ------
        BadOptionError
            If ``unique_by`` is not what the key begins with.
        """
        if self.unique is None and self.limit is None and not self.offset:
            return None
        n_unique = 0 if self.unique is None else len(keys)
        if self.unique_by is not None:
            n_unique = self._n_unique(self.unique_by, keys)
        return FewerRows(keys, n_unique, self.unique or "first", self.offset or 0, self.limit)

    def _n_unique(self, unique_by: By, keys: tuple[SortKey, ...]) -> int:
        """Return how many columns of the key, which may be renamed, ``unique_by`` names."""
        said = tuple(replace(key, column=self._told_name(key.column)) for key in keys)
        names = [key.column for key in said]
        told_apart = parse_by(unique_by, names)
        n_unique = len(told_apart)
        # By its own names, or as it is given: flags and spelling may make others of it.
        for key in (said, parse_by(self.by, names)):
            begin = key[:n_unique]
            if len(key) == len(keys) and told_apart in (
                begin,
                tuple(SortKey(each.column) for each in begin),
            ):
                return n_unique
        msg = (
            f"unique_by (--unique-by) is {format_by(told_apart)}; expected the first "
            f"columns of the key, {format_by(said)}, in its order."
        )
        raise BadOptionError(msg)

    def _told_name(self, column: str) -> str:
        """Return what the caller calls a key column, which may have a new name by now."""
        if is_hidden(column):
            return shown_name(column)
        for old, new in (self.rename or {}).items():
            if column == new:
                return old
        for old, new in (self.rename or {}).items():
            if column.startswith(f"{new}."):
                return old + column.removeprefix(new)
        return column

    def with_folders(self, keys: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
        """Return what rows are sorted by: the columns that are folders first, then the key."""
        folders = self.partition_by
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
    if values["src"] is REQUIRED:  # what is there is looked after
        values["src"] = values["dst"]
    values |= _if_exists(values["if_exists"], values["overwrite"], resume=values["resume"])
    del values["progress"]  # the door's own
    values["strategy"] = values.pop("carry", values["strategy"])  # of records
    values["flags"] = KeyFlags.of({each.name: values.pop(each.name) for each in KEY_FLAGS})
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
        "csv_options": read_csv_options(values["csv_options"]),
        "column_options": read_column_options(values["column_options"]),
        "dst": ""
        if dst is None and door == "explain"
        else str(without_scheme(read_path(dst, "destination (dst)"))),
        "temp_dir": None if temp_dir is None else read_folder(temp_dir, "temp_dir"),
    }
    if values["model"] not in (None, NO_MODEL):
        values["model"] = str(without_scheme(read_path(values["model"], "model")))
    values["single_file"], values["sink"] = read_form(values, door)
    del values["output_format"]
    if values["sink"] is not None:
        values["compression"] = "none"  # of the parts, which are there for a while
    profile = PROFILES[values["profile"]]
    if door not in ("append_dataset", "compact_dataset"):  # these go by what is there
        values["compression"] = values["compression"] or profile.compression
    values["row_group_rows"] = values["row_group_rows"] or profile.row_group_rows or None
    values["compression"] = values["compression"] or ""
    if values["compression"]:
        check_compression(values["compression"])
    if values["dst"].startswith(("http://", "https://")):
        msg = f"{values['dst']} can't be written: web servers are read only. Choose a folder."
        raise BadOptionError(msg)
    if values["resume"] and "-" in list_of(values["src"]):
        msg = (
            "standard input can't be read again, so that no attempt can be resumed: leave "
            "resume (--resume) out, or keep the rows in a file."
        )
        raise BadOptionError(msg)
    asked = Asked(**values, memory_bytes=memory_bytes, tuning=tuning)
    _check_fewer(asked)
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


def _if_exists(asked: str | None, overwrite: Overwrite, *, resume: bool) -> dict[str, Any]:
    """Return what ``if_exists`` says of the two options that are older.

    Raises
    ------
    BadOptionError
        If it says the contrary of one.
    """
    if asked == "fail" and (overwrite or resume):
        other = "overwrite" if overwrite else "resume"
        msg = f"if_exists is 'fail', and {other} is given too; give one of them."
        raise BadOptionError(msg)
    return {
        "overwrite": overwrite or asked == "replace",
        "resume": resume or asked == "resume",
    }


def _check_fewer(asked: Asked) -> None:
    """Raise if what is asked for does not go with fewer rows, or files in order.

    Raises
    ------
    BadOptionError
    """
    if asked.unique_by is not None and asked.unique is None:
        msg = (
            "unique_by is given, but not which row of each key to keep; give unique too: first "
            "or last."
        )
        raise BadOptionError(msg)
    if asked.merge and asked.where is not None:
        msg = (
            "merge and where are given: a file's order is shown by all of its rows. Leave "
            "merge out; the order is found anyway."
        )
        raise BadOptionError(msg)
    if asked.merge and asked.partition_by:
        msg = (
            "merge and partition_by are given, but rows are sorted by their folders first. "
            "Leave merge out; the order is found anyway."
        )
        raise BadOptionError(msg)
    is_fewer = asked.unique is not None or asked.limit is not None or bool(asked.offset)
    model = None if asked.model == NO_MODEL else asked.model
    strategy = asked.strategy if asked.strategy in ("move", "range") else None
    for name, given in (("model", model), ("strategy", strategy)):
        if is_fewer and given is not None:
            msg = (
                f"{name} is {given}, which is for sorts of all rows; leave it out where fewer "
                "are asked for (by unique, limit or offset)."
            )
            raise BadOptionError(msg)


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
