"""Form: whether a folder or one file is written, and of which format, as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlsort.errors import BadOptionError
from dlsort.io.sinks.sink import OUTPUT_FORMATS, PARQUET, PIPE, Sink, sink_by_name, sink_of
from dlsort.io.storage import is_store

__all__ = ["read_form"]

ONE_FILE = ".parquet"  # a destination whose name ends so is a file, unless it is a folder
_TEXT_OF = {
    "compression": "a codec of Parquet's",
    "row_group_rows": "of Parquet's row groups",
    "column_options": "of Parquet's columns",
    "profile": "of Parquet files",
    "partition_by": "of folders of Parquet files",
    "target_file_size": "of Parquet files",
}


def read_form(values: Mapping[str, Any], door: str) -> tuple[bool, Sink | None]:
    """Return whether one file is wanted, and what is written if it is no Parquet.

    Raises
    ------
    BadOptionError
        If that can't be.
    """
    sink = _sink(values) if door in ("sort_dataset", "explain") else None
    if sink is not None:
        _check_sink(values, sink)
        is_named = sink_by_name(values["dst"]) is not None and not _is_folder(values["dst"])
        return values["single_file"] or is_named or values["dst"] == PIPE, sink
    return _is_single_parquet(values), None


def _sink(values: Mapping[str, Any]) -> Sink | None:
    dst, output_format = values["dst"], values["output_format"]
    if output_format is None:
        by_name = None if is_store(dst) or _is_folder(dst) else sink_by_name(dst)
        if dst != PIPE or by_name is not None:
            return by_name
        output_format = PARQUET
    if output_format != PARQUET:
        return sink_of(dst, output_format)
    if dst == PIPE:
        *others, last = OUTPUT_FORMATS[1:]
        msg = (
            f"the destination is {PIPE}, standard output, which can't take Parquet: give "
            f"output_format (--output-format) as {', '.join(others)} or {last}, or name a file."
        )
        raise BadOptionError(msg)
    return None


def _check_sink(values: Mapping[str, Any], sink: Sink) -> None:
    dst = values["dst"]
    for option, what in _TEXT_OF.items():
        if values[option] and values[option] != "default":
            how = ""
            if option == "compression" and sink.format != "arrow":
                how = f", or name a file that ends in .{sink.format}.gz or .{sink.format}.zst"
            msg = (
                f"{option} is {what}, and {sink.format} is written; leave "
                f"{option} (--{option.replace('_', '-')}) out{how}."
            )
            raise BadOptionError(msg)
    if not values["manifest"]:
        msg = f"manifest is of Parquet files, and {sink.format} is written; leave it out."
        raise BadOptionError(msg)
    if values["if_exists"] == "skip":
        msg = (
            f"if_exists is 'skip', but files of {sink.format} don't tell which sort they "
            "are the result of; choose another, or write Parquet."
        )
        raise BadOptionError(msg)
    if is_store(dst):
        msg = (
            f"{dst} is in an object store, where only Parquet is written; name a file on disk."
        )
        raise BadOptionError(msg)
    if dst == PIPE:
        for option in ("resume", "overwrite", "if_exists"):
            if values[option]:
                msg = (
                    f"{option} is given, but the destination is standard output; leave it "
                    "out, or name a file."
                )
                raise BadOptionError(msg)


def _is_folder(dst: str) -> bool:
    return Path(dst).is_dir()


def _is_single_parquet(values: Mapping[str, Any]) -> bool:
    dst = values["dst"]
    by_name = dst.endswith(ONE_FILE) and not is_store(dst) and not _is_folder(dst)
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
