"""What is kept out of the log, and what is not."""

from __future__ import annotations

import functools
import logging

import pytest
from tornado.ioloop import IOLoop

from dlsort_cluster.clusters.quiet import quiet


def sync(then):
    """Stand for the function of distributed whose call is stopped before it has begun."""
    if then:
        future = None

    def cancel():
        return future

    return cancel


def other():
    raise ValueError


@pytest.mark.parametrize(("callback", "n_told"), [(sync(then=False), 0), (other, 1)])
def test_a_call_that_was_stopped_before_it_began_is_no_news(callback, n_told, caplog):
    loop = IOLoop(make_current=False)
    with quiet(), caplog.at_level(logging.ERROR):
        loop.add_callback(functools.partial(callback))
        loop.add_callback(loop.stop)
        loop.start()
    loop.close()
    assert len(caplog.records) == n_told
