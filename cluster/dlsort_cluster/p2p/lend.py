"""Shards of another worker, for outputs that are made by one that came later.

:class:`Lender` is the side that fetches, `lend` the one that has the rows. A request names
rows of some shards and is answered with the first of them, a few MiB, so that a partition that
does not fit the memory can be merged in pieces here too. An answer has a checksum and says what
it answers: a request may have been damaged as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from distributed.core import clean_exception, error_message
from distributed.protocol.serialize import to_serialize
from distributed.shuffle._core import ShuffleId
from distributed.shuffle._exceptions import P2PConsistencyError, ShuffleClosedError
from distributed.utils import sync

from dlsort_cluster.exchange import Shards, ShardsDamagedError
from dlsort_cluster.versions import compare, installed
from dlsort_cluster.wire import DamagedError, Message, Unit, frame, pack, read_stream, unframe

if TYPE_CHECKING:
    from distributed.shuffle._worker_plugin import ShuffleWorkerPlugin

__all__ = ["Lender", "listen"]

T = TypeVar("T")

# Rows first to last of a shard.
Rows = tuple[int, int, int]

_HANDLER = "dlsort_lend"
# What an answer holds, about: the lender has work and memory of its own.
_ANSWER_BYTES = 16 * 2**20
_TRIES = 3


class _Run(Protocol):
    """A worker's share of a run, as far as it lends its shards."""

    id: ShuffleId
    run_id: int
    local_address: str
    worker_for: dict[int, str]

    def shards(self, part: int) -> Shards:
        """Return what has arrived of a partition."""


def listen(plugin: ShuffleWorkerPlugin) -> None:
    """Have this worker lend shards to those that ask."""

    async def lend(
        run: ShuffleId, run_id: int, part: int, rows: Sequence[Rows] | None
    ) -> dict[str, Any]:
        """Say what shards there are of a partition, or send some of their rows."""
        try:
            found: Any = await plugin._get_shuffle_run(run, run_id)
            lent = await found.offload(_lend, found, part, rows)
        except Exception as error:
            return dict(error_message(error))
        return {"status": "OK", "lent": to_serialize(lent)}

    plugin.worker.handlers[_HANDLER] = lend


def _lend(run: _Run, part: int, rows: Sequence[Rows] | None) -> list[np.ndarray]:
    answered: dict[str, Any] = {"run": run.id, "run_id": run.run_id, "part": int(part)}
    messages: list[Message] = []
    if run.worker_for.get(part) != run.local_address:  # misheard, as the answer tells
        pass
    elif rows is None:
        shards = run.shards(part)
        answered |= {
            "lengths": list(map(int, shards.lengths)),
            "n_bytes": int(shards.n_bytes),
            "versions": dict(installed()),
        }
        schemas = (np.frombuffer(schema.serialize(), np.uint8) for schema in shards.schemas)
        messages.extend(_message(_NOTHING, schema) for schema in schemas)
    else:
        answered["rows"], tables = _first_of(run.shards(part), rows)
        messages.extend(_message(_NOTHING, table) for table in tables)
    head = np.frombuffer(json.dumps(answered).encode(), np.uint8)
    return frame([_message(head, _NOTHING), *messages])


def _first_of(shards: Shards, rows: Sequence[Rows]) -> tuple[list[Rows], list[np.ndarray]]:
    """Return as many of some rows as an answer holds, at least the first; and their streams."""
    sent: list[Rows] = []
    streams: list[np.ndarray] = []
    n_bytes = 0
    for shard, first, last in rows:
        if not (shard < len(shards.lengths) and first <= last <= shards.lengths[shard]):
            break  # misheard
        # Each may bring dictionaries of its own.
        if n_bytes >= _ANSWER_BYTES:
            break
        streams.append(pack(Unit(shards.read(shard, first, last), np.array([0])))[1])
        n_bytes += streams[-1].nbytes
        sent.append((shard, first, last))
    return sent, streams


_NOTHING = np.empty(0, np.uint8)


def _message(starts: np.ndarray, stream: np.ndarray) -> Message:
    return Message((), starts, stream, is_place=False)


