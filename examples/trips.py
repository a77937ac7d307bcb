"""Data of the examples: taxi trips in a few Parquet files, the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_FILES, N_ROWS = 4, 25_000


def make_trips(folder: str | Path) -> Path:
    """Write the trips, in no order, and return their folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    for number in range(N_FILES):
        start = np.datetime64("2024-01-01T00:00:00", "s")
        seconds = rng.integers(0, 365 * 86_400, N_ROWS)
        fares = np.round(rng.lognormal(2.5, 0.6, N_ROWS), 2)
        trips = pa.table(
            {
                "trip": np.arange(number * N_ROWS, (number + 1) * N_ROWS),
                "pickup": start + seconds.astype("timedelta64[s]"),
                "zone": rng.choice(["airport", "centre", "harbour", "suburb"], N_ROWS),
                "fare": pa.array(fares, mask=rng.random(N_ROWS) < 0.01),
            }
        )
        pq.write_table(trips, folder / f"trips-{number}.parquet")
    return folder
