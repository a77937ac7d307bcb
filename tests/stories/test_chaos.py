"""Clusters that lose machines, disks and clients while they sort, on worker processes.

``make chaos`` tells the same stories, and longer ones, over and over.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from chaos.every_story import STORIES, play
from chaos.processes import ProcessCluster
from chaos.rows import Tally, count, make_source, read
from chaos.scene import LeftBehindError, Scene, Stage
from chaos.story import Story

QUICK = [told for told in STORIES.values() if told.quick and "processes" in told.engines]


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Give a cluster that stands as long as all goes well, and a fresh one after that."""
    found: list[Stage] = []

    def stage() -> Stage:
        if not found:
            found.append(Stage(ProcessCluster(tmp_path_factory.mktemp("chaos"))))
        return found[0]

    def close() -> None:
        while found:
            found.pop().cluster.close()

    stage.close = close
    yield stage
    close()


@pytest.mark.parametrize("told", QUICK, ids=lambda told: told.name)
def test_it_ends_as_it_has_to(told, stages):
    if told.needs is not None and not told.needs():
        pytest.skip("no file system may be mounted here")
    stage = stages()
    try:
        play(told, stage)
    except BaseException as error:
        error.add_note(stage.cluster.log())
        stages.close()
        raise


# ---------------------------------------------------------------- the suite itself


def leave_a_file(scene: Scene) -> None:
    (scene.folder / ".out.0123456789ab.partial").mkdir()


def leave_a_task(scene: Scene) -> None:
    scene.kept = scene.cluster.client.submit(pow, 2, 11, key="left-too", pure=False)
    scene.kept.result()


@pytest.mark.parametrize("leave", [leave_a_file, leave_a_task])
def test_what_is_left_behind_is_found(leave, stages, monkeypatch):
    monkeypatch.setattr("chaos.cluster.LONGEST_TIDYING_S", 0.5)
    with pytest.raises(LeftBehindError, match=r"partial|left-too"):
        play(Story("it-leaves-something", leave, True, (), None), stages())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: rows, Tally()),
        (lambda rows: rows.slice(2), Tally(lost=2)),
        (lambda rows: pa.concat_tables([rows, rows.slice(0, 3)]), Tally(doubled=3)),
        (lambda rows: rows.take([1, 0, *range(2, rows.num_rows)]), Tally(wrong_order=2)),
        (lambda rows: _slip(rows), Tally(wrong_order=-1)),
    ],
)
def test_spoiled_rows_are_counted(tmp_path, spoil, told):
    expected = make_source(tmp_path / "source", n_rows=4_000).expected
    assert count(spoil(expected), expected) == told


def _slip(rows: pa.Table) -> pa.Table:
    """Return the rows with one column moved by a row."""
    slipped = np.roll(rows["price"].to_numpy(), 1)
    return rows.set_column(2, "price", pa.array(slipped))


def test_a_source_is_read_back_as_it_was_made(tmp_path):
    source = make_source(tmp_path / "source", n_rows=4_000)
    rows = read(source.folder)
    assert rows["row"].to_pylist() == list(range(4_000))
    assert not rows.equals(source.expected)
