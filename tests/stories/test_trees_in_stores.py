"""Trees of files in object stores: read as the same tree in a folder is."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import CorruptSourceError, SchemaMismatchError

#: Where files lie, and how a sort of them is asked for.
TREES = {
    "at any depth": (["b/c/0", "a/1.parquet", "2", "b/10", "b/9"], {}),
    "hive": (["day=2024-01-02/0", "day=2024-01-01/0", "day=2024-01-01/1"], {}),
    "hive of types": (
        ["day=2024-01-02/0", "day=2024-01-01/0"],
        {"hive_types": "day:date32"},
    ),
    "hive of several columns": (
        ["n=1/lang=en%20US/0", "n=10/lang=a=b/x/1", "n=9/lang=__HIVE_DEFAULT_PARTITION__/0"],
        {},
    ),
    "hive below folders": (["in/n=2/a/0", "in/n=1/b/c/0"], {}),
    "hidden and ignored": (
        ["n=2/0", "n=1/0", "n=1/_SUCCESS", "_tmp/n=3/0", ".x/0", "n=1/0.crc"],
        {"ignore": "*.crc"},
    ),
}
MAPS = pa.map_(pa.string(), pa.list_(pa.int8()))
KEYS = {
    "hive": ["day:desc,k", "k,day"],
    "hive of types": ["day,k:desc", "s.x,day"],
    "hive of several columns": ["n:desc,lang", "lang:nulls_first,k"],
    "hive below folders": ["n,k"],
}


def table(seed, n_rows=60):
    random = np.random.default_rng(seed)
    k = random.integers(0, 9, n_rows).tolist()
    return pa.table(
        {
            "k": k,
            "s": [None if i == 2 else {"x": i % 3, "y": [str(i)] * (i % 4)} for i in k],
            "l": [[{"m": i, "t": "t" * i}] * (i % 3) for i in k],
            "m": pa.array([[("a", [i])] * (i % 2) for i in k], MAPS),
            "row": [seed * 1000 + i for i in range(n_rows)],
        }
    )


@pytest.fixture
def bucket():
    store, url = fsspec.filesystem("memory"), f"memory://{uuid.uuid4().hex}"
    yield url
    if store.exists(url):
        store.rm(url, recursive=True)


def plant(folder: Path, url: str, names: list[str]) -> None:
    """Write the same files to a folder and to a store."""
    store = fsspec.filesystem("memory")
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(("_SUCCESS", ".crc")):
            path.write_bytes(b"x")
        else:
            pq.write_table(table(seed), path, row_group_size=25)
        store.pipe_file(f"{url}/{name}", path.read_bytes())


def parts(place: str) -> list[pa.Table]:
    store, root = fsspec.core.url_to_fs(place)
    names = sorted(name for name in store.find(root) if name.endswith(".parquet"))
    return [pq.read_table(store.open(name)) for name in names]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("tree", "by"),
    [(tree, by) for tree in TREES for by in KEYS.get(tree, ["k", "s,row:desc", "l,s.x:desc"])],
)
def test_a_tree_is_sorted_as_in_a_folder(tmp_path, bucket, tree, by, threads):
    names, how = TREES[tree]
    plant(tmp_path / "in", f"{bucket}/in", names)
    options = {**how, "manifest": False, "partitions": 3, "threads": threads}
    done = [
        sort_dataset(f"{root}/in", f"{root}/out", by=by, **options)
        for root in (tmp_path, bucket)
    ]
    one, other = (parts(f"{root}/out") for root in (tmp_path, bucket))
    assert [part.schema for part in one] == [part.schema for part in other]
    assert all(a.equals(b) for a, b in zip(one, other, strict=True))
    assert done[0].checksum == done[1].checksum
    assert done[0].passed_over == done[1].passed_over
    for src, against in ((tmp_path, bucket), (bucket, tmp_path)):
        found = check_dataset(f"{src}/out", by=by, against=f"{against}/in", **how)
        assert found.ok, found.to_text()


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("pattern", ["", "/", "/**", "/*"])
def test_globs_and_lists_give_the_columns_that_they_give_in_a_folder(
    tmp_path, bucket, tree, pattern
):
    names, how = TREES[tree]
    plant(tmp_path / "in", f"{bucket}/in", names)
    for make in (lambda root: f"{root}/in{pattern}", lambda root: [f"{root}/in{pattern}"]):
        for root in (tmp_path, bucket):
            sort_dataset(make(root), f"{root}/out", by="k", overwrite=True, threads=1, **how)
        one, other = (pa.concat_tables(parts(f"{root}/out")) for root in (tmp_path, bucket))
        assert one.schema.equals(other.schema)
        assert one.equals(other)


def test_the_command_reads_folders_of_a_store_as_columns(tmp_path, bucket):
    plant(tmp_path / "in", f"{bucket}/in", TREES["hive"][0])
    places = [f"{bucket}/in", f"{bucket}/out"]
    how = ["--hive-types", "day:date32"]
    result = command("sort", *places, "--by", "day,k", *how, "--no-progress")
    assert result.exit_code == 0, result.stderr
    assert command("check", places[1], "--against", places[0], *how).exit_code == 0
    assert parts(places[1])[0].schema.field("day").type == pa.date32()


def test_what_is_refused_in_a_folder_is_refused_in_a_store(tmp_path, bucket):
    plant(tmp_path / "in", f"{bucket}/in", ["n=1/0", "other=1/0"])
    plant(tmp_path / "cut", f"{bucket}/cut", ["n=1/0", "n=2/0"])
    data = (tmp_path / "cut/n=2/0").read_bytes()[:-9]
    (tmp_path / "cut/n=2/0").write_bytes(data)
    fsspec.filesystem("memory").pipe_file(f"{bucket}/cut/n=2/0", data)
    for root in (tmp_path, bucket):
        with pytest.raises(SchemaMismatchError, match="other=1"):
            sort_dataset(f"{root}/in", f"{root}/out", by="k", threads=1)
        with pytest.raises(CorruptSourceError, match="n=2/0"):
            sort_dataset(f"{root}/cut", f"{root}/out", by="k", threads=1)
    assert not (tmp_path / "out").exists()
    assert not fsspec.filesystem("memory").exists(f"{bucket}/out")
