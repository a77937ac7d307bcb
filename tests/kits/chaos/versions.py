"""Stories of a worker that has another version of something: it is refused, by name."""

from __future__ import annotations

from chaos.cluster import Setup
from chaos.scene import Scene
from chaos.story import story


def _refused(scene: Scene, package: str) -> None:
    scene.cluster.start_worker("w3", Setup(versions={package: "0.0.1"}))
    sorting = scene.sort()
    address = scene.cluster.workers()["w3"]
    scene.expect_failure(sorting, package, "0.0.1", address)
    calls = [scene.holds.calls(name) for name in scene.cluster.names()]
    assert not any(calls), "work was begun before the versions were compared"


@story()
def worker_with_another_dlsort(scene: Scene) -> None:
    _refused(scene, "dlsort")


@story()
def worker_with_another_numpy(scene: Scene) -> None:
    _refused(scene, "numpy")


@story()
def worker_with_another_distributed(scene: Scene) -> None:
    _refused(scene, "distributed")
