"""Job file: what a job is, written before it starts, so that a later attempt can resume it.

JSON. What the user gave must be the same then; what was chosen is taken over.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pyarrow as pa

from dlsort.errors import ResumeError
from dlsort.io.source import Source
from dlsort.io.storage import read_bytes
from dlsort.version import __version__

__all__ = ["JobFile", "Wanted"]

# What parts follow from, and are not.
_CHOSEN_BY = (
    "piece_bytes",
    "part_bytes",
    "partition_size",
    "costs",
    "row_bytes",
    "arrow_factor",
)
_BEGINS = b'{"format": "dlsort job", '


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user gave, and the source.

    Parameters
    ----------
    by : str
        The key, in the form of ``--by``.
    files : list of [path, bytes, time]
        The source's, in order, with size and time of writing (ns).
    compression, row_group_rows
        How parts are written.
    partition_size : int or None
        As the user gave it, in bytes.
    schema : str
        "union", "strict", or the schema that was asked for.
    manifest : bool
        Whether parts have a manifest in their footers.
    hive_types : str
        Types that were given for columns that folders hold.
    door : str
        What is done: "sort", or to a dataset that is sorted, "append" or "compact".
    parts : list of [path, bytes, time]
        Files of that dataset, in order.
    unique, unique_by, limit, offset
        Which rows are wanted.
    columns : list of str or None
        Those of the result, if they were given.
    rename : dict of str to str
        What they are called there.
    where : str
        Which rows are sorted; empty: all.
    input_format, csv_options : str
        What was said of files that are no Parquet.
    column_options : str
        What was said of how single columns are written.
    target_file_size : int or None
        As the user gave it, in bytes.
    partition_by : list of str
        Columns that are folders.
    single_file : bool
        Whether the parts become one file.
    output_format : str
        What is written in the place of Parquet; empty: Parquet.
    profile : str
        Whom the files are for.
    dlsort, pyarrow : str
        The versions that the parts are written with.
    """

    by: str
    files: list[list[Any]]
    compression: str
    row_group_rows: int
    partition_size: int | None
    schema: str
    manifest: bool
    hive_types: str = ""
    door: str = "sort"
    parts: list[list[Any]] = field(default_factory=list)
    unique: str = ""
    unique_by: str = ""
    limit: int | None = None
    offset: int = 0
    columns: list[str] | None = None
    rename: dict[str, str] = field(default_factory=dict)
    where: str = ""
    input_format: str = ""
    csv_options: str = ""
    column_options: str = ""
    target_file_size: int | None = None
    partition_by: list[str] = field(default_factory=list)
    single_file: bool = False
    output_format: str = ""
    profile: str = "default"
    dlsort: str = __version__
    pyarrow: str = pa.__version__

    @staticmethod
    def files_of(source: Source) -> list[list[Any]]:
        """Return ``files`` of a source."""
        return [[path, *stamp] for path, stamp in zip(*source.given, strict=True)]

    @property
    def mark(self) -> str:
        """What tells it from all that others want: the same wherever the source lies.

        Nor do versions count, or what was chosen.
        """
        asked = {each.name: getattr(self, each.name) for each in fields(Wanted)}
        asked["files"] = [stamp for _, *stamp in self.files]
        del asked["dlsort"], asked["pyarrow"]
        return _checksum(asked)[:16]

    def check_same(self, kept: JobFile, *, partitions: int | None) -> None:
        """Raise unless an earlier attempt was at the same.

        Parameters
        ----------
        kept : JobFile
            The earlier attempt's.
        partitions : int or None
            Number of parts, if it is given this time.

        Raises
        ------
        ResumeError
            If it was another job.
        """
        if self.door != kept.door:
            msg = (
                f"the attempt to resume was of another kind: {kept.door}, not {self.door}. "
                f"Resume it by dlsort {kept.door} --resume, or leave resume (--resume) out."
            )
            raise ResumeError(msg)
        options = {
            "dlsort": ("dlsort's version", self.dlsort, kept.dlsort),
            "pyarrow": ("pyarrow's version", self.pyarrow, kept.pyarrow),
            "by": ("by (--by)", self.by, kept.by),
            "compression": ("compression (--compression)", self.compression, kept.compression),
            "rows": (
                "row_group_rows (--row-group-rows)",
                self.row_group_rows,
                kept.row_group_rows,
            ),
            "manifest": ("manifest", self.manifest, kept.manifest),
            "hive_types": ("hive_types (--hive-types)", self.hive_types, kept.hive_types),
            "unique": ("unique (--unique)", self.unique, kept.unique),
            "unique_by": ("unique_by (--unique-by)", self.unique_by, kept.unique_by),
            "limit": ("limit (--limit)", self.limit, kept.limit),
            "offset": ("offset (--offset)", self.offset, kept.offset),
            "columns": ("columns (--columns)", self.columns, kept.columns),
            "rename": ("rename (--rename)", self.rename, kept.rename),
            "where": ("where (--where)", self.where, kept.where),
            "format": ("input_format (--input-format)", self.input_format, kept.input_format),
            "column_options": (
                "column_options (--column-options)",
                self.column_options,
                kept.column_options,
            ),
            "csv": ("csv_options (--csv-options)", self.csv_options, kept.csv_options),
            "file_size": (
                "target_file_size (--target-file-size)",
                self.target_file_size,
                kept.target_file_size,
            ),
            "folders": (
                "partition_by (--partition-by)",
                ",".join(self.partition_by),
                ",".join(kept.partition_by),
            ),
            "profile": ("profile (--profile)", self.profile, kept.profile),
            "output": (
                "output_format (--output-format)",
                self.output_format or "parquet",
                kept.output_format or "parquet",
            ),
            "one": ("single_file (--single-file)", self.single_file, kept.single_file),
        }
        if partitions is not None:
            options["partitions"] = ("partitions (--partitions)", partitions, kept.n_parts)
        if self.partition_size is not None:
            options["size"] = (
                "partition_size (--partition-size)",
                self.partition_size,
                kept.partition_size,
            )
        for what, now, before in options.values():
            if now != before:
                msg = (
                    f"{what} is {now!r}, but it was {before!r} in the attempt to resume. "
                    "Give the same, or leave resume (--resume) out to start anew."
                )
                raise ResumeError(msg)
        if self.schema != kept.schema:
            msg = (
                "schema is another than in the attempt to go on from. Give the same, or leave "
                "resume (--resume) out to start anew."
            )
            raise ResumeError(msg)
        if self.parts != kept.parts:
            msg = (
                "the dataset is not what it was in the attempt to resume. Leave resume "
                "(--resume) out to start anew."
            )
            raise ResumeError(msg)
        if self.files != kept.files:
            msg = (
                "the source is not what it was in the attempt to resume: "
                f"{self._change(kept)}. Leave resume (--resume) out to start anew."
            )
            raise ResumeError(msg)

    def _change(self, kept: JobFile) -> str:
        """Say how the source has changed since."""
        now = {file[0]: file[1:] for file in self.files}
        before = {file[0]: file[1:] for file in kept.files}
        for path in before:
            if path not in now:
                return f"{path} is gone"
        for path, stamp in now.items():
            if path not in before:
                return f"{path} is new"
            if stamp != before[path]:
                return f"{path} has changed"
        return "its files are in another order"


