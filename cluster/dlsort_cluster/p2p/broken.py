"""A run that can't deliver its rows says why to all who wait for them.

The engine keeps no more of an error than its text, and tells that to the barrier only. So the
worker that could not send, or was refused, tells the others itself before the barrier passes:
whichever output is made first then raises what was wrong, and not that rows are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.core import clean_exception, error_message
from distributed.shuffle._core import ShuffleId, ShuffleRun

from dlsort_cluster.exchange import ExchangeError

if TYPE_CHECKING:
    from distributed.shuffle._worker_plugin import ShuffleWorkerPlugin

__all__ = ["alone", "listen", "tell"]

_HANDLER = "dlsort_broken"

# For how long to try. One who has not heard still finds that rows are missing.
_PATIENCE_S = 10.0


def listen(plugin: ShuffleWorkerPlugin) -> None:
    """Have this worker hear of runs that are broken elsewhere."""

    async def hear(run: ShuffleId, run_id: int, **error: Any) -> dict[str, str]:
        """Keep what is wrong, for the outputs that are made here."""
        with suppress(Exception):  # the run is over here
            found: Any = await plugin._get_shuffle_run(run, run_id)
            _, exception, _ = clean_exception(**error)
            if isinstance(exception, ExchangeError):
                found.break_off(exception)
        return {"status": "OK"}

    plugin.worker.handlers[_HANDLER] = hear


async def tell(
    run: ShuffleRun[Any, Any], addresses: Iterable[str], error: ExchangeError
) -> None:
    """Tell other workers what is wrong with a run, as far as they can be reached."""
    told = {k: v for k, v in error_message(alone(error)).items() if k != "status"}
    telling = [
        getattr(run.rpc(address), _HANDLER)(run=run.id, run_id=run.run_id, **told)
        for address in addresses
    ]
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.gather(*telling, return_exceptions=True)


def alone(error: ExchangeError) -> ExchangeError:
    """Return an error without what was at work when it was raised.

    With its frames a run would keep the rows that could not be spilled, and the file.
    """
    return type(error)(*error.args)