def _answer(arrays: list[np.ndarray]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Undo what `_lend` has made: what is answered, and the streams.

    Raises
    ------
    DamagedError
        If a bit of it is another than was sent.
    """
    head, *messages = unframe(arrays)
    return json.loads(head.starts.tobytes()), [message.stream for message in messages]


class Lender:
    """A worker that has the shards of a partition.

    Parameters
    ----------
    plugin : ShuffleWorkerPlugin
        Of the worker that asks.
    run, run_id : str, int
        The run.
    part : int
        The partition.
    address : str
        Who has its rows.

    Attributes
    ----------
    lost : bool
        It could not be reached, or the run is over there.
    """

    def __init__(
        self, plugin: ShuffleWorkerPlugin, run: ShuffleId, run_id: int, part: int, address: str
    ) -> None:
        self._plugin = plugin
        self._asked: dict[str, Any] = {"run": run, "run_id": run_id, "part": part}
        self._name = f"run {run[:8]}[{run_id}]"
        self.address = address
        self.lost = False

    def shards(self) -> Shards:
        """Return the partition's shards, whose rows are fetched when they are asked for.

        Raises
        ------
        VersionsDifferError
            If this worker has other versions than the lender.
        """
        told, streams = self._ask_whole(None, lambda *answer: answer)
        compare(told["versions"], installed(), self._plugin.worker.address)
        schemas = [pa.ipc.read_schema(pa.py_buffer(stream.tobytes())) for stream in streams]
        lengths, n_bytes = told["lengths"], told["n_bytes"]
        n_rows = max(1, int(sum(lengths) * _ANSWER_BYTES / max(1, n_bytes)))  # an answer

        def read(shard: int, first: int, last: int) -> pa.Table:
            (table,) = self._fetch([(shard, first, last)], n_rows)
            return table

        def read_all() -> list[pa.Table]:
            return self._fetch([(i, 0, n) for i, n in enumerate(lengths)], n_rows)

        return Shards(schemas, lengths, n_bytes, read, read_all)

    def _fetch(self, wanted: Sequence[Rows], n_rows: int) -> list[pa.Table]:
        """Return a table for each that is wanted, fetched some rows at a time."""
        found: list[list[pa.Table]] = [[] for _ in wanted]
        for request in _requests(wanted, n_rows):
            while request:
                tables = self._fetch_some([rows for _, rows in request])
                for (place, _), table in zip(request, tables, strict=False):
                    found[place].append(table)
                del request[: len(tables)]
        return [pa.concat_tables(tables) for tables in found]

    def _fetch_some(self, rows: list[Rows]) -> list[pa.Table]:
        """Return the first of the rows, at least those of one shard."""

        def read(told: dict[str, Any], streams: list[np.ndarray]) -> list[pa.Table]:
            tables = [read_stream(stream) for stream in streams]
            asked = [list(some) for some in rows[: len(tables)]]
            n_rows = [last - first for _, first, last in asked]
            if told["rows"] != asked or not asked or [t.num_rows for t in tables] != n_rows:
                msg = "other rows were asked for"
                raise DamagedError(msg)
            return tables

        return self._ask_whole(rows, read)

    def _ask_whole(
        self,
        rows: list[Rows] | None,
        read: Callable[[dict[str, Any], list[np.ndarray]], T],
    ) -> T:
        """Return what is made of an answer; ask again if that, or the request, was damaged."""
        for _ in range(_TRIES):
            with suppress(DamagedError):
                told, streams = _answer(self._ask(rows))
                if {name: told[name] for name in self._asked} == self._asked:
                    return read(told, streams)
        msg = (
            f"{self._name}: rows of partition {self._asked['part']} arrived damaged at"
            f" {self._plugin.worker.address} from {self.address}, {_TRIES} times. Check the"
            " network and the memory between the two."
        )
        raise ShardsDamagedError(msg)

    def _ask(self, rows: list[Rows] | None) -> Any:
        worker = self._plugin.worker
        try:
            handler = getattr(worker.rpc(self.address), _HANDLER)
            said = sync(worker.loop, handler, rows=rows, **self._asked)
            if said["status"] == "OK":
                return said["lent"]
            _, error, _ = clean_exception(**said)
            assert error is not None
            raise error
        except (OSError, P2PConsistencyError, ShuffleClosedError):
            self.lost = True
            raise


def _requests(wanted: Sequence[Rows], n_rows: int) -> list[list[tuple[int, Rows]]]:
    """Divide what is wanted into requests for so many rows, each with its place in it.

    Examples
    --------
    >>> _requests([(0, 0, 3), (1, 0, 0), (2, 5, 10)], 4)
    [[(0, (0, 0, 3)), (1, (1, 0, 0)), (2, (2, 5, 6))], [(2, (2, 6, 10))]]
    """
    requests: list[list[tuple[int, Rows]]] = []
    left = 0
    for place, (shard, first, last) in enumerate(wanted):
        while True:
            if not left:
                requests.append([])
                left = n_rows
            until = min(last, first + left)
            requests[-1].append((place, (shard, first, until)))
            left -= until - first
            first = until
            if first >= last:
                break
    return requests