@dataclass(frozen=True, kw_only=True)
class JobFile(Wanted):
    """What a job is: what the user gave, and what was chosen.

    Parameters
    ----------
    n_parts : int
        Number of output partitions, given or chosen.
    piece_bytes, part_bytes : int
        Largest input and output partition that fit the memory.
    model : str
        The known model that may cut the parts; empty if there is none.
    costs : dict of str to float or list of float
        What encodings were chosen by, where it is not what is built in.
    row_bytes : float
        What a row was taken to need in a file, where files are to have a size.
    arrow_factor : float
        How many times as large as footers say rows were taken to be in memory.
    """

    n_parts: int
    piece_bytes: int
    part_bytes: int
    model: str = ""
    costs: dict[str, Any] = field(default_factory=dict)
    row_bytes: float = 0.0
    arrow_factor: float = 1.0

    @property
    def name(self) -> str:
        """What names the job in its parts: the same wherever its source lies, and is sorted.

        Behind a dot stands what was wanted. Empty if they are to say nothing.
        """
        if not self.manifest:
            return ""
        stamps = {n: [s for _, *s in getattr(self, n)] for n in ("files", "parts")}
        identity = {**vars(self), **stamps}
        for chosen in _CHOSEN_BY:
            del identity[chosen]
        return f"{_checksum(identity)[:32]}.{self.mark}"

    def to_json(self) -> bytes:
        """Return it as the file has it: with a checksum."""
        content = dict(vars(self))
        return _BEGINS + json.dumps({**content, "checksum": _checksum(content)})[1:].encode()

    @staticmethod
    def is_one(path: str) -> bool:
        """Return whether a file is a job's, though it may be damaged."""
        try:
            return read_bytes(path).startswith(_BEGINS)
        except OSError:
            return False

    @classmethod
    def read(cls, path: str) -> JobFile | None:
        """Return the job in a file; None if it can't be read, or is not as it was written."""
        try:
            content = json.loads(read_bytes(path))
            del content["format"]
            checksum = content.pop("checksum")
            job = cls(**{each.name: content[each.name] for each in fields(cls)})
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        return job if checksum == _checksum(content) else None

    def resuming(self, kept: JobFile, *, partitions: int | None) -> JobFile:
        """Return this job with what an earlier attempt of it has chosen.

        Raises
        ------
        ResumeError
            If it was another job; see :meth:`check_same`.
        """
        self.check_same(kept, partitions=partitions)
        return replace(
            self,
            n_parts=kept.n_parts,
            piece_bytes=kept.piece_bytes,
            part_bytes=kept.part_bytes,
            partition_size=kept.partition_size,
            model=kept.model,
            costs=kept.costs,
            row_bytes=kept.row_bytes,
            arrow_factor=kept.arrow_factor,
        )


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
