"""Work: what a source is, what shape a plan has, and how much each step then has to do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_text
from dlsort.arrow.paths import field_at
from dlsort.io.parquet.source import ParquetSource
from dlsort.keys import SortKey, format_by
from dlsort.model.sample_plan import known_ends, overlap
from dlsort.planner.speeds import Work

__all__ = ["Facts", "Shape", "facts_of", "job_name", "rows_of", "work_of"]

# Where row groups' ranges overlap so much, such a share of the keys is read for the sample;
# elsewhere those of all row groups.
MIXED, SHARE = 0.5, 0.05
CODE_BYTES = 4  # of a value that stays a dictionary's index on its way


class Facts(NamedTuple):
    """What the footers tell of a source.

    Attributes
    ----------
    rows, files, columns : int
        How many there are.
    chunks : int
        Column chunks.
    fixed_bytes, text_bytes, coded_values : int
        Arrow bytes of numbers and the like, and of text; values of dictionary columns.
    stored_bytes, arrow_bytes : int
        As stored, and in memory.
    keys, text_keys : int
        Key columns of numbers, and of text.
    overlap : float
        How much of all row groups' ranges of the first key column one spans, 0 to 1.
    kept : float
        Share of the rows that a condition keeps, of those that are read.
    sent : float
        Share of these that inputs hand on, where of each key one row is wanted.
    written : float
        Share of these that are written.
    grouped : float
        Rows whose keys each input tells apart, over all: 1 where one of each is wanted, or 0.
    """

    rows: int
    files: int
    columns: int
    chunks: int
    fixed_bytes: int
    text_bytes: int
    coded_values: int
    stored_bytes: int
    arrow_bytes: int
    keys: int
    text_keys: int
    overlap: float
    kept: float = 1.0
    sent: float = 1.0
    written: float = 1.0
    grouped: float = 0.0

    @property
    def row_bytes(self) -> float:
        """Bytes of a row on its way."""
        on_the_way = self.fixed_bytes + self.text_bytes + CODE_BYTES * self.coded_values
        return on_the_way / max(self.rows, 1)

    @property
    def row_bytes_in_memory(self) -> float:
        """Bytes of a row in an input or an output partition."""
        return self.arrow_bytes / max(self.rows, 1)


@dataclass(frozen=True)
class Shape:
    """A plan, as far as its cost depends on it.

    Parameters
    ----------
    strategy : str
        ``move``, ``range``, ``exchange`` or ``first``.
    n_parts, n_pieces : int
        Output and input partitions.
    n_processes, n_threads : int
        Worker processes, 0 for the calling one; threads in all.
    piece_bytes : int
        Largest input partition.
    rereads : float
        Rows read for each row of the source.
    balance : float
        Largest part over the mean.
    sampled_rows : int
        What is drawn for the model.
    known_rows : int or None
        Rows that are compared with a known model, or are new to it; None: none is known.
    looked_rows, held_rows : int
        Rows whose keys are looked through for the first ones, and that are put in order then.
    is_running : bool
        The processes are there already: another's cluster.
    """

    strategy: str
    n_parts: int
    n_pieces: int
    n_processes: int
    n_threads: int
    piece_bytes: int = 0
    rereads: float = 1.0
    balance: float = 1.0
    sampled_rows: int = 0
    known_rows: int | None = None
    looked_rows: int = 0
    held_rows: int = 0
    is_running: bool = False

    @property
    def is_exchange(self) -> bool:
        """Whether rows go from inputs to parts; else each part is made by one task."""
        return self.strategy in ("exchange", "first")


def rows_of(facts: Facts, shape: Shape) -> dict[str, int]:
    """Return how many rows of a plan are read, kept of them, sent to parts, and written."""
    kept = facts.rows * facts.kept
    is_first = shape.strategy == "first"
    sent = kept * (facts.written if is_first else facts.sent)
    read = facts.rows * shape.rereads
    told = {"read": read, "kept": kept, "sent": sent, "written": kept * facts.written}
    return {name: round(n) for name, n in told.items()}


def facts_of(source: ParquetSource, keys: Sequence[SortKey]) -> Facts:
    """Return what a plan's cost depends on, as a source's footers tell it."""
    rows, arrow_bytes = source.n_rows, source.arrow_bytes
    coded = set(source.as_dictionary)
    fixed = sum(_width(f.type) for f in source.schema if f.name not in coded) * rows // 8
    text_keys = sum(_width(field_at(source.schema, k.column).type) == 0 for k in keys)
    coded_values = len(coded) * rows
    # What has no width is the rest; footers of dictionaries tell less than their text has.
    text = max(0, arrow_bytes - fixed - CODE_BYTES * coded_values)
    has_text = any(_width(f.type) == 0 and f.name not in coded for f in source.schema)
    return Facts(
        rows,
        len(source.files),
        len(source.schema),
        len(source.row_groups) * len(source.schema),
        fixed,
        text if has_text else 0,
        coded_values,
        source.stored_bytes,
        arrow_bytes,
        len(keys) - text_keys,
        text_keys,
        overlap(list(known_ends(source.ranges(keys[0].column)).values())),
        source.kept_share,
    )


def work_of(facts: Facts, shape: Shape, spilled_bytes: int = 0, sent_bytes: int = 0) -> Work:
    """Return how much each step of a plan has to do."""
    f, again = facts, shape.rereads
    of_rows, n_rows = rows_of(f, shape), max(f.rows, 1)
    sent, written = of_rows["sent"] / n_rows, of_rows["written"] / n_rows
    read = {"bytes": f.fixed_bytes, "text": f.text_bytes, "coded": f.coded_values}
    keys = {"rows": f.rows * f.keys, "texts": f.rows * f.text_keys}
    values, keyed = _times(read, sent), _times(keys, sent)
    read_chunks = max(f.chunks, f.columns * shape.n_pieces) * again
    written_chunks = f.columns * shape.n_parts
    work: dict[str, dict[str, float]] = {
        "read": {**_times(read, again), "chunks": read_chunks, "tasks": shape.n_pieces},
        "prove": {
            **_times(values, 2.0),
            "chunks": read_chunks + written_chunks,
            "tasks": shape.n_pieces + shape.n_parts,
        },
        "sort": {**values, **_times(keys, sent + f.grouped * f.kept), "tasks": shape.n_parts},
        "write": {**_times(read, written), "chunks": written_chunks, "tasks": shape.n_parts},
        "start": {
            "jobs": 1.0,
            "threads": 0.0 if shape.is_running else float(shape.n_threads - 1),
            "processes": 0.0 if shape.is_running else _started(shape.n_processes),
        },
        "publish": {"jobs": 1.0, "parts": shape.n_parts, "stored": f.stored_bytes * written},
    }
    if shape.strategy == "first":
        looked = _times(keys, shape.looked_rows / n_rows)
        work["find"] = {**looked, "held": shape.held_rows, "tasks": shape.n_pieces}
        work["split"] = {**values, "tasks": shape.n_pieces}
    elif shape.strategy != "move" and shape.n_parts > 1:
        work["classify"] = {**_times(keyed, again), "tasks": shape.n_pieces}
        share, drawn = _sampled(f), shape.sampled_rows
        if shape.known_rows is not None:
            share, drawn = shape.known_rows / n_rows, 0
        looked = _times({"read": keys["rows"], "texts": keys["texts"]}, share)
        work["sample"] = {"jobs": 1.0, "rows": drawn, "files": f.files, **looked}
        work["split"] = {**values, "tasks": shape.n_pieces}
    if spilled_bytes:
        work["spill"] = {"bytes": float(spilled_bytes)}
    if sent_bytes:
        work["send"] = {"bytes": float(sent_bytes)}
    return work


def job_name(
    source: ParquetSource, src: str, keys: Sequence[SortKey], rows: Sequence[str] = ()
) -> str:
    """Return what a job is recognised by, when its dataset comes again or has grown.

    A digest of paths without their numbers, types, keys and ``rows``, which says which rows are
    wanted, if not all: none of them can be read from it.
    """
    columns = ",".join(f"{f.name}:{f.type}" for f in source.schema)
    told = "\0".join((re.sub(r"\d+", "#", src), columns, format_by(tuple(keys)), *rows))
    return hashlib.blake2b(told.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _started(n_processes: int) -> float:
    """Return how many processes' time it takes to start some at once."""
    return float(n_processes > 0) + 0.1 * n_processes


def _sampled(facts: Facts) -> float:
    """Return the share of the keys that is read for the sample."""
    return 1.0 if facts.overlap < MIXED else SHARE


def _times(amounts: Mapping[str, float], factor: float) -> dict[str, float]:
    return {unit: amount * factor for unit, amount in amounts.items()}


def _width(kind: pa.DataType) -> int:
    """Return the bits of each value of a type, 0 where they differ."""
    if pt.is_struct(kind):
        widths = [_width(kind.field(i).type) for i in range(kind.num_fields)]
        return sum(widths) if all(widths) else 0
    if pt.is_nested(kind) or is_text(kind) or is_binary(kind) or pt.is_dictionary(kind):
        return 0
    try:
        return int(kind.bit_width)
    except ValueError:
        return 0
