"""Work: what a source is, what shape a plan has, and how much each step then has to do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
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

__all__ = ["Facts", "Shape", "facts_of", "job_name", "work_of"]

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
        Share of the rows that are sorted, of those that are read.
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

    @property
    def row_bytes(self) -> float:
        """Bytes of a row on its way."""
        on_the_way = self.fixed_bytes + self.text_bytes + CODE_BYTES * self.coded_values
        return on_the_way / max(self.rows, 1)


@dataclass(frozen=True)
class Shape:
    """A plan, as far as its cost depends on it.

    Parameters
    ----------
    strategy : str
        ``move``, ``range`` or ``exchange``.
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
    is_running: bool = False


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
    read = {"bytes": f.fixed_bytes, "text": f.text_bytes, "coded": f.coded_values}
    values = {unit: round(n * f.kept) for unit, n in read.items()}
    read_chunks = max(f.chunks, f.columns * shape.n_pieces) * again
    written_chunks = f.columns * shape.n_parts
    rows = round(f.rows * f.kept)
    keyed = {"rows": rows * f.keys, "texts": rows * f.text_keys}
    work: dict[str, dict[str, float]] = {
        "read": {**_times(read, again), "chunks": read_chunks, "tasks": shape.n_pieces},
        "prove": {
            **_times(values, 2.0),
            "chunks": read_chunks + written_chunks,
            "tasks": shape.n_pieces + shape.n_parts,
        },
        "sort": {**values, **keyed, "tasks": shape.n_parts},
        "write": {**values, "chunks": written_chunks, "tasks": shape.n_parts},
        "start": {
            "jobs": 1.0,
            "threads": 0.0 if shape.is_running else float(shape.n_threads - 1),
            "processes": 0.0 if shape.is_running else _started(shape.n_processes),
        },
        "publish": {"jobs": 1.0, "parts": shape.n_parts, "stored": f.stored_bytes * f.kept},
    }
    if shape.strategy != "move" and shape.n_parts > 1:
        work["classify"] = {**_times(keyed, again), "tasks": shape.n_pieces}
        work["sample"] = {
            "jobs": 1.0,
            "rows": shape.sampled_rows,
            "files": f.files,
            **_times({"read": f.rows * f.keys, "texts": f.rows * f.text_keys}, _sampled(f)),
        }
        work["split"] = {**values, "tasks": shape.n_pieces}
    if spilled_bytes:
        work["spill"] = {"bytes": float(spilled_bytes)}
    if sent_bytes:
        work["send"] = {"bytes": float(sent_bytes)}
    return work


def job_name(source: ParquetSource, src: str, keys: Sequence[SortKey]) -> str:
    """Return what a job is recognised by, when its dataset comes again or has grown.

    A digest of paths without their numbers, types and keys: none of them can be read from it.
    """
    columns = ",".join(f"{f.name}:{f.type}" for f in source.schema)
    told = "\0".join((re.sub(r"\d+", "#", src), columns, format_by(tuple(keys))))
    return hashlib.blake2b(told.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def _started(n_processes: int) -> float:
    """Return how many processes' time it takes to start some at once."""
    return float(n_processes > 0) + 0.1 * n_processes


def _sampled(facts: Facts) -> float:
    """Return the share of the keys that is read for the sample."""
    return 1.0 if facts.overlap < MIXED else SHARE


def _times(amounts: dict[str, int], factor: float) -> dict[str, float]:
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
