"""Stories of disks that are full or can't be written, for all or for one worker."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chaos.cluster import MIB, NAMES, Setup
from chaos.holds import until
from chaos.mounts import can_mount
from chaos.rows import contents
from chaos.scene import Scene
from chaos.story import story

# The least that a sort works with: 320 MiB a process and 4 MiB a copy of a part, of which
# there are 8; a tenth of what is not the processes' own is for shards, 2.3 MiB.
_LEAST_MEMORY = 352 * MIB


@story(needs=can_mount)
def temp_folder_full_on_one_worker(scene: Scene) -> None:
    scene.use_large()
    with scene.small_disk(1 * MIB) as disk:
        scene.cluster.start_worker("w3", Setup(temp_dir=disk / "w3"))
        memory = str(_LEAST_MEMORY * (len(NAMES) + 1))
        sorting = scene.sort("--memory", memory)
        says = scene.expect_failure(sorting, "no space left in", str(disk))
        assert scene.cluster.workers()["w3"] in says, says
        scene.cluster.remove_worker("w3")
        until(lambda: "w3" not in scene.cluster.workers(), "w3 is gone")
        if "--resume" in says:  # some parts were finished by then
            # what is made with that little memory has other row groups than usual
            ended = scene.expect_sorted(scene.sort("--memory", memory, "--resume"))
            assert "resumed" in ended.out, ended.out


@story(needs=can_mount)
def destination_full(scene: Scene) -> None:
    with scene.small_disk(1 * MIB) as disk:
        sorting = scene.sort(to=disk / "out")
        scene.expect_failure(sorting, "no space left while writing", str(disk))
        assert not contents(disk), "something is left on the full disk"


@story(needs=can_mount)
def destination_full_that_holds_another_result(scene: Scene) -> None:
    with scene.small_disk(1 * MIB) as disk:
        before = old_result(disk / "out")
        sorting = scene.sort("--overwrite", to=disk / "out")
        scene.expect_failure(sorting, "no space left while writing", before=before)
        assert [path.name for path in disk.iterdir()] == ["out"]


def old_result(destination: Path) -> dict[str, bytes | None]:
    """Make a folder that a sort may replace, and return what it holds."""
    destination.mkdir()
    pq.write_table(pa.table({"old": [1, 2, 3]}), destination / "part-00000.parquet")
    return contents(destination)


@story(needs=can_mount)
def destination_unwritable_on_one_worker(scene: Scene) -> None:
    scene.cluster.start_worker("w3", Setup(read_only=scene.folder))
    sorting = scene.sort()
    scene.expect_failure(sorting, str(sorting.destination.parent), "Read-only file system")


@story(needs=can_mount)
def finished_parts_outlive_a_full_destination(scene: Scene) -> None:
    destination = scene.folder / "out"
    with scene.small_disk(1 * MIB) as disk:
        sorting = scene.sort("--resume", to=disk / "out")
        says = scene.expect_failure(sorting, "no space left while writing", "--resume")
        assert "are finished and kept in" in says
        size = f"remount,size={64 * MIB}"
        subprocess.run(["mount", "-o", size, disk], check=True)
        ended = scene.expect_undisturbed(scene.sort("--resume", to=disk / "out"))
        assert "resumed" in ended.out, ended.out
        assert [path.name for path in disk.iterdir()] == ["out"]
    assert not destination.exists()
