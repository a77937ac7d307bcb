"""Sort a dataset on a cluster of Dask Gateway, which is made for it and ends with it.

::

    python docker/gateway/sort_on_gateway.py http://127.0.0.1:8000 /shared/in /shared/sorted key
"""

from __future__ import annotations

import argparse

from dask_gateway import Gateway

import dlsort


def main(arguments: list[str] | None = None) -> None:
    """Make a cluster, sort, end it."""
    parser = argparse.ArgumentParser(description="Sort a dataset on Dask Gateway.")
    parser.add_argument("gateway", help="its address")
    parser.add_argument("src")
    parser.add_argument("dst")
    parser.add_argument("by")
    parser.add_argument("--workers", type=int, default=4, help="[4]")
    parser.add_argument("--cores", type=int, default=1, help="of a worker [1]")
    parser.add_argument("--memory-gib", type=int, default=2, help="of a worker [2]")
    asked = parser.parse_args(arguments)
    with (
        Gateway(asked.gateway) as gateway,
        gateway.new_cluster(
            worker_cores=asked.cores, worker_memory_gib=asked.memory_gib
        ) as cluster,
    ):
        # All of them, and then the sort: adapt() would take workers away in the midst of it.
        cluster.scale(asked.workers)
        with cluster.get_client() as client:
            client.wait_for_workers(asked.workers)
            report = dlsort.sort_dataset(
                asked.src, asked.dst, by=asked.by, scheduler=client, resume=True
            )
            print(report)


if __name__ == "__main__":
    main()
