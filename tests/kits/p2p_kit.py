"""Clusters that exchanges run on, and what they may not leave behind."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from pathlib import Path

from distributed import Client, LocalCluster

from patience import PATIENCE_S


@contextmanager
def start_three_workers():
    with (
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def active_runs(client):
    return sum(client.run(lambda dask_worker: len(runs_of(dask_worker))).values())


def runs_of(worker):
    return worker.extensions["shuffle"].shuffle_runs._runs


def assert_no_runs(client):
    """Wait until the workers have dropped their runs, which they are told to in time."""

    async def gone(dask_worker):
        for _ in range(int(PATIENCE_S / 0.01)):
            if not runs_of(dask_worker):
                return True
            await asyncio.sleep(0.01)
        return False

    assert all(client.run(gone).values())
    assert n_shared() == 0


def n_shared():
    """Return how many files this process has open that units are shared by."""
    n_found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # as the one that lists them
            n_found += "memfd:dlsort-unit" in str(link.readlink())
    return n_found


def n_mapped():
    """Return how many units of others this process has mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:dlsort-unit")


def count_shards(shards, context, slot):
    return len(shards.lengths), slot.n_rows
