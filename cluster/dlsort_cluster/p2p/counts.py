"""How many rows each partition is to have, told by those who sent them.

A receipt with a number for each partition would have the barrier, and whoever waits for the
inputs, hold inputs x partitions. So a worker keeps what its inputs had for each partition, and
the barrier asks each worker once for the sum. It says of which inputs: one that ran on two
workers counts where its receipt was made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from distributed.core import clean_exception, error_message
from distributed.protocol.serialize import to_serialize
from distributed.shuffle._core import ShuffleId
from distributed.shuffle._exceptions import ShuffleClosedError
from distributed.utils import sync

from dlsort_cluster.exchange import ShardsLostError

if TYPE_CHECKING:
    from distributed.shuffle._worker_plugin import ShuffleWorkerPlugin

__all__ = ["ask_counts", "listen"]

_HANDLER = "dlsort_counts"

# Workers that are asked at once: their answers are held at the same time.
_ASKED = 16


class _Run(Protocol):
    """A worker's share of a run, as far as it knows what it has sent."""

    sent_rows: Mapping[int, npt.NDArray[np.int64]]


def listen(plugin: ShuffleWorkerPlugin) -> None:
    """Have this worker tell what its inputs had for each partition."""

    async def tell(run: ShuffleId, run_id: int, inputs: Sequence[int]) -> dict[str, Any]:
        """Return the rows of some inputs, (n_parts,) int64."""
        try:
            found: Any = await plugin._get_shuffle_run(run, run_id)
            return {"status": "OK", "counts": to_serialize(_add_up(found, inputs))}
        except Exception as error:
            return dict(error_message(error))

    plugin.worker.handlers[_HANDLER] = tell


def _add_up(run: _Run, inputs: Sequence[int]) -> npt.NDArray[np.int64]:
    missing = next((i for i in inputs if i not in run.sent_rows), None)
    if missing is not None:
        msg = f"{run}: input {missing} was not sent from here. This is a bug: please report it."
        raise ShardsLostError(msg)
    first, *rest = inputs
    total = run.sent_rows[first].copy()
    for each in rest:
        total += run.sent_rows[each]
    return total


def ask_counts(
    plugin: ShuffleWorkerPlugin, run: ShuffleId, run_id: int, told_by: Sequence[Any]
) -> npt.NDArray[np.int64]:
    """Return the rows that all inputs together had for each partition.

    Parameters
    ----------
    plugin : ShuffleWorkerPlugin
        This worker's.
    run, run_id : str, int
        The run, whose barrier all workers have passed.
    told_by : sequence of str
        The address of who sent each input.

    Returns
    -------
    (n_parts,) int64

    Raises
    ------
    ShuffleClosedError, P2PConsistencyError
        If a worker is gone, or the run.

    Notes
    -----
    It holds no more than some workers' answers at a time.
    """
    inputs_of: dict[str, list[int]] = {}
    for input_id, address in enumerate(told_by):
        inputs_of.setdefault(address, []).append(input_id)
    return sync(plugin.worker.loop, _ask_all, plugin, run, run_id, inputs_of)


async def _ask_all(
    plugin: ShuffleWorkerPlugin, run: ShuffleId, run_id: int, inputs_of: dict[str, list[int]]
) -> npt.NDArray[np.int64]:
    totals: list[npt.NDArray[np.int64]] = []
    waiting = list(inputs_of.items())

    async def ask() -> None:
        while waiting:
            address, inputs = waiting.pop()
            counts = await _ask(plugin, run, run_id, address, inputs)
            totals[:] = [totals[0] + counts] if totals else [counts]

    await asyncio.gather(*(ask() for _ in range(_ASKED)))
    return totals[0]


async def _ask(
    plugin: ShuffleWorkerPlugin, run: ShuffleId, run_id: int, address: str, inputs: list[int]
) -> Any:
    handler = getattr(plugin.worker.rpc(address), _HANDLER)
    try:
        said = await handler(run=run, run_id=run_id, inputs=inputs)
    except OSError as error:
        msg = f"run {run[:8]}[{run_id}]: {address} can't be reached"
        raise ShuffleClosedError(msg) from error
    if said["status"] == "OK":
        return said["counts"]
    _, refused, _ = clean_exception(**said)
    assert refused is not None
    raise refused
