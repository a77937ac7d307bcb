"""Sort on a Dask cluster: a dataset, and a frame. Pass the address of one that is there.

python on_a_cluster.py tcp://scheduler:8786
"""

from __future__ import annotations

import sys
from pathlib import Path

import dask.dataframe as dd
from distributed import Client, LocalCluster
from trips import make_trips

import dlsort


def main() -> None:
    """Sort on the cluster whose address is given, or on one of two worker processes."""
    # A cluster needs paths that client and workers see alike.
    here = Path.cwd()
    source = make_trips(here / "trips")
    given = sys.argv[1] if len(sys.argv) > 1 else None
    place = given or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with Client(place):
        # The client is current now, so both sorts run on its workers.
        report = dlsort.sort_dataset(source, here / "by-pickup", by="pickup", overwrite=True)
        print(f"{report.rows} rows on {report.workers} workers, proved: {report.proved}")

        ddf = dlsort.sort_values(dd.read_parquet(source), "fare", ascending=False).persist()
        print(ddf.head(3))
    if not given:
        place.close()


if __name__ == "__main__":
    main()
