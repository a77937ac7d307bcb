"""A DAG that sorts events every night, once: a task that is run again skips what is done.

With Airflow it is a DAG file. Without, it is a script that runs the same task:

    python examples/airflow_dag.py events/ sorted/ day
"""

from __future__ import annotations

import json
import sys
from datetime import datetime

SRC, DST, BY = "events/", "sorted/", "day"


def sort_events(src: str = SRC, dst: str = DST, by: str = BY) -> dict[str, object]:
    """Sort, and return the figures: small, and of plain types, as what tasks hand on must be.

    Airflow runs a task again that has failed, or when someone clears it. A result of the same
    source is skipped then; one of an older source is replaced, once the new one is proved.
    """
    import dlsort
    from dlsort.events import told

    report = dlsort.sort_dataset(
        src,
        dst,
        by=by,
        if_exists="skip",
        overwrite=True,
        resume=True,
        progress=lambda event: print(told(event)),  # into the task's log
    )
    return {"rows": report.rows, "seconds": report.seconds, "skipped": report.skipped}


try:
    from airflow.sdk import dag, task
except ImportError:  # Airflow is not here: the function is all there is
    pass
else:

    @dag(schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False)
    def nightly_sort() -> None:
        """Sort once a day."""
        task(sort_events, retries=2)()

    nightly_sort()


if __name__ == "__main__":
    print(json.dumps(sort_events(*sys.argv[1:4])))
