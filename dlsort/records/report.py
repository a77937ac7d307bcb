"""Report of a sort of records, as text and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlsort.page.write import write_whole
from dlsort.report import PhaseSeconds
from dlsort.sizes import format_bytes
from dlsort.wording import count

__all__ = ["RecordsReport"]


@dataclass
class RecordsReport:
    """What :func:`dlsort.sort_records` did.

    Attributes
    ----------
    src, dst : str
        As given.
    records, bytes : int
        Records sorted, and their bytes.
    input_files, input_parts : int
        Source files; input partitions.
    part_records : list of int
        Records of each part.
    strategy, why : str
        ``keys`` (keys and places travel, and parts fetch their records from the source) or
        ``records`` (whole records travel); and what decided it.
    seconds : float
        Wall-clock from call to published result.
    startup_s : float
        What the command took before that.
    phases : PhaseSeconds
        Where they went.
    balance : float
        Largest part over the mean.
    workers, threads : int
        Worker processes (0: this process) and threads in all.
    mb_per_s_core : float
        MB (10**6 bytes) of records sorted a second and core: a thread is counted as one.
    spilled_bytes : int
        Written to the temporary folder.
    peak_memory_bytes : int
        Highest memory of the processes' own as tasks ended, summed over them.
    mapped_bytes : int
        Bytes of the source that were mapped besides: the system's cache of files.
    checksum : str
        128-bit checksum of all records, equal at source and sink.
    """

    src: str
    dst: str
    records: int = 0
    bytes: int = 0
    input_files: int = 0
    input_parts: int = 0
    part_records: list[int] = field(default_factory=list)
    strategy: str = ""
    why: str = ""
    seconds: float = 0.0
    startup_s: float = 0.0
    phases: PhaseSeconds = field(default_factory=PhaseSeconds)
    balance: float = 1.0
    workers: int = 0
    threads: int = 1
    mb_per_s_core: float = 0.0
    spilled_bytes: int = 0
    peak_memory_bytes: int = 0
    mapped_bytes: int = 0
    checksum: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain numbers and strings."""
        return asdict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON; with a path, write it there too, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            write_whole(Path(path), f"{text}\n".encode())
        return text

    def to_text(self) -> str:
        """Return the report for people."""
        phases = self.phases
        where = count(self.threads, "thread")
        if self.workers:
            where += f" of {self.workers} process{'' if self.workers == 1 else 'es'}"
        memory = f"{format_bytes(self.peak_memory_bytes)} of its own"
        if self.mapped_bytes:
            memory += f", {format_bytes(self.mapped_bytes)} of the source mapped"
        lines = {
            "records": f"{self.records:,} ({format_bytes(self.bytes)}), "
            f"{count(self.input_files, 'file')} into {count(len(self.part_records), 'part')}",
            "time": f"{self.seconds:.2f} s: sample {phases.sample_s:.2f}, partition "
            f"{phases.partition_s:.2f}, sort and write {phases.sort_s:.2f}, publish "
            f"{phases.publish_s:.2f}",
            "speed": f"{self.mb_per_s_core:,.0f} MB/s a core, {where}",
            "way": f"{self.strategy} ({self.why})",
            "balance": f"largest part {self.balance:.3f} x the mean",
            "memory": f"{memory}; {format_bytes(self.spilled_bytes)} spilled",
            "proof": f"count, order and checksum {self.checksum} as read and as written",
        }
        return "\n".join(
            [f"sorted {self.src} into {self.dst}"]
            + [f"  {name:<8} {text}" for name, text in lines.items()]
        )
