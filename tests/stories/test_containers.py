"""Two of the chaos stories on containers; on worker processes all quick ones are told.

See ``test_chaos.py``, and ``test_docker.py`` for a client in a container of its own.
"""

from __future__ import annotations

import pytest

from chaos.containers import ContainerCluster
from chaos.every_story import STORIES, play
from chaos.scene import Stage
from docker_kit import why_no_base


@pytest.fixture(scope="module")
def stage():
    if why_no_base() is not None:
        pytest.skip(why_no_base())
    cluster = ContainerCluster()
    yield Stage(cluster)
    cluster.close()


@pytest.mark.parametrize("name", ["worker-killed-while-sorting", "worker-cut-off-for-2-s"])
def test_a_cluster_of_containers_is_hurt_and_loses_no_row(stage, name):
    try:
        play(STORIES[name], stage)
    except BaseException as error:
        error.add_note(stage.cluster.log())
        raise
