"""What is told of a run to whoever looks at the dashboard: by workers, to the scheduler.

While a run goes on its figures travel with the heartbeats that the engine sends anyway. Its
last ones, and each partition's rows, are an event each: a heartbeat would come too late.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dlsort_cluster.store.store import ShardStore
from dlsort_cluster.wire import Unit

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["TOPIC", "Tally", "tell", "tell_rows"]

#: The topic of all events of ours, as ``Client.get_events`` knows it.
TOPIC = "dlsort"

logger = logging.getLogger(__name__)


class Tally:
    """What one worker's share of a run has moved so far.

    Parameters
    ----------
    run : str
        The run's own name.
    run_id : int
        Which attempt it is.
    worker : distributed.Worker
        Who tells it.
    parts : sequence of int
        The partitions that it owns, ascending.
    store : ShardStore
        Where their rows are.
    """

    def __init__(
        self, run: str, run_id: int, worker: Worker, parts: Sequence[int], store: ShardStore
    ) -> None:
        self._names = {"run": run, "run_id": run_id, "worker": worker.address}
        self._worker = worker
        self._store = store
        self._parts = list(parts)
        self._rows = np.zeros(len(parts), np.int64)
        self._sent_bytes = 0
        self._is_closed = False
        self._lock = threading.Lock()

    def sent(self, n_bytes: int) -> None:
        """Count rows that go to other workers."""
        with self._lock:
            self._sent_bytes += n_bytes

    def kept(self, unit: Unit) -> None:
        """Count rows that are in the store for the first time."""
        with self._lock:
            self._rows += np.diff(unit.starts)

    def figures(self, received_bytes: int) -> dict[str, Any]:
        """Return all figures, as a heartbeat or an event carries them.

        Parameters
        ----------
        received_bytes : int
            Of rows that came from other workers.
        """
        return {
            **self._names,
            "sent_bytes": self._sent_bytes,
            "received_bytes": received_bytes,
            "spilled_bytes": self._store.spilled_bytes,
            "parts": self._parts,
            "rows": self._rows.tolist(),
        }

    def close(self, received_bytes: int) -> None:
        """Tell the last figures, once, from the event loop."""
        if self._is_closed:
            return
        self._is_closed = True
        tell(self._worker.log_event, {"closed": self.figures(received_bytes)})


def tell_rows(worker: Worker, run: str, run_id: int, rows: np.ndarray) -> None:
    """Tell how many rows each partition of a run has, from a task's thread."""
    figures = {"run": run, "run_id": run_id, "rows": rows.tolist()}
    worker.loop.add_callback(tell, worker.log_event, {"counted": figures})


def tell(log_event: Callable[[str, Any], object], message: dict[str, Any]) -> None:
    """Log an event; a run goes on where that fails."""
    try:
        log_event(TOPIC, message)
    except Exception:
        logger.debug("an event was not told", exc_info=True)
