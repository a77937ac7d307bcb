"""Stories of a source that changes while it is sorted: the sort ends and names the file."""

from __future__ import annotations

import os

import pyarrow.parquet as pq

from chaos.scene import Scene
from chaos.story import story


@story()
def source_file_truncated(scene: Scene) -> None:
    file = scene.own_source() / "7.parquet"
    with scene.holds.hold("reading"):
        sorting = scene.sort()
        scene.holds.reached("reading")
        os.truncate(file, file.stat().st_size // 2)
    scene.expect_failure(sorting, str(file))


@story()
def source_file_changed(scene: Scene) -> None:
    file = scene.own_source() / "7.parquet"
    with scene.holds.hold("reading"):
        sorting = scene.sort()
        scene.holds.reached("reading")
        table = pq.ParquetFile(file).read()
        draft = scene.folder / "draft"
        pq.write_table(table.slice(0, table.num_rows - 1), draft)
        draft.replace(file)
    scene.expect_failure(sorting, str(file), "changed")


@story()
def source_file_removed(scene: Scene) -> None:
    file = scene.own_source() / "7.parquet"
    with scene.holds.hold("reading"):
        sorting = scene.sort()
        scene.holds.reached("reading")
        file.unlink()
    scene.expect_failure(sorting, str(file))
