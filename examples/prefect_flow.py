"""A flow that sorts a dataset, and checks the result where it was not skipped.

With Prefect it is a flow of two tasks. Without, the same functions run one after the other:

    python examples/prefect_flow.py events/ sorted/ day
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import dlsort

try:
    from prefect import flow, task
except ImportError:  # Prefect is not here: functions stay what they are

    def flow(**_: Any) -> Callable[[Any], Any]:
        """Return what leaves a function as it is."""
        return lambda function: function

    task = flow


@task(retries=2, retry_delay_seconds=60)
def sort(src: str, dst: str, by: str) -> dict[str, Any]:
    """Sort, unless it is done; go on with what an attempt before has left."""
    report = dlsort.sort_dataset(src, dst, by=by, if_exists="skip", overwrite=True, resume=True)
    return report.to_dict()


@task()
def check(src: str, dst: str) -> bool:
    """Return whether the result is in order, and has the rows of the source."""
    return dlsort.check_dataset(dst, against=src).ok


@flow(name="sort")
def sort_and_check(src: str, dst: str, by: str) -> dict[str, Any]:
    """Sort, and check what was made."""
    report: dict[str, Any] = sort(src, dst, by)
    if not report["skipped"] and not check(src, dst):
        message = f"{dst} is not {src} in order"
        raise RuntimeError(message)
    return report


if __name__ == "__main__":
    done = sort_and_check(*sys.argv[1:4])
    print(f"{done['rows']:,} rows, {'skipped' if done['skipped'] else 'sorted'}")
