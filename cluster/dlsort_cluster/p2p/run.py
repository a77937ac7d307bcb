"""One worker's share of an exchange on Dask's peer-to-peer shuffle engine.

See :mod:`dlsort_cluster.p2p.build`, which lays the tasks that come here.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from distributed.comm.addressing import get_address_host
from distributed.core import ErrorMessage, OKMessage
from distributed.metrics import context_meter
from distributed.shuffle._core import SchedulerShuffleState, ShuffleRun, ShuffleSpec
from distributed.shuffle._exceptions import ShuffleClosedError
from distributed.shuffle._limiter import ResourceLimiter
from distributed.utils_comm import retry

from dlsort_cluster.addresses import worker_name
from dlsort_cluster.arrow_sizes import count_bytes
from dlsort_cluster.exchange import ExchangeError, Shards, ShardsDamagedError, Split
from dlsort_cluster.p2p import broken, counts, lend, log
from dlsort_cluster.p2p.link import Link
from dlsort_cluster.p2p.messages import Packed, Waiting, placed, sent, sets_of
from dlsort_cluster.p2p.stores import keep_store, sending_limiter
from dlsort_cluster.p2p.told import Tally
from dlsort_cluster.pages import hold_small_pages, release_small_pages
from dlsort_cluster.store.memory import guard_of
from dlsort_cluster.store.shared import NotSharedError, SharedStream, attach, share
from dlsort_cluster.store.store import ShardStore, StoreClosedError
from dlsort_cluster.versions import compare, installed
from dlsort_cluster.wire import (
    DamagedError,
    Message,
    Unit,
    cut,
    frame,
    pack_starts,
    unframe,
    unpack,
)

if TYPE_CHECKING:
    from distributed.shuffle._worker_plugin import ShuffleWorkerPlugin

__all__ = ["ExchangeRun", "ExchangeSpec"]

# How often messages are sent that arrive damaged.
_TRIES = 3
# Of what may wait to be sent, the part that waits for more.
_WAITING = 4


@dataclass(frozen=True)
class ExchangeSpec(ShuffleSpec[int]):
    """What the scheduler and every worker must know of an exchange; a few KB."""

    n_inputs: int
    parts: Sequence[int]
    store_bytes: int | None
    temp_dir: str | None
    versions: Mapping[str, str]
    title: str = ""

    @property
    def output_partitions(self) -> Iterator[int]:  # type: ignore[override]
        """The partitions that are wanted."""
        yield from self.parts

    def pick_worker(self, partition: int, workers: Sequence[str]) -> str:
        """Give each worker one range of the wanted partitions."""
        place = bisect_left(self.parts, partition)
        return workers[len(workers) * place // len(self.parts)]

    def create_new_run(
        self, worker_for: dict[int, str], span_id: str | None
    ) -> SchedulerShuffleState[int]:
        """Start a run, on the scheduler."""
        log.leave_out(self.id)
        return super().create_new_run(worker_for, span_id)

    def create_run_on_worker(
        self,
        run_id: int,
        span_id: str | None,
        worker_for: dict[int, str],
        plugin: ShuffleWorkerPlugin,
    ) -> ExchangeRun:
        """Start this worker's share of a run.

        Raises
        ------
        VersionsDifferError
            If this worker's versions are not those of who laid the tasks.
        """
        compare(
            self.versions, installed(), worker_name(plugin.worker.address, plugin.worker.name)
        )
        return ExchangeRun(self, run_id, span_id, worker_for, plugin)


class ExchangeRun(ShuffleRun[int, Any]):
    """One worker's share of one run.

    Rows for other workers leave through the engine's comm buffer, a unit for
    each input and worker, also an empty one: so each store can tell whether it
    has heard from every input. Small inputs wait for others first.
    """

    def __init__(
        self,
        spec: ExchangeSpec,
        run_id: int,
        span_id: str | None,
        worker_for: dict[int, str],
        plugin: ShuffleWorkerPlugin,
    ) -> None:
        worker = plugin.worker
        self.guard = guard_of(worker)
        sending = sending_limiter(plugin.memory_limiter_comms, self.guard)
        super().__init__(
            id=spec.id,
            run_id=run_id,
            span_id=span_id,
            local_address=worker.address,
            directory=worker.local_directory,
            executor=plugin._executor,
            rpc=worker.rpc,
            digest_metric=worker.digest_metric,
            scheduler=worker.scheduler,
            memory_limiter_disk=ResourceLimiter(None),
            memory_limiter_comms=sending,
            disk=False,
            loop=worker.loop,
        )
        self.n_inputs = spec.n_inputs
        self.worker_for = worker_for
        owned: dict[str, list[int]] = {}
        for part in sorted(worker_for):
            owned.setdefault(worker_for[part], []).append(part)
        lend.listen(plugin)
        broken.listen(plugin)
        counts.listen(plugin)
        self.sent_rows: dict[int, np.ndarray] = {}  # by input: of each partition
        self._parts_of = {address: np.array(parts) for address, parts in owned.items()}
        here = get_address_host(self.local_address)
        # Workers that may see this one's memory, until one turns out not to.
        self._neighbours = {a for a in owned if get_address_host(a) == here}
        self._link = Link(owned.keys() - self._neighbours, worker.state.nthreads)
        self._shared: set[SharedStream] = set()  # not yet answered
        self._waiting = Waiting(len(owned), sending.limit // _WAITING)
        self._flushing: asyncio.Future[None] | None = None
        self._arriving: dict[tuple[int, ...], asyncio.Future[None]] = {}
        self._sent_on: set[Any] = set()
        self._given_up = asyncio.Event()
        # An error for a task to raise. The engine's own place for errors is looked
        # at when the scheduler asks too, and that would keep no more than its text.
        self._broken: ExchangeError | None = None
        most, mine = spec.store_bytes, owned.get(self.local_address, [])
        self.store = ShardStore(
            run=f"{self.id[:8]}[{run_id}]",
            worker=self.local_address,
            parts=mine,
            limit_bytes=self.guard.store_bytes() if most is None else most,
            temp_dir=spec.temp_dir or worker.local_directory,
            has_room=self.guard.has_room if most is None else None,
            whole_share=self.guard.tuning.whole_share,
        )
        self.guard.watch(self.store, self._lose_rows, planned=most is not None)
        self._tally = Tally(self.id, run_id, worker, mine, self.store)
        keep_store(self.local_address, self.id, self.store)
        hold_small_pages(self.store)

    # -- sending, in the transfer task's thread

    def _shard_partition(self, data: Split, partition_id: int) -> Any:
        self.sent_rows[partition_id] = np.diff(data.starts)
        mine = self._parts_of.get(self.local_address)
        if mine is not None:
            self._keep((partition_id,), cut(data.table, data.starts, mine))
        return self._messages(self._waiting.add(partition_id, data))

    def _messages(self, inputs: Mapping[int, Split]) -> list[dict[str, Packed]]:
        """Return what some inputs have for other workers: the first message to each, …"""
        messages: list[dict[str, Packed]] = []
        n_bytes = 0
        try:
            for address, parts in self._parts_of.items() if inputs else ():
                if address == self.local_address:
                    continue
                units = {i: cut(each.table, each.starts, parts) for i, each in inputs.items()}
                for place, (of_inputs, unit) in enumerate(sets_of(units)):
                    if place == len(messages):
                        messages.append({})
                    unit_bytes = count_bytes(unit.table)
                    n_bytes += unit_bytes
                    packed = self._pack(address, of_inputs, unit, unit_bytes)
                    messages[place][address] = packed
        finally:
            if self.closed:  # nobody will ask for what was shared since then
                self._close_shared(list(self._shared))
        self._tally.sent(n_bytes)
        context_meter.digest_metric("p2p-shards", n_bytes, "bytes")
        context_meter.digest_metric("p2p-shards", sum(map(len, messages)), "count")
        return messages

    def _pack(self, address: str, inputs: tuple[int, ...], unit: Unit, n_bytes: int) -> Packed:
        shared = share(unit.table, n_bytes) if address in self._neighbours else None
        if shared is None:
            return self._link.pack(address, inputs, unit, n_bytes)
        self._shared.add(shared)
        return Packed(inputs, pack_starts(unit), shared)

    async def _write_to_comm(self, data: Any) -> None:
        """Hand messages to the engine, which takes one for each worker at a time."""
        self.raise_if_closed()
        for messages in data:
            await self._comm_buffer.write(messages)

    async def send(self, address: str, shards: list[Any]) -> OKMessage | ErrorMessage:
        """Send messages; what the other worker can look at itself, only its place."""
        shared = [each.stream for each in shards if isinstance(each.stream, SharedStream)]
        try:
            if shared:
                with suppress(NotSharedError):
                    return await self._send_whole(address, [placed(each) for each in shards])
                self._neighbours.discard(address)
            with self._link.sending(address, shards):
                return await self._send_whole(address, [sent(each) for each in shards])
        finally:
            self._close_shared(shared)

    async def _send_whole(
        self, address: str, messages: list[Message]
    ) -> OKMessage | ErrorMessage:
        """Send messages, again if they arrive damaged."""
        for _ in range(_TRIES):
            with suppress(DamagedError):
                return await self._send_unless_given_up(address, frame(messages))
        inputs = ", ".join(str(message.inputs[0]) for message in messages[:3])
        msg = (
            f"run {self.id[:8]}[{self.run_id}]: rows of input {inputs} arrived damaged at"
            f" {address} from {self.local_address}, {_TRIES} times. Check the network and the"
            " memory between the two."
        )
        raise ShardsDamagedError(msg)

    def _close_shared(self, streams: Iterable[SharedStream]) -> None:
        for stream in streams:
            stream.close()
            self._shared.discard(stream)

    async def _send_unless_given_up(
        self, address: str, arrays: list[np.ndarray]
    ) -> OKMessage | ErrorMessage:
        """Send, but stop trying as soon as the run is given up.

        The engine may try for minutes to reach a worker that is gone, and a
        worker does not close before its runs are closed.
        """
        framed: Any = arrays
        sending = asyncio.ensure_future(
            retry(
                lambda: self._send(address, framed),
                count=self.RETRY_COUNT,
                delay_min=self.RETRY_DELAY_MIN,
                delay_max=self.RETRY_DELAY_MAX,
            )
        )
        given_up = asyncio.ensure_future(self._given_up.wait())
        try:
            await asyncio.wait({sending, given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                msg = f"{self} was given up"
                raise ShuffleClosedError(msg)
            return sending.result()
        finally:
            sending.cancel()
            given_up.cancel()

    # -- receiving, on the event loop

    async def _receive(self, data: Any) -> None:
        """Keep what :func:`dlsort_cluster.wire.frame` has made of messages."""
        self.raise_if_closed()
        # All or none: a sender whose memory can't be seen sends all of them again.
        seen = [
            (m.inputs, m.starts, attach(m.stream.tobytes()) if m.is_place else m.stream)
            for m in unframe(data)
        ]
        await asyncio.gather(*(self._arrive(*message) for message in seen))

    async def _arrive(
        self, inputs: Sequence[int], starts: np.ndarray, stream: np.ndarray
    ) -> None:
        """Store units; a message that was sent twice waits for the first one."""
        self.raise_if_closed()
        arriving = self._arriving.get(tuple(inputs))
        if arriving is None:
            self.received.update(inputs)
            self.total_recvd += stream.nbytes
            unpacking = self.offload(self._unpack, inputs, starts, stream)
            arriving = asyncio.ensure_future(unpacking)
            self._arriving[tuple(inputs)] = arriving
        try:
            await asyncio.shield(arriving)
        except ExchangeError as error:
            self.break_off(error)
            raise
        except Exception as error:
            if not self.closed:
                self._exception = error
            raise

    def _unpack(self, inputs: Sequence[int], starts: np.ndarray, stream: np.ndarray) -> None:
        self._keep(inputs, unpack(starts, stream))

    def _keep(self, inputs: Sequence[int], unit: Unit) -> None:
        try:
            for kept in self.store.put_all(inputs, unit):
                self._tally.kept(kept)
        except StoreClosedError as error:
            if self._broken is not None:  # no other attempt would do better
                raise broken.alone(self._broken) from None
            raise ShuffleClosedError(str(error)) from None

    async def inputs_done(self) -> None:
        """Send what is left; who asks again waits for the same."""
        self.raise_if_closed()
        if self._flushing is None:
            self._flushing = asyncio.ensure_future(self._send_waiting())
        try:
            await asyncio.shield(self._flushing)
            await super().inputs_done()
        except ExchangeError as error:
            self._exception = None
            self.break_off(error)
            await broken.tell(self, set(self._parts_of) - {self.local_address}, error)

    async def _send_waiting(self) -> None:
        """Send the inputs that wait for more: there are none."""
        await self._write_to_comm(await self.offload(self._messages, self._waiting.take()))

    # -- reading, in the unpack task's thread

    def break_off(self, error: ExchangeError) -> None:
        """Have each output raise what is wrong; the first that is heard of."""
        if self._broken is None:
            self._broken = broken.alone(error)

    def _lose_rows(self, error: ExchangeError) -> None:
        """Drop all rows, since they can't be written to disk and the memory is full.

        A paused worker could not tell otherwise: its outputs raise once it may go on.
        """
        self.break_off(error)
        self.store.close()

    def _get_assigned_worker(self, i: int) -> str:
        return self.worker_for[i]

    def owner_of(self, part: int, key: Any) -> str:
        """Return from whom a task gets the rows of its partition.

        One that runs elsewhere is sent on to where they are, by the engine, which takes this
        worker for that. If it comes again it was to stay, and nobody could tell it so.
        """
        owner = self.worker_for[part]
        if owner == self.local_address or key in self._sent_on:
            return owner
        self._sent_on.add(key)
        return self.local_address

    def _get_output_partition(self, partition_id: int, key: Any, **kwargs: Any) -> Shards:
        return self.shards(partition_id)

    def shards(self, part: int) -> Shards:
        """Return what has arrived of a partition, once the barrier has passed."""
        if self._broken is not None:
            raise broken.alone(self._broken)  # one for each task
        try:
            return self.store.read(part, self.n_inputs)
        except StoreClosedError as error:
            raise ShuffleClosedError(str(error)) from None

    # -- life

    def fail(self, exception: Exception) -> None:
        """Give the run up, so that each of its tasks asks to be run again."""
        super().fail(ShuffleClosedError(str(exception)))

    async def close(self) -> None:
        """Drop all shards and stop sending."""
        self._tally.close(self.total_recvd)
        self._given_up.set()
        release_small_pages(self.store)
        self.guard.forget(self.store)
        # Off the loop: to free gigabytes of disk takes a while.
        closing = asyncio.get_running_loop().run_in_executor(self.executor, self._free)
        try:
            await closing
        finally:
            try:
                await super().close()
            finally:
                self._close_shared(list(self._shared))
                # The engine keeps runs for a while after their end, and these know errors,
                # whose frames know rows and files.
                self._arriving.clear()
                self._exception = self._comm_buffer._exception = None

    def _free(self) -> None:
        self.store.close()
        self._waiting.take()
        self.guard.give_back()

    def raise_if_closed(self) -> None:
        """Raise an error of its own each time: one raised twice keeps the frames of both."""
        if self.closed:
            msg = f"{self} has already been closed"
            raise ShuffleClosedError(msg)

    def heartbeat(self) -> dict[str, Any]:
        """Report to the dashboard's shuffle page, with the store as its disk, and to ours."""
        ours = self._tally.figures(self.total_recvd)
        return super().heartbeat() | {"disk": self.store.heartbeat(), "dlsort": ours}

    def read(self, path: Any) -> Any:
        """Refuse: nothing is kept in the engine's own buffers."""
        raise NotImplementedError

    def deserialize(self, buffer: Any) -> Any:
        """Refuse: nothing is kept in the engine's own buffers."""
        raise NotImplementedError
