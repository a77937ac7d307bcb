"""The image, and a cluster of its containers on a private network that a client sorts through.

Without a Docker engine the same stories run on worker processes only: see ``test_chaos.py``.
"""

from __future__ import annotations

import pytest

from chaos.containers import ContainerCluster
from chaos.every_story import STORIES, play
from chaos.rows import BY, N_PARTS, Tally, count, make_source, read
from chaos.scene import Stage
from docker_kit import Containers, build_image, engine_answers

pytestmark = pytest.mark.skipif(not engine_answers(), reason="no Docker engine answers here")


def test_a_client_in_a_container_sorts_through_three_workers(tmp_path):
    build_image()
    source = make_source(tmp_path / "in", n_rows=24_000)
    with Containers(tmp_path) as containers:
        containers.start_scheduler()
        for _ in range(3):
            containers.start_worker()
        containers.wait_for_workers(3)
        ended = containers.sort("in", "out", "--by", BY, "--partitions", N_PARTS)
        assert ended.returncode == 0, ended.stderr + containers.logs()
        assert count(read(tmp_path / "out"), source.expected) == Tally()
        told = containers.run("dlsort", "check", "out", "--by", BY, "--against", "in")
        assert told.returncode == 0, told.stderr
        left = [path for path in containers.scratch() if "lock" not in path]
        assert left == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert containers.left_behind() == []


@pytest.fixture(scope="module")
def stage():
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
