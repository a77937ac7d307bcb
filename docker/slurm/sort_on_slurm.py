"""Sort a dataset on workers that dask-jobqueue has SLURM start.

Run it on a login node, or in a job of its own; it ends when the sort has. Size of the workers,
partition and walltime are in dask.yaml, of this folder; with TLS settings in Dask's
configuration (docker/README.md) all is encrypted::

    python docker/slurm/sort_on_slurm.py /shared/in /shared/sorted key --jobs 8
    python docker/slurm/sort_on_slurm.py --show-script /shared/in /shared/sorted key
"""

from __future__ import annotations

import argparse

import dask
from dask_jobqueue import SLURMCluster
from distributed import Security

import dlsort


def main(arguments: list[str] | None = None, cluster_class: type = SLURMCluster) -> None:
    """Start workers, sort, end them."""
    parser = argparse.ArgumentParser(description="Sort a dataset on SLURM.")
    parser.add_argument("src")
    parser.add_argument("dst")
    parser.add_argument("by")
    parser.add_argument("--jobs", type=int, default=4, help="workers [4]")
    parser.add_argument("--show-script", action="store_true", help="print a job, start none")
    asked = parser.parse_args(arguments)
    encrypted = dask.config.get("distributed.comm.require-encryption", default=None)
    secure = {"protocol": "tls", "security": Security()} if encrypted else {}
    # SLURM starts no worker again that a nanny would; a nanny ends its worker at 95 % of the
    # memory, where dlsort can still spill.
    with cluster_class(nanny=False, **secure) as cluster:
        if asked.show_script:
            print(cluster.job_script())
            return
        # All of them, and then the sort: adaptive scaling takes workers away in it.
        cluster.scale(jobs=asked.jobs)
        with cluster.get_client() as client:
            client.wait_for_workers(asked.jobs)
            report = dlsort.sort_dataset(
                asked.src, asked.dst, by=asked.by, scheduler=client, resume=True
            )
            print(report)


if __name__ == "__main__":
    main()
