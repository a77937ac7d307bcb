"""What Dask says of a machine that is slow, or used by others, fails no test."""

from __future__ import annotations

import socket
import subprocess
import sys
import warnings

import pytest
from distributed import LocalCluster
from distributed.utils import warn_on_duration

from dlsort_cluster.clusters.connect import connect

# As Dask has it; the pattern that it is told by is in pyproject.toml, and in conftest.py.
SLOW = "Creating scratch directories is taking a surprisingly long time. (1.07s) This is often"


def test_a_cluster_starts_on_a_slow_disk(monkeypatch):
    said = []

    def always(duration, text):
        said.append(text)
        return warn_on_duration("0s", text)

    monkeypatch.setattr("distributed.core.warn_on_duration", always)
    with connect(threads=1) as client:
        assert client.submit(sum, [1, 2]).result() == 3
    assert said
    assert all(text.startswith(SLOW.partition(" (")[0]) for text in said)


def test_processes_do_not_tell_of_a_slow_disk():
    code = f"import warnings; warnings.warn({SLOW!r}); warnings.warn('something else')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "something else" in done.stderr
    assert "scratch" not in done.stderr


def test_a_port_may_be_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with LocalCluster(n_workers=0, processes=False, dashboard_address=address) as cluster:
            assert cluster.scheduler.http_server.port != taken.getsockname()[1]


def test_any_other_warning_is_an_error():
    with pytest.raises(UserWarning, match="unclosed"):
        warnings.warn("unclosed cluster", UserWarning, stacklevel=1)
