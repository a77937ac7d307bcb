"""What an append, or a compaction, has done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dlsort.errors import ResumeError
from dlsort.sizes import format_bytes
from dlsort.wording import count, whole, wrapped

__all__ = ["UpkeepReport"]

_WIDTH = 80


@dataclass(frozen=True)
class UpkeepReport:
    """What :func:`dlsort.append_dataset` or :func:`dlsort.compact_dataset` did.

    Parameters
    ----------
    door : str
        ``append`` or ``compact``.
    src, dst, by : str
        As given; ``src`` is empty for a compaction, ``by`` in the form of ``--by``.
    added_rows, rows : int
        Rows of the batch, and of the dataset now.
    kept_parts, remade_parts, written_parts : int
        Parts that are the same files still; parts that are no more; parts that were written,
        of the rows of those and of the batch.
    written_bytes, bytes : int
        Stored size of the parts that were written, and of all.
    seconds : float
        Wall-clock from call to published result.
    checksum : str
        128-bit checksum of all rows, order-independent: of what the parts held, and the batch.
    resumed_parts : int
        Parts that an earlier attempt had finished.
    generation : int
        How many times the dataset was appended to, or evened.
    passed_over : dict of str to int
        Files and folders of the batch that were not read, by the reason, as of a sort.
    decrypted_files : int
        Files of the batch that are encrypted; the result is not.
    """

    door: str
    src: str
    dst: str
    by: str
    added_rows: int
    rows: int
    kept_parts: int
    remade_parts: int
    written_parts: int
    written_bytes: int
    bytes: int
    seconds: float
    checksum: str
    resumed_parts: int
    generation: int
    passed_over: dict[str, int] = field(default_factory=dict)
    decrypted_files: int = 0

    @property
    def parts(self) -> int:
        """Parts of the dataset now."""
        return self.kept_parts + self.written_parts

    @classmethod
    def of_finished(cls, finished: Mapping[str, Any], seconds: float) -> UpkeepReport:
        """Return the report of a job that an earlier attempt had finished, all but publishing.

        Raises
        ------
        ResumeError
            If ``finished`` is no report.
        """
        try:
            return cls(**{**finished, "seconds": seconds})
        except TypeError as error:
            msg = "what an earlier attempt has left is no report."
            raise ResumeError(msg) from error

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain numbers and strings."""
        return asdict(self)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self) -> str:
        """Return the report as a few lines for people."""
        written = f"{count(self.written_parts, 'part')} written"
        lines = [
            f"appended   {count(self.added_rows, 'row')} of {whole(self.src)}"
            if self.door == "append"
            else f"evened     {count(self.rows, 'row')}",
            f"to         {whole(self.dst)}: {count(self.rows, 'row')} by {whole(self.by)}, "
            f"{count(self.parts, 'part')}, {format_bytes(self.bytes)}",
            f"parts      {self.kept_parts:,} as they were; {written} in the place of "
            f"{self.remade_parts:,} ({format_bytes(self.written_bytes)})",
            f"time       {self.seconds:.2f} s",
        ]
        if self.passed_over:
            counts = ", ".join(f"{n:,} {why}" for why, n in self.passed_over.items())
            lines.append(f"not read   {counts}")
        if self.decrypted_files:
            files = count(self.decrypted_files, "file")
            lines.append(f"encrypted  {files} of the batch; the result is not encrypted")
        if self.resumed_parts:
            lines.append(
                f"resumed    {count(self.resumed_parts, 'part')} kept from an earlier attempt"
            )
        if self.written_parts:
            lines.append(
                f"proved     {count(self.rows, 'row')} in order, checksum {self.checksum}"
            )
        return "\n".join(part for line in lines for part in wrapped(line, _WIDTH))
