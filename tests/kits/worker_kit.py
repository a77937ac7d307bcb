"""Workers in processes of their own that lack something: a package, or a folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from distributed import Client, LocalCluster

from dlsort_cluster.clusters.ask import workers_of

PATIENCE_S = 60

WORKER = "from distributed.cli.dask_worker import main; main()"

# What Python does where a package is not installed.
WITHOUT_DLSORT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dlsort", "dlsort_cluster", "dlsort_kernels"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@contextmanager
def start_scheduler(**options: object) -> Iterator[Client]:
    """Give a client of a cluster, of no workers if not told otherwise; it is not current."""
    with (
        LocalCluster(
            **{"n_workers": 0, **options},
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@contextmanager
def start_worker(
    client: Client, *, mount: str = "", program: str = WORKER, name: str | None = None
) -> Iterator[str]:
    """Start a worker, behind mounts of its own if any are given, and give its address."""
    address = client.scheduler.address
    options = [address, "--no-nanny", "--no-dashboard", "--nthreads", "1"]
    named = [] if name is None else ["--name", name]
    command = [sys.executable, "-c", program, *options, *named]
    if mount:
        command = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", *command]
    before = set(workers_of(client))
    with ExitStack() as stack:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
        (mine,) = _changed(client, lambda now: now - before)
        yield mine
    _changed(client, lambda now: {mine} - now)


def _changed(client: Client, find: Callable[[set[str]], set[str]]) -> set[str]:
    """Wait until the scheduler knows of a worker that came or went, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := find(set(workers_of(client)))):
        assert time.monotonic() < deadline, "nothing came of a worker"
        time.sleep(0.05)
    return found


@cache
def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0
