"""Stories of workers that are lost, stand still, are slow, or come and go."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from chaos import probe
from chaos.cluster import MIB, NAMES, Setup, wait
from chaos.holds import until
from chaos.rows import N_PARTS
from chaos.scene import Scene
from chaos.story import story


def _kill_while(scene: Scene, phase: str, *, skip: int = 0, n_workers: int = 1) -> None:
    """Kill workers as they are in a phase; the sort has to end well all the same."""
    with scene.holds.hold(phase, skip=skip):
        sorting = scene.sort()
        for name in scene.holds.reached(phase, n_workers)[:n_workers]:
            scene.cluster.kill(name)
    scene.expect_undisturbed(sorting)


@story()
def worker_killed_while_sampling(scene: Scene) -> None:
    _kill_while(scene, "sampling")


@story()
def worker_killed_while_transferring(scene: Scene) -> None:
    _kill_while(scene, "transferring", skip=1)


@story()
def worker_killed_in_the_barrier(scene: Scene) -> None:
    _kill_while(scene, "barrier")


@story()
def worker_killed_as_the_barrier_ends(scene: Scene) -> None:
    _kill_while(scene, "places")


@story()
def worker_killed_while_sorting(scene: Scene) -> None:
    _kill_while(scene, "sorting")


@story()
def worker_killed_while_writing(scene: Scene) -> None:
    with scene.holds.hold("writing", skip=1):
        sorting = scene.sort()
        scene.cluster.kill(scene.holds.reached("writing", len(NAMES))[0])
    sorting.end()
    # each had written one part, and was at another one
    n_sorted = sum(scene.holds.calls(name).count("sorting") for name in NAMES)
    assert n_sorted <= N_PARTS + len(NAMES), "parts that were written are made again"
    scene.expect_undisturbed(sorting)


@story()
def two_workers_killed(scene: Scene) -> None:
    _kill_while(scene, "sorting", n_workers=2)


@story()
def worker_killed_while_reading_ranges(scene: Scene) -> None:
    scene.use_ranges()
    _kill_while(scene, "reading ranges")


def _pause_for(scene: Scene, seconds: float) -> None:
    with scene.holds.hold("transferring"):
        sorting = scene.sort()
        name = scene.holds.reached("transferring", len(NAMES))[0]
        scene.cluster.pause(name)
    try:
        wait(seconds)
        assert sorting.is_running(), "nothing was left to do for the worker"
    finally:
        scene.cluster.resume(name)
    scene.expect_undisturbed(sorting)


@story()
def worker_paused_for_3_s(scene: Scene) -> None:
    _pause_for(scene, 3)


@story(quick=False)
def worker_paused_for_30_s(scene: Scene) -> None:
    _pause_for(scene, 30)


def _cut_off_for(scene: Scene, seconds: float) -> None:
    scene.cluster.start_worker("w3", Setup(may_be_cut_off=True))
    with scene.holds.hold("transferring"):
        sorting = scene.sort()
        scene.holds.reached("transferring", len(NAMES) + 1)
        scene.cluster.cut_off("w3")
    try:
        wait(seconds)
        assert sorting.is_running(), "nobody needed to reach the worker"
    finally:
        scene.cluster.reconnect("w3")
    scene.expect_sorted(sorting)


@story()
def worker_cut_off_for_2_s(scene: Scene) -> None:
    _cut_off_for(scene, 2)


@story(quick=False)
def worker_cut_off_for_15_s(scene: Scene) -> None:
    _cut_off_for(scene, 15)


def _retire_while(scene: Scene, phase: str, skip: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        with scene.holds.hold(phase, skip=skip):
            sorting = scene.sort()
            name = scene.holds.reached(phase)[0]
            retiring = pool.submit(scene.cluster.retire, name)
            until(lambda: scene.cluster.status(name) != "running", f"{name} retires")
        retiring.result()
    scene.expect_undisturbed(sorting)


@story()
def worker_retired_while_transferring(scene: Scene) -> None:
    _retire_while(scene, "transferring", 1)


@story()
def worker_retired_while_writing(scene: Scene) -> None:
    _retire_while(scene, "writing", 1)


@story()
def worker_added_while_sampling(scene: Scene) -> None:
    with scene.holds.hold("sampling"):
        sorting = scene.sort()
        scene.holds.reached("sampling")
        scene.cluster.start_worker("w3")
    scene.expect_sorted(sorting)
    # it may be that the others were done with the transfers before it had looked round
    assert "sorting" in scene.holds.calls("w3"), "the worker that came got no part"


@story()
def worker_added_while_transferring(scene: Scene) -> None:
    with scene.holds.hold("transferring", spare=["w3"]):
        sorting = scene.sort()
        scene.holds.reached("transferring", len(NAMES))
        scene.cluster.start_worker("w3")
        until(lambda: scene.holds.calls("w3"), "the worker that came has something to do")
    scene.expect_undisturbed(sorting)
    assert "sorting" in scene.holds.calls("w3"), "the worker that came got no part"


@story()
def worker_added_in_the_barrier(scene: Scene) -> None:
    share = N_PARTS // (len(NAMES) + 1)
    with ExitStack() as barrier:
        barrier.enter_context(scene.holds.hold("barrier"))
        sorting = scene.sort()
        scene.holds.reached("barrier")
        scene.cluster.start_worker("w3")
        # Those that have nothing left to do take over what a slow beginner has.
        with scene.holds.hold("sorting", spare=["w3"]):
            barrier.close()
            until(lambda: scene.holds.calls("w3").count("sorting") == share, "w3 has its share")
    sorting.end()
    assert scene.holds.calls("w3").count("sorting") == share
    scene.expect_undisturbed(sorting)


def _kill_newcomer(scene: Scene, before: Callable[[], None]) -> int:
    """Kill a worker that came in the barrier over its first part; return how many barriers."""
    with ExitStack() as barrier:
        barrier.enter_context(scene.holds.hold("barrier"))
        sorting = scene.sort()
        scene.holds.reached("barrier")
        scene.cluster.start_worker("w3")
        with scene.holds.hold("sorting", spare=NAMES):
            barrier.close()
            scene.holds.reached("sorting")
            before()
            scene.cluster.kill("w3")
    sorting.end()
    n_barriers = sum(scene.holds.calls(name).count("barrier") for name in (*NAMES, "w3"))
    scene.expect_undisturbed(sorting)
    return n_barriers


@story()
def worker_added_in_the_barrier_and_killed(scene: Scene) -> None:
    # Dask's memory manager may leave the barrier's word to the newcomer alone: see below.
    with scene.cluster.copies_kept():
        n_barriers = _kill_newcomer(scene, lambda: None)
    assert n_barriers == 1, "rows are sent again, though all that have some live on"


@story()
def worker_killed_that_alone_has_the_barriers_word(scene: Scene) -> None:
    def leave_it_alone() -> None:
        until(lambda: scene.cluster.sole_holder("shuffle-barrier-") == "w3", "w3 alone has it")

    assert _kill_newcomer(scene, leave_it_alone) == 2


@story()
def workers_come_and_go_as_needed(scene: Scene) -> None:
    for name in NAMES[1:]:
        scene.cluster.remove_worker(name)
    until(lambda: list(scene.cluster.workers()) == [NAMES[0]], "one worker is left")
    with scene.cluster.adaptive(1, len(NAMES)) as came:
        with scene.holds.hold("transferring"):
            sorting = scene.sort()
            until(lambda: len(scene.cluster.workers()) == len(NAMES), "workers have come")
        scene.expect_sorted(sorting)
        until(lambda: len(scene.cluster.names()) == 1, "workers have gone")
    assert any(scene.holds.calls(name) for name in came), "those that came had nothing to do"


@story(quick=False)
def slow_worker(scene: Scene) -> None:
    with scene.cluster.slow("w1", 0.1):
        sorting = scene.sort()
        scene.expect_undisturbed(sorting)


def _fill_memory(scene: Scene, share: float) -> None:
    """Have a worker of its own take a share of what it may."""
    limit = 768 * MIB
    scene.cluster.start_worker("w3", Setup(memory_bytes=limit))
    with scene.holds.hold("transferring"):
        sorting = scene.sort()
        scene.holds.reached("transferring", len(NAMES) + 1)
        pid = scene.holds.worker("w3")["pid"]
        has = scene.cluster.on_worker("w3", probe.resident_bytes)
        with suppress(OSError):  # of a worker that is killed meanwhile
            scene.cluster.on_worker("w3", probe.hold_memory, int(share * limit) - has)
        if share < 0.95:
            until(lambda: scene.cluster.status("w3") == "paused", "w3 is paused")
        else:
            until(lambda: scene.holds.worker("w3")["pid"] != pid, "w3 was killed")
    if share < 0.95:
        wait(1)
        scene.cluster.on_worker("w3", probe.drop_memory)
    scene.expect_sorted(sorting)


@story()
def worker_at_its_memory_limit(scene: Scene) -> None:
    _fill_memory(scene, 0.87)


@story()
def worker_beyond_its_memory_limit(scene: Scene) -> None:
    _fill_memory(scene, 1.2)


@story(quick=False)
def every_worker_killed_over_a_task(scene: Scene) -> None:
    with ExitStack() as held:
        with scene.holds.hold("sorting", skip=1):
            sorting = scene.sort()
            scene.holds.reached("sorting", len(NAMES))
            # Each has written a part by now, and is to write no other.
            held.enter_context(scene.holds.hold("writing"))
        killed: set[int] = set()

        def kill() -> bool:
            for name in NAMES:
                waits = list(scene.holds.folder.glob(f"reached-writing-{name}-*"))
                pid = scene.holds.worker(name).get("pid")
                if waits and pid not in killed:
                    for mark in waits:
                        mark.unlink()
                    killed.add(pid)
                    scene.cluster.kill(name)
            return not sorting.is_running()

        until(kill, "the sort has given up")
    scene.expect_failure(sorting, "died every time", "--resume")
    scene.cluster.recover()
    assert "resumed" in scene.expect_undisturbed(scene.sort("--resume")).out
