"""A sort on a cluster of its own: in containers where a Docker engine is, else in processes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from chaos.processes import ProcessCluster
from commands import COMMAND, contents, dataset, read
from docker_kit import LABEL, Containers, build_image, docker, why_no_base
from patience import PATIENCE_S

Done = subprocess.CompletedProcess[str]


class Place(NamedTuple):
    """Where commands run: on a cluster of three workers that see one folder.

    Attributes
    ----------
    folder : Path
        That folder, here.
    run : callable
        Runs a dlsort command there, told of the scheduler if it is a sort.
    left : callable
        What workers still hold in their scratch space.
    """

    folder: Path
    run: Callable[..., Done]
    left: Callable[[], list[str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("shared")
    if why_no_base() is None:
        yield from containers(folder)
    else:
        yield from processes(folder)


def containers(folder: Path) -> Iterator[Place]:
    build_image()
    volumes: list[str] = []
    with Containers(folder) as cluster:
        cluster.start_scheduler()
        for _ in range(3):
            cluster.start_worker()
        cluster.wait_for_workers(3)
        volumes += cluster.volumes()

        def run(name: str, *args: object) -> Done:
            return cluster.sort(*args) if name == "sort" else cluster.run("dlsort", name, *args)

        yield Place(folder, run, cluster.scratch)
    assert cluster.left_behind() == []
    there = docker("volume", "ls", "--quiet").split()
    assert not set(volumes) & set(there)


def processes(folder: Path) -> Iterator[Place]:
    cluster = ProcessCluster()
    try:

        def run(name: str, *args: object) -> Done:
            on = ["--scheduler", cluster.address] if name == "sort" else []
            return subprocess.run(
                [*COMMAND, name, *map(str, args), *on],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                cwd=folder,
            )

        yield Place(folder, run, cluster.left_in_temp)
    finally:
        cluster.close()


def rows_left(place: Place) -> list[str]:
    """Return what workers hold beside the locks that Dask keeps itself."""
    return [name for name in place.left() if not name.endswith(("lock", ".dirlock"))]


def test_a_dataset_is_sorted_through_the_cluster(place):
    dataset(place.folder / "in")
    before = contents(place.folder / "in")
    done = place.run("sort", "in", "out", "--by", "id:desc,price", "--partitions", 3)
    assert done.returncode == 0, done.stderr
    assert "3 worker processes" in done.stdout
    assert "proved     1,200 rows" in done.stdout
    checked = place.run("check", "out", "--by", "id:desc,price", "--against", "in")
    assert checked.returncode == 0, checked.stderr
    assert len(list((place.folder / "out").iterdir())) == 3
    ids = read(place.folder / "out")["id"].to_pylist()
    assert ids == sorted(ids, reverse=True)
    assert contents(place.folder / "in") == before
    assert sorted(path.name for path in place.folder.iterdir()) == ["in", "out"]
    assert rows_left(place) == []


def test_what_is_refused_on_the_cluster_leaves_nothing(place):
    dataset(place.folder / "other")
    path = place.folder / "other" / "1.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    names = sorted(item.name for item in place.folder.iterdir())
    done = place.run("sort", "other", "never", "--by", "id")
    assert done.returncode == 2
    assert "other/1.parquet" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(item.name for item in place.folder.iterdir()) == names
    assert rows_left(place) == []


def test_the_first_sort_of_a_container_compiles_nothing(tmp_path):
    """Whoever runs it, though no file system but the data's and a temporary one is writable."""
    if why_no_base() is not None:
        pytest.skip(why_no_base())
    dataset(tmp_path / "in")
    tmp_path.chmod(0o777)
    code = """if True:
        import sys, dlsort, dlsort_kernels
        report = dlsort.sort_dataset("in", "out", by="note:desc,id")
        assert "numba" not in sys.modules
        print(report.rows, dlsort_kernels.compiled())
        """
    where = ["--volume", f"{tmp_path}:/data", "--read-only", "--tmpfs", "/tmp"]
    who = ["--label", LABEL, "--user", "4321", "--env", "HOME=/nowhere"]
    run = ["run", "--rm", *where, *who, build_image(), "python", "-W", "error"]
    said = docker(*run, "-c", code)
    assert said == "1200 0\n"
