"""Stories of a client or a scheduler that is lost, and of two clients at once."""

from __future__ import annotations

import shutil

from chaos.cluster import NAMES
from chaos.disks import old_result
from chaos.rows import N_PARTS, contents
from chaos.scene import Scene, Sorting
from chaos.story import story


def _resume(scene: Scene) -> None:
    """Resume what was left: parts that were whole are not made again."""
    kept = list(scene.folder.glob(".out.*.partial/*/finished/*.arrow"))
    assert len(kept) >= len(NAMES), "nothing was kept to resume"
    scene.holds.forget()
    sorting = scene.sort("--resume")
    assert f"resumed    {len(kept)} of {N_PARTS} parts" in sorting.end().out, sorting.end()
    n_sorted = sum(scene.holds.calls(name).count("sorting") for name in NAMES)
    assert n_sorted <= N_PARTS - len(kept), "parts that were whole are made again"
    scene.expect_undisturbed(sorting)


@story()
def client_killed(scene: Scene) -> None:
    with scene.holds.hold("writing", skip=1):
        sorting = scene.sort()
        scene.holds.reached("writing", len(NAMES))
        sorting.kill()
    assert not scene.cluster.left(), "the cluster goes on with a sort that nobody waits for"
    assert not sorting.destination.exists()
    _resume(scene)


@story()
def client_killed_while_it_replaces_another_result(scene: Scene) -> None:
    before = old_result(scene.folder / "out")
    with scene.holds.hold("writing", skip=1):
        sorting = scene.sort("--overwrite")
        scene.holds.reached("writing", len(NAMES))
        sorting.kill()
    assert not scene.cluster.left(), "the cluster goes on with a sort that nobody waits for"
    assert contents(sorting.destination) == before, "the old result is not as it was"
    shutil.rmtree(sorting.destination)
    _resume(scene)


def _kill_early(scene: Scene, phase: str) -> None:
    """Kill a client that has no part to resume yet."""
    with scene.holds.hold(phase):
        sorting = scene.sort()
        scene.holds.reached(phase)
        sorting.kill()
    assert not scene.cluster.left(), "the cluster goes on with a sort that nobody waits for"
    assert not sorting.destination.exists()
    scene.expect_undisturbed(scene.sort("--resume"))


@story()
def client_killed_while_sampling(scene: Scene) -> None:
    _kill_early(scene, "sampling")


@story()
def client_killed_while_transferring(scene: Scene) -> None:
    _kill_early(scene, "transferring")


@story()
def client_killed_in_the_barrier(scene: Scene) -> None:
    _kill_early(scene, "barrier")


def _lose_scheduler(scene: Scene, phase: str, skip: int) -> Sorting:
    with scene.holds.hold(phase, skip=skip):
        sorting = scene.sort()
        scene.holds.reached(phase, len(NAMES))
        scene.cluster.kill_scheduler()
    scene.cluster.start_scheduler()
    return sorting


@story()
def scheduler_restarted_while_writing(scene: Scene) -> None:
    sorting = _lose_scheduler(scene, "writing", 1)
    said = scene.expect_failure(sorting, "scheduler", "--resume")
    assert "are finished and kept in" in said
    scene.cluster.recover()
    _resume(scene)


@story()
def scheduler_restarted_while_transferring(scene: Scene) -> None:
    sorting = _lose_scheduler(scene, "transferring", 0)
    scene.expect_failure(sorting, "scheduler")
    scene.cluster.recover()
    scene.expect_undisturbed(scene.sort())


@story()
def two_sorts_at_once(scene: Scene) -> None:
    with scene.holds.hold("sorting"):
        both = [scene.sort(to=scene.folder / name) for name in ("one", "two")]
        scene.holds.reached("sorting", len(NAMES))
    for sorting in both:
        scene.expect_undisturbed(sorting)


@story()
def two_sorts_at_once_that_lose_a_worker(scene: Scene) -> None:
    with scene.holds.hold("transferring", skip=1):
        both = [scene.sort(to=scene.folder / name) for name in ("one", "two")]
        scene.cluster.kill(scene.holds.reached("transferring")[0])
    for sorting in both:
        scene.expect_undisturbed(sorting)


@story()
def two_sorts_into_one_destination(scene: Scene) -> None:
    with scene.holds.hold("writing"):
        both = [scene.sort() for _ in range(2)]
        scene.holds.reached("writing")
    ends = sorted((sorting.end() for sorting in both), key=lambda end: end.code)
    assert [end.code for end in ends] == [0, 2], [end.err for end in ends]
    assert _is_refused(ends[1].err), ends[1].err
    winner = next(sorting for sorting in both if sorting.end().code == 0)
    scene.expect_sorted(winner)


def _is_refused(says: str) -> bool:
    return "Traceback" not in says and any(
        what in says for what in ("was filled by someone meanwhile", "already holds")
    )
