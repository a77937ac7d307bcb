"""Finished parts: the records in a job's folder of the parts that are whole.

A part is first moved to its place, then recorded: its proof, size and edges, as a small
Arrow IPC file. So a job that is resumed, in the same or another cluster, makes none a second
time. Where records and parts lie in the folder of a strategy (move, range, exchange):

    attempts/    parts that are being written, each under a name of its own
    parts/       whole parts
    finished/    their records
    model.arrow  the model that cut them
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.arrow.transport import to_transport
from dlsort.errors import ClusterError, DestinationError, OutOfOrderError, RowsLostError
from dlsort.io import storage
from dlsort.io.hive_folders import with_told_columns
from dlsort.io.parquet.writer import Writer
from dlsort.io.parts import FINISHED, PARTS
from dlsort.io.storage import join, open_to_read, size_of, write_error
from dlsort.keys import SortKey
from dlsort.proof.checksum import NOTHING, Proof, prove
from dlsort.proof.ordered import Ordered, first_break
from dlsort.proof.stats import Clock, OutputStats
from dlsort.publish.replaceable import look
from dlsort.tuning import OrderTuning
from dlsort_cluster.exchange import ExchangeError, Layer
from dlsort_cluster.runner import run
from dlsort_cluster.tasks import call

__all__ = [
    "FinishedPart",
    "check_visible",
    "find_finished",
    "find_output",
    "finished_parts",
    "forget_finished",
    "keep_finished",
    "verify_finished",
]

_RECORD = b"dlsort"


class FinishedPart(NamedTuple):
    """A part that is whole.

    Attributes
    ----------
    written : OutputStats
        What it amounts to.
    read : Proof or None
        What was read for it, if it was made without an exchange.
    """

    written: OutputStats
    read: Proof | None

    @property
    def name(self) -> str:
        """Path of its first file in the folder of parts."""
        return self.written.files[0][0]


def keep_finished(folder: str, written: OutputStats, read: Proof | None = None) -> None:
    """Record that a part is whole; see :class:`FinishedPart`.

    Raises
    ------
    DestinationError
        If the record can't be written.
    """
    taken = written.proof, read, written.left_out
    proofs = [p and [p.rows, p.low, p.high] for p in taken]
    record = {
        "part": written.part,
        "files": written.files,
        "written": proofs[0],
        "read": proofs[1],
        "left_out": proofs[2],
    }
    edges = written.edges
    metadata = {**(edges.schema.metadata or {}), _RECORD: json.dumps(record).encode()}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, edges.schema.with_metadata(metadata)) as stream:
        stream.write_table(edges.replace_schema_metadata(metadata))
    path = _record_of(folder, written.part)
    try:
        storage.replace(path, memoryview(sink.getvalue()))
    except OSError as error:
        raise write_error(error, path) from error


def find_finished(folder: str, part: int) -> FinishedPart | None:
    """Return a part's record, if it has one and its files are there and have the sizes.

    A record that can't be read counts as none.
    """
    try:
        data = storage.read_bytes(_record_of(folder, part))
        with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
            edges = stream.read_all()
        metadata = dict(edges.schema.metadata or {})
        record = json.loads(metadata.pop(_RECORD))
        files = tuple((str(name), int(size)) for name, size in record["files"])
        if record["part"] != part or not all(_is_there(folder, *each) for each in files):
            return None
        proof, left_out = (Proof(*map(int, record[name])) for name in ("written", "left_out"))
        read = record["read"] and Proof(*map(int, record["read"]))
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError):
        return None
    edges = edges.replace_schema_metadata(metadata or None)
    n_bytes = sum(size for _, size in files)
    written = OutputStats(part, proof, n_bytes, edges, Clock(), left_out, files)
    return FinishedPart(written, read)


def _is_there(folder: str, name: str, n_bytes: int) -> bool:
    """Return whether a file is in the folder of parts, reached by no link, and has a size."""
    *folders, _ = steps = PurePosixPath(name).parts
    if not steps or {"/", ".."} & set(steps):
        return False
    path = join(folder, PARTS, name)
    if not storage.is_store(path):
        above = Path(folder, PARTS)
        below = [above.joinpath(*folders[:n]) for n in range(1, len(folders) + 1)]
        if any(each.is_symlink() for each in (*below, Path(path))):
            return False
    return storage.size_of(path) == n_bytes


def find_output(folder: str, part: int) -> OutputStats | None:
    """Return the statistics of a finished part; None if it has to be made."""
    finished = find_finished(folder, part)
    return None if finished is None else finished.written


def finished_parts(folder: str) -> list[int]:
    """Return the numbers of the parts that have a record, ascending."""
    names = storage.names_in(join(folder, FINISHED))
    numbers = (name.removesuffix(".arrow") for name in names if name.endswith(".arrow"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def forget_finished(folder: str, part: int) -> None:
    """Remove a part's record, so that the part is made again."""
    storage.remove(_record_of(folder, part))


