"""Stop a sort before it publishes, as a lost client does, and go on from what it has kept."""

from __future__ import annotations

import shutil
from pathlib import Path

from trips import make_trips

import dlsort


class LostClient:
    """A display that ends the job once its parts are made."""

    def phase(self, name: str, total_rows: int) -> None:
        """Say what is done, and stop before the last phase."""
        print(f"{name}: {total_rows} rows")
        if name == "publish":
            raise ConnectionError("the client is lost")

    def rows(self, name: str, done: int) -> None:
        """Do nothing."""

    def finish(self, name: str) -> None:
        """Do nothing."""


source = make_trips("trips")
shutil.rmtree("by-trip", ignore_errors=True)
job = {"by": "fare,trip", "partitions": 6, "resume": True}

try:
    dlsort.sort_dataset(source, "by-trip", progress=LostClient(), **job)
except ConnectionError as error:
    print("stopped:", error)
assert not Path("by-trip").exists()  # nothing is published in part

report = dlsort.sort_dataset(source, "by-trip", **job)
print(f"kept {report.resumed_parts} of {report.output_parts} parts")
assert report.resumed_parts == 6
assert dlsort.check_dataset("by-trip", against=source).ok
