"""How tests run: no clock decides, the same examples each time in CI, and nothing is left."""

from __future__ import annotations

import os
import signal

import dask
import pytest
from dask._expr import SingletonExpr
from hypothesis import HealthCheck, settings

from leftovers import Run

# That making examples takes long tells of the machine, or of the first one's imports.
any_speed = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", **any_speed)
settings.register_profile("ci", derandomize=True, database=None, **any_speed)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# For the processes that tests start; pytest's own filters are in pyproject.toml.
SLOW_DISK = "ignore:Creating scratch directories is taking a surprisingly long time:UserWarning"


# What is planned follows from no run before, and leaves nothing in a home folder.
os.environ["DLSORT_HISTORY"] = "off"

# A shell's `&` has it ignored, and so would the commands that tests stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers():
    """Return one more than the cores: half of the suite waits, for what it has started."""
    return min(os.cpu_count() or 1, 7) + 1


@pytest.fixture(scope="session", autouse=True)
def dask_finds_what_goes_meanwhile():
    """Make an expression again that goes while Dask looks it up: many schedulers run in here.

    :mod:`dlsort_cluster.frames.singleton` does it for dlsort's own. Where it is one of Dask's,
    the scheduler refuses the graph, and the next one that needs it is "lost dependencies".
    """
    make = SingletonExpr.__new__

    def new(cls, *args, **kwargs):
        try:
            return make(cls, *args, **kwargs)
        except KeyError:
            return make(cls, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SingletonExpr, "__new__", new)
        yield


@pytest.fixture(autouse=True)
def no_client_leaves_its_scheduler():
    """Put back Dask's choice: a client that is closed where it was current leaves its own."""
    before = dask.config.get("scheduler", None)
    yield
    if dask.config.get("scheduler", None) != before:
        dask.config.set(scheduler=before)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_on_the_machine(tmp_path_factory):
    """Fail the last test if something is left of the whole run, and remove it."""
    with pytest.MonkeyPatch.context() as patch:
        others = os.environ.get("PYTHONWARNINGS")
        patch.setenv("PYTHONWARNINGS", f"{others},{SLOW_DISK}" if others else SLOW_DISK)
        run = Run(tmp_path_factory.getbasetemp())
        yield
        left = run.left_behind()
        run.remove()
    if left:
        pytest.fail("the tests have left behind:\n" + "\n".join(left), pytrace=False)