def _record_of(folder: str, part: int) -> str:
    return join(folder, FINISHED, f"{part}.arrow")


def check_visible(folder: str, outputs: Sequence[OutputStats]) -> dict[str, int]:
    """Check that the folder of whole parts holds the workers' files, and nothing else.

    Returns
    -------
    dict of str to int
        The files' paths in it, and sizes.

    Raises
    ------
    RowsLostError
        If a file is missing or has another size.
    DestinationError
        If there is a file that no worker wrote.
    """
    sizes = dict(each for stats in outputs for each in stats.files)
    folders = {f"{above}/" for name in sizes for above in PurePosixPath(name).parents}
    strays = {
        name
        for name in look(folder).keys() - sizes.keys() - folders
        if not PurePosixPath(name).name.startswith(".nfs")  # removed while it was open
    }
    if strays:
        msg = (
            f"{join(folder, min(strays))} is none of this sort's parts. Nothing was published; "
            "see what it is, remove it, and sort again."
        )
        raise DestinationError(msg)
    for name, size in sizes.items():
        try:
            n_bytes = size_of(join(folder, name))
        except OSError:
            n_bytes = -1
        if n_bytes != size:
            msg = (
                f"{name} was written by a worker but is not in {folder} here. "
                "Nothing was published; source and destination must be on storage that the "
                "client and all workers share under the same paths."
            )
            raise RowsLostError(msg)
    return sizes


def verify_finished(client: Any, writer: Writer, threads: int) -> int:
    """Read the finished parts of a folder; forget those that are not what was recorded.

    Parameters
    ----------
    client : distributed.Client or None
        Where to read them, all at once; None: in this process.
    writer : Writer
        Wrote them.
    threads : int
        Of this process, if it is to be done here.

    Returns
    -------
    int
        How many are as recorded. The others will be made again.

    Raises
    ------
    ClusterError
        If the cluster can't go on.
    """
    token = uuid.uuid4().hex
    graph = {}
    for part in finished_parts(writer.folder):
        key = f"dlsort-verify-{token}-{part}"
        graph[key] = call(key, _verify, writer, part)
    if not graph:
        return 0
    try:
        _, are_good = run(client, Layer(graph, [], list(graph)), threads=threads)
    except ExchangeError as error:
        raise ClusterError(str(error)) from error
    return sum(are_good)


def _verify(writer: Writer, part: int) -> bool:
    if _is_as_recorded(writer, part):
        return True
    forget_finished(writer.folder, part)
    return False


def _is_as_recorded(writer: Writer, part: int) -> bool:
    """Return whether a part's rows have the order and the proof of its record.

    The order by those key columns that the part has, which may be none.
    """
    finished = find_finished(writer.folder, part)
    if finished is None:
        return False
    keys, tuning = writer.told_keys, writer.tuning
    proof, ordered = NOTHING, Ordered(keys, part, tuning)
    recorded = finished.written
    try:
        for name, _ in recorded.files:
            for table in _rows_of(join(writer.folder, PARTS, name)):
                rows = with_told_columns(table, name, writer.partition_by, writer.schema)
                rows = to_transport(rows)
                if keys:
                    ordered.add(rows)
                else:
                    proof += prove(rows, tuning.proof)
        if (ordered.proof if keys else proof) != recorded.proof:
            return False
        if not recorded.proof.rows or not keys:
            return True
        edges = recorded.edges.select(range(len(keys)))
        return _are_equal(ordered.edges(), edges, keys, tuning.order)
    except (OSError, pa.ArrowException, OutOfOrderError, LookupError, ValueError):
        return False


def _rows_of(path: str) -> Iterator[pa.Table]:
    """Yield the row groups of a file."""
    with open_to_read(path) as where, pq.ParquetFile(where, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, use_threads=False)


def _are_equal(
    edges: pa.Table, recorded: pa.Table, keys: tuple[SortKey, ...], tuning: OrderTuning
) -> bool:
    """Return whether the first and the last key are the same, NaN too."""
    others = recorded.replace_schema_metadata().cast(edges.schema.remove_metadata())
    if others.num_rows != edges.num_rows:
        return False
    for row in range(edges.num_rows):
        one, other = edges.slice(row, 1).replace_schema_metadata(), others.slice(row, 1)
        for pair in ([one, other], [other, one]):
            if first_break(pair, keys, tuning) >= 0:
                return False
    return True
