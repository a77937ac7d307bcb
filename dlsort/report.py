"""Report: what a job did, as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlsort.errors import ResumeError
from dlsort.events import (
    Event,
    Learned,
    Made,
    Opened,
    Planned,
    Published,
    Ran,
    Replanned,
    Resumed,
    Skipped,
    Span,
    Started,
)
from dlsort.page.write import write_whole
from dlsort.sizes import format_bytes
from dlsort.wording import count, printable, scaled, whole, wrapped

__all__ = ["PhaseSeconds", "SortReport"]

_NARROWEST, _WIDEST = 40, 80
_MOST_SHOWN = 5  # of columns and keys
_OF_THE_PAGE = ("timeline", "learned")


@dataclass
class PhaseSeconds:
    """Seconds a phase.

    All but ``work`` are wall-clock and follow one another; ``work`` holds the threads' own
    seconds, summed over all of them, by step.
    """

    open_s: float = 0.0
    start_s: float = 0.0
    sample_s: float = 0.0
    partition_s: float = 0.0
    sort_s: float = 0.0
    publish_s: float = 0.0
    work: dict[str, float] = field(default_factory=dict)


@dataclass
class SortReport:
    """What :func:`dlsort.sort_dataset` did.

    Attributes
    ----------
    src, dst, by : str
        As given; ``by`` in the form of ``--by``.
    rows, kept_rows, dropped_rows : int
        Rows sorted; those written; those that nobody asked for (``unique``, ``limit``,
        ``offset``).
    where : str
        Which rows were sorted; empty: all. Then ``rows`` are those that are written.
    rows_read : int
        Rows that were read: more than were sorted, if some were left out.
    passed_row_groups : int
        Row groups that were not read, as what is told of them shows that none of their rows
        is among those.
    input_files, input_parts, output_parts : int
        Source files; input partitions; output partitions.
    input_bytes, arrow_bytes, output_bytes : int
        Stored size of the source, estimated size in memory, stored size of the result.
    seconds : float
        Wall-clock from call to published result.
    startup_s : float
        What the command took before that: Python, imports and, the first time, compiling. 0
        where the sort was called from Python.
    phases : PhaseSeconds
        Where they went.
    balance : float
        Largest partition over the mean.
    part_rows : list of int
        Rows of each part.
    predicted_rows : float
        Rows that the model gave each of them.
    surprises : list of int
        Parts with more than 1.5 times as many: the sample was wrong about them.
    spilled_bytes, peak_memory_bytes : int
        Shards written to the temporary folder; highest resident memory, summed
        over the processes that did the work.
    checksum : str
        128-bit checksum of all rows, order-independent, equal at source and sink.
    proved : bool
        Row count, checksum and order were checked; if it was skipped, by the sort before.
    skipped : bool
        The destination was the result already, and nothing was done (``if_exists="skip"``).
    moved : bool
        The order of the source, or of its row groups, made an exchange unnecessary.
    resumed_parts : int
        Parts that an earlier attempt had finished and that were kept.
    workers, threads : int
        Worker processes (0: embedded) and threads in all.
    passed_over : dict of str to int
        Files and folders of the source that were not read, by the reason: ``hidden`` (their
        names begin with ``_`` or ``.``), ``ignored``, ``linked`` (they lead to what is read
        anyway), ``document`` (no data, by their names).
    united_columns : list of str
        Columns that are not the same in all files, with their types there and their type now.
    dropped_metadata : list of str
        Keys of metadata that would not be true of all rows, and were left out.
    predicted : dict
        What the plan was predicted to take: ``seconds``, ``processor_s``, ``phases`` and
        ``work`` as in ``phases``, ``memory_bytes``, ``spilled_bytes``, ``sent_bytes``,
        ``balance``; its ``strategy``, ``parts``, ``inputs``, ``processes`` and ``threads``; and
        ``told_by``, what that was known from.
    decrypted_files : int
        Files of the source that are encrypted; the result is not.
    read_as : list of str
        What files that are no Parquet were read as: their format, and the types that were
        inferred from how many rows.
    timeline : list of Span
        Which thread did what when; some thousand spans at the most. For :meth:`to_html` alone.
    learned : dict
        Some of the splitters, if the rows were parted by a model. For :meth:`to_html` alone.
    model : str
        ``learned`` from a sample, ``reused`` from an earlier sort, or ``mended`` by new rows.
    replanned : list of dict
        What was changed while the job went, and why: ``change``, ``because``; ``predicted`` and
        ``measured`` bytes of a row, or thread seconds of what was done by then.
    arrow_factor : float
        What rows took in memory, over what the source's footers say.
    sent_rows : int
        Rows that inputs handed on to the parts: all, but with ``unique`` one of each key.
    """

    src: str
    dst: str
    by: str
    rows: int = 0
    kept_rows: int = 0
    dropped_rows: int = 0
    where: str = ""
    rows_read: int = 0
    passed_row_groups: int = 0
    input_files: int = 0
    input_parts: int = 0
    output_parts: int = 0
    input_bytes: int = 0
    arrow_bytes: int = 0
    output_bytes: int = 0
    seconds: float = 0.0
    startup_s: float = 0.0
    phases: PhaseSeconds = field(default_factory=PhaseSeconds)
    balance: float = 1.0
    part_rows: list[int] = field(default_factory=list)
    predicted_rows: float = 0.0
    surprises: list[int] = field(default_factory=list)
    spilled_bytes: int = 0
    peak_memory_bytes: int = 0
    checksum: str = ""
    proved: bool = False
    skipped: bool = False
    moved: bool = False
    resumed_parts: int = 0
    workers: int = 0
    threads: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    united_columns: list[str] = field(default_factory=list)
    dropped_metadata: list[str] = field(default_factory=list)
    predicted: dict[str, Any] = field(default_factory=dict)
    decrypted_files: int = 0
    read_as: list[str] = field(default_factory=list)
    timeline: list[Span] = field(default_factory=list, repr=False)
    learned: dict[str, Any] = field(default_factory=dict, repr=False)
    model: str = "learned"
    replanned: list[dict[str, Any]] = field(default_factory=list)
    arrow_factor: float = 1.0
    sent_rows: int = 0

    @classmethod
    def of_finished(cls, finished: Mapping[str, Any], seconds: float) -> SortReport:
        """Return the report of a job that an earlier attempt had finished, all but publishing.

        Raises
        ------
        ResumeError
            If ``finished`` is no report.
        """
        try:
            phases = PhaseSeconds(**finished["phases"])
            report = cls(**{**finished, "phases": phases, "proved": True, "seconds": seconds})
        except (TypeError, LookupError) as error:
            msg = "what an earlier attempt has left is no report."
            raise ResumeError(msg) from error
        report.resumed_parts = report.output_parts
        return report

    def note(self, event: Event) -> None:
        """Take over what was measured."""
        phases = self.phases
        match event:
            case Opened():
                self.rows = self.rows_read = event.rows
                self.where, self.passed_row_groups = event.where, event.passed_groups
                self.input_files = event.files
                self.input_bytes, self.arrow_bytes = event.stored_bytes, event.arrow_bytes
                self.united_columns = list(event.changes)
                self.dropped_metadata = list(event.dropped)
                self.decrypted_files = event.decrypted
                self.read_as = list(event.read_as)
                phases.open_s = event.seconds
                self.passed_over = {why: len(names) for why, names in event.passed.items()}
            case Started():
                self.workers, self.threads = event.workers, event.threads
                self.output_parts = event.output_parts
                phases.start_s = event.seconds
            case Planned():
                self.predicted = dict(event.predicted)
            case Replanned():
                self.replanned.append(asdict(event))
            case Resumed():
                self.resumed_parts = event.parts
            case Ran():
                phases.sample_s = event.sample_s
                phases.partition_s = event.partition_s
                phases.sort_s = event.sort_s
                for step, seconds in event.work.items():
                    phases.work[step] = phases.work.get(step, 0.0) + seconds
                self.peak_memory_bytes = event.peak_memory_bytes
                self.spilled_bytes = event.spilled_bytes
                self.timeline = list(event.timeline)
            case Learned():
                self.learned = dict(event.curve)
            case Made():
                self.moved, self.model = event.moved, event.model
                self.arrow_factor, self.sent_rows = event.arrow_factor, event.sent_rows
                self.input_parts = event.input_parts
                self.checksum, self.output_bytes = event.checksum, event.output_bytes
                self.part_rows, self.surprises = list(event.part_rows), list(event.surprises)
                self._kept()
                self.predicted_rows = mean = self.kept_rows / max(len(self.part_rows), 1)
                self.balance = max(self.part_rows, default=0) / mean if mean else 1.0
            case Skipped():
                self.part_rows, self.output_parts = list(event.part_rows), len(event.part_rows)
                self.output_bytes, self.checksum = event.output_bytes, event.checksum
                self.seconds, self.skipped, self.proved = event.seconds, True, True
                self._kept()
            case Published():
                phases.publish_s, self.seconds = event.publish_s, event.seconds
                self.proved = True

    def _kept(self) -> None:
        self.kept_rows = sum(self.part_rows)
        if self.where:
            self.rows = self.kept_rows
        self.dropped_rows = self.rows - self.kept_rows

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain numbers and strings, but for what only the page shows."""
        figures = asdict(self)
        return {name: figures[name] for name in figures if name not in _OF_THE_PAGE}

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON; with a path, write it there too, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2)
        if path is not None:
            write_whole(Path(path), f"{text}\n".encode())
        return text

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the report as a page that needs no other file; with a path, write it too.

        It shows what was predicted beside what was measured, the parts, what each thread did
        when, and the distribution of keys that was learned: values of the key are on it.

        Raises
        ------
        BadOptionError
            If bokeh, which draws it, is not installed.
        """
        from dlsort.page.run_page import run_page

        text = run_page(vars(self), asdict(self.phases), self.to_text())
        if path is not None:
            write_whole(Path(path), text.encode())
        return text

    def write(self, path: str | Path) -> None:
        """Write the report: a page where the name ends in .html, text for .txt, else JSON."""
        match Path(path).suffix.lower():
            case ".html" | ".htm":
                self.to_html(path)
            case ".txt":
                write_whole(Path(path), f"{self.to_text()}\n".encode())
            case _:
                self.to_json(path)

    def _predicted_line(self) -> list[str]:
        if not self.predicted:
            return []
        told = self.predicted.get("told_by", "")
        by = f" (told by {told})" if told else ""
        return [f"predicted  {self.predicted['seconds']:.2f} s{by}"]

    def to_text(self, columns: int | None = None) -> str:
        """Return the report as a few lines for people.

        Parameters
        ----------
        columns : int, optional
            How wide the terminal is: lines are of 40 to 80 columns, the latter by default.
        """
        width = max(_NARROWEST, min(columns or _WIDEST, _WIDEST))
        lines = self._skipped_lines() if self.skipped else self._lines()
        return "\n".join(part for line in lines for part in wrapped(line, width))

    def _skipped_lines(self) -> list[str]:
        read, written = format_bytes(self.input_bytes), format_bytes(self.output_bytes)
        return [
            f"skipped    {count(self.kept_rows, 'row')} by {whole(self.by)}: sorted already",
            f"from       {whole(self.src)} ({count(self.input_files, 'file')}, {read})",
            f"to         {whole(self.dst)} ({count(self.output_parts, 'part')}, {written})",
            f"checksum   {self.checksum}, by the footers of the parts",
        ]

    def _lines(self) -> list[str]:
        phases = self.phases
        steps = ", ".join(f"{name} {s:.2f}" for name, s in phases.work.items())
        where = _processes(self.workers) if self.workers else "embedded"
        speed = scaled(self.rows / self.seconds) if self.seconds else ""
        rate = speed and f"{speed} {'row' if speed == '1' else 'rows'}/s"
        total_s, spent = self.startup_s + self.seconds, f", {rate}" if rate else ""
        if self.startup_s:
            at = f" at {rate}" if rate else ""
            spent = f": start-up {self.startup_s:.2f}, sort {self.seconds:.2f}{at}"
        read, written = format_bytes(self.input_bytes), format_bytes(self.output_bytes)
        lines = [
            f"sorted     {count(self.rows, 'row')} by {whole(self.by)}",
            f"from       {whole(self.src)} ({count(self.input_files, 'file')}, {read})",
            f"to         {whole(self.dst)} ({count(self.output_parts, 'part')}, {written})",
            f"time       {total_s:.2f} s{spent}; {where}, {count(self.threads, 'thread')}",
            *self._predicted_line(),
            *(f"replanned  {r['change']}, because {r['because']}" for r in self.replanned),
            f"phases     open {phases.open_s:.2f}, start {phases.start_s:.2f}, "
            f"sample {phases.sample_s:.2f}, partition {phases.partition_s:.2f}, "
            f"sort {phases.sort_s:.2f}, publish {phases.publish_s:.2f} s",
            f"in threads {steps} s",
            f"balance    largest partition {self.balance:.3f} x mean: "
            f"{count(max(self.part_rows, default=0), 'row')}, "
            f"{self.predicted_rows:,.0f} predicted",
            f"memory     peak {format_bytes(self.peak_memory_bytes)}, "
            f"spilled {format_bytes(self.spilled_bytes)}",
        ]
        kept = count(self.rows - self.dropped_rows, "row")
        if self.dropped_rows:
            lines.append(f"kept       {kept}, {self.dropped_rows:,} left out as asked for")
        if self.where:
            passed = count(self.passed_row_groups, "row group")
            lines.append(
                f"where      {printable(self.where)}: {self.rows:,} kept of "
                f"{count(self.rows_read, 'row')} read; {passed} not read, by their statistics"
            )
        lines += [f"read as    {printable(each)}" for each in self.read_as]
        if self.passed_over:
            counts = ", ".join(f"{n:,} {why}" for why, n in self.passed_over.items())
            lines.append(f"not read   {counts}")
        if self.united_columns:
            names = _some(self.united_columns, "column")
            lines.append(f"united     columns of files that differ: {names}")
        if self.dropped_metadata:
            names = _some(self.dropped_metadata, "key")
            lines.append(f"left out   metadata that is not true of all rows: {names}")
        if self.decrypted_files:
            files = count(self.decrypted_files, "file")
            lines.append(f"encrypted  {files} of the source; the result is not encrypted")
        if self.surprises:
            lines.append(
                f"surprise   {count(len(self.surprises), 'part')} with up to "
                f"{self.balance:.1f} x the "
                f"predicted rows (the first is part {self.surprises[0]}): the sample was wrong"
            )
        if self.resumed_parts:
            lines.append(
                f"resumed    {self.resumed_parts:,} of {count(self.output_parts, 'part')} kept "
                "from an earlier attempt, and read back"
            )
        if self.model != "learned":
            lines.append(f"model      {self.model} from an earlier sort's footers")
        if self.moved:
            lines.append("order      the source's was used: no row was exchanged")
        if self.proved:
            same = f"checksum {self.checksum} at source and sink"
            lines.append(f"proved     {kept} in order, {same}")
        return lines


def _some(names: Sequence[str], what: str) -> str:
    """Return the first of some names, and how many more there are."""
    shown = "; ".join(map(printable, names[:_MOST_SHOWN]))
    more = len(names) - _MOST_SHOWN
    return shown if more <= 0 else f"{shown}; and {count(more, f'more {what}')}"


def _processes(n: int) -> str:
    return f"{n:,} worker process{'' if n == 1 else 'es'}"
