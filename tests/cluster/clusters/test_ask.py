"""What a scheduler is asked."""

from __future__ import annotations

from inspect import isawaitable

import pytest
from distributed import Client

from dlsort_cluster.clusters.ask import workers_of
from dlsort_cluster.clusters.check_versions import check_versions
from dlsort_cluster.clusters.connect import connect
from dlsort_cluster.clusters.sizes import size_of
from dlsort_cluster.exchange import ExchangeError


@pytest.fixture
def between(one_worker, monkeypatch) -> Client:
    """Give a client whose periodic update comes in before each answer is looked at."""
    sync = Client.sync

    def answer(client: Client, *args: object, **options: object) -> object:
        answered = sync(client, *args, **options)
        if not isawaitable(answered):  # is asked in another thread than the event loop's
            sync(client, client._update_scheduler_info)
        return answered

    monkeypatch.setattr(Client, "sync", answer)
    return one_worker


def test_the_clients_own_update_hides_no_worker(between):
    ((address, told),) = workers_of(between).items()
    assert size_of(between).n_threads == told["nthreads"] == 2
    assert check_versions(between) == {address}


def test_a_closed_client_is_an_error_of_the_connection():
    with connect(threads=1) as client:
        pass
    with pytest.raises(OSError, match="closed"):
        workers_of(client)
    with pytest.raises(ExchangeError, match=r"scheduler doesn't answer .*closed"):
        size_of(client)
