"""What belongs to a source: at every door the same files, and nothing left out in silence."""

from __future__ import annotations

import gzip
import os
import uuid
from collections import Counter

import fsspec
import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from commands import dlsort as command
from dlsort import check_dataset, sort_dataset
from dlsort.errors import BadOptionError, CorruptSourceError, SourceNotFoundError
from dlsort.io.find import find_files
from dlsort.io.parquet.source import open_source
from dlsort.tuning import TUNING


def write(path, *values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"k": list(values)}), path, **options)
    return path


@pytest.fixture
def work(tmp_path):
    write(tmp_path / "in" / "0.parquet", 5)
    return tmp_path


def keys(out):
    return pq.read_table(out)["k"].to_pylist()


def names(src, **options):
    found = find_files(str(src), **options)
    return [file.path.rpartition("/in/")[2] for file in found.files]


# ---------------------------------------------------------------- names and suffixes


@pytest.mark.parametrize(
    "name",
    [
        "1.PARQUET",
        "000000_0",
        "1.parquet.gz",
        "part.snappy.parquet.1",
        "data.bin",
        "export.2024-01-01",
        "a/b/c",
        "1.csv",
    ],
)
def test_what_is_parquet_is_read_whatever_its_name(work, name):
    write(work / "in" / name, 3, 1)
    assert sort_dataset(work / "in", work / "out", by="k", threads=1).rows == 3
    assert keys(work / "out") == [1, 3, 5]
    assert check_dataset(work / "out", by="k", against=work / "in").ok
    assert open_source(f"{work}/in/**", TUNING.io).n_rows == 3
    listed = tuple(f"{work}/in/{n}" for n in ("0.parquet", name))
    assert open_source(listed, TUNING.io).n_rows == 3


def orc_file(path):
    orc.write_table(pa.table({"k": [1]}), path)


def cut(path):
    data = write(path, *range(100)).read_bytes()
    path.write_bytes(data[:-20])


def packed(path):
    data = write(path, 1).read_bytes()
    path.write_bytes(gzip.compress(data))


NO_PARQUET = {
    "rows.csv": (lambda path: path.write_text("k\n1\n"), "CSV by its name"),
    "rows.orc": (orc_file, "an ORC file"),
    "rows": (lambda path: path.touch(), "empty"),
    "part-1.parq": (lambda path: path.touch(), "part-1.parq"),
    "part-2": (cut, "part-2"),
    "part-3.gz": (packed, "packed by gzip"),
    "notes.txt": (lambda path: path.write_text("by hand"), "not Parquet"),
    "x.arrow": (lambda path: path.write_bytes(b"ARROW1\0\0 and more"), "an Arrow IPC file"),
}


@pytest.mark.parametrize("name", NO_PARQUET)
def test_what_may_hold_rows_and_is_not_parquet_has_to_be_ignored(work, name):
    make, says = NO_PARQUET[name]
    (work / "in" / "deep").mkdir()
    make(work / "in" / "deep" / name)
    for src in (str(work / "in"), f"{work}/in/**", (f"{work}/in",)):
        with pytest.raises(CorruptSourceError, match=says):
            open_source(src, TUNING.io)
        for ignore in ((name,), ("deep",), ("deep/*",)):
            found = open_source(src, TUNING.io, ignore=ignore)
            assert (found.n_rows, list(found.passed)) == (1, ["ignored"])


def test_a_source_of_nothing_but_other_files_names_one(work):
    (work / "texts").mkdir()
    (work / "texts" / "a.csv").write_text("k\n")
    with pytest.raises(SourceNotFoundError, match=r"no Parquet file.*a\.csv is CSV"):
        open_source(work / "texts", TUNING.io)
    with pytest.raises(SourceNotFoundError, match=r"1 ignored \(a\.csv\)"):
        open_source(work / "texts", TUNING.io, ignore=["*.csv"])


def test_hidden_names_and_documents_are_counted(work):
    for name in ("_SUCCESS", ".0.parquet.crc", "_tmp/1.parquet", "README.txt", "load.py"):
        write(work / "in" / name, 9)
    (work / "in" / "README.txt").write_text("rows of ours")
    (work / "in" / "load.py").write_text("import this")
    report = sort_dataset(work / "in", work / "out", by="k", threads=1)
    assert report.passed_over == {"hidden": 3, "document": 2}
    assert "not read   3 hidden, 2 document" in report.to_text()
    assert "1 hidden" not in check_dataset(work / "out", by="k").passed_over
    checked = check_dataset(work / "out", by="k", against=work / "in")
    assert checked.ok
    assert "3 hidden" in checked.passed_over


def test_the_command_tells_of_what_it_has_not_read(work):
    (work / "in" / "_SUCCESS").touch()
    (work / "in" / "a.csv").write_text("k\n1\n")
    args = ("--by", "k", "--threads", 1)
    refused = command("sort", work / "in", work / "out", *args)
    assert refused.exit_code == 2
    assert "a.csv is CSV by its name" in refused.stderr
    assert "ignore (--ignore)" not in refused.stderr
    done = command("sort", work / "in", work / "out", *args, "--ignore", "*.csv")
    assert done.exit_code == 0
    assert f"note: not read of {work}/in: 1 hidden, 1 ignored." in done.stderr
    check = command("check", work / "out", "--against", work / "in", "--ignore", "*.csv")
    assert check.exit_code == 0
    assert "1 hidden (_SUCCESS), 1 ignored (a.csv)" in check.stderr


@pytest.mark.parametrize("value", [3, [None], "", [""], ["a", 3]])
def test_patterns_that_are_none(work, value):
    with pytest.raises(BadOptionError, match="ignore is"):
        sort_dataset(work / "in", work / "out", by="k", ignore=value)


# ---------------------------------------------------------------- globs and lists


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*", ["0.parquet", "d.parquet/1", "e/_f/4", "e/3"]),
        ("*.parquet", ["0.parquet", "d.parquet/1"]),
        ("*/*", ["d.parquet/1", "e/3"]),
        ("**/[13]", ["d.parquet/1", "e/3"]),
        ("**", ["0.parquet", "d.parquet/1", "e/3"]),
        ("_h/*", ["_h/2"]),
        ("_*", ["_SUCCESS", "_h/2"]),
        ("e/_*/*", ["e/_f/4"]),
    ],
)
def test_folders_that_a_glob_meets_count_as_their_files(work, glob, expected):
    for name in ("d.parquet/1", "d.parquet/_SUCCESS", "_h/2", "e/3", "e/_f/4", "_SUCCESS"):
        write(work / "in" / name, 1)
    expected = [name for name in expected if glob != "*" or "_f" not in name]
    assert names(work / "in" / glob) == expected


def test_a_folder_that_a_glob_meets_is_sorted(work):
    write(work / "in" / "day2.parquet" / "part-0.parquet", 2)
    (work / "in" / "day2.parquet" / "_SUCCESS").touch()
    report = sort_dataset(f"{work}/in/*.parquet", work / "out", by="k", threads=1)
    assert (report.rows, report.passed_over) == (2, {"hidden": 1})
    assert check_dataset(work / "out", by="k", against=f"{work}/in/*.parquet").ok


def test_a_list_is_read_in_its_order(work):
    write(work / "in" / "1.parquet", 5, 5)
    places = [work / "in" / "1.parquet", f"{work}/in/0*"]
    assert sort_dataset(places, work / "out", by="k", threads=1).rows == 3
    found = find_files(tuple(map(str, places)))
    assert [file.path[-9:] for file in found.files] == ["1.parquet", "0.parquet"]
    assert check_dataset(work / "out", by="k", against=places).ok
    with pytest.raises(BadOptionError, match=r"0\.parquet is in the source twice"):
        find_files((f"{work}/in", f"{work}/in/0.parquet"))
    with pytest.raises(BadOptionError, match="an empty list"):
        sort_dataset([], work / "out", by="k")
    with pytest.raises(SourceNotFoundError, match="none does not exist"):
        find_files((f"{work}/in", f"{work}/none"))


# ---------------------------------------------------------------- links


def test_links_are_what_they_lead_to_once(work):
    write(work / "far" / "a" / "1", 1)
    write(work / "far" / "2", 2)
    (work / "in" / "folder").symlink_to(work / "far" / "a")
    (work / "in" / "file").symlink_to(work / "far" / "2")
    (work / "in" / "latest").symlink_to("0.parquet")
    (work / "in" / "loop").symlink_to(".")
    (work / "in" / "up").symlink_to("..")
    (work / "in" / "_versions").mkdir()
    write(work / "in" / "_versions" / "3", 3)
    (work / "in" / "current").symlink_to("_versions")
    expected = ["0.parquet", "current/3", "file", "folder/1"]
    for src in (work / "in", f"{work}/in/**", f"{work}/in/*"):
        found = find_files(str(src))
        assert [file.path.rpartition("/in/")[2] for file in found.files] == expected
        assert len(found.passed["linked"]) == 3
    (work / "in" / "gone").symlink_to("nowhere")
    with pytest.raises(SourceNotFoundError, match="gone links to no file"):
        find_files(str(work / "in"))
    assert names(work / "in", ignore=["gone"]) == expected


@pytest.fixture
def versions(work):
    """Two versions: v1 is its own latest, that of v2 is in a folder; v1 has a file twice."""
    root = work / "in" / "lk"
    write(root / "v1" / "a.parquet", 1)
    write(root / "v2" / "sub" / "b.parquet", 2)
    (root / "v1" / "latest").symlink_to(".")
    (root / "v2" / "latest").symlink_to("sub")
    (root / "v1" / "l.parquet").symlink_to("a.parquet")
    return root


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*/latest/*.parquet", ["v1/latest/a.parquet", "v2/latest/b.parquet"]),
        ("*/latest", ["v1/latest/a.parquet", "v2/latest/b.parquet"]),
        ("v*1/latest/*.parquet", ["v1/latest/a.parquet"]),
        ("v*1/lat*", ["v1/latest/a.parquet"]),
        ("v1/latest/a*", ["v1/latest/a.parquet"]),
        ("**/latest/*.parquet", ["v1/latest/a.parquet", "v2/latest/b.parquet"]),
        ("v1/*.parquet", ["v1/a.parquet"]),
        ("v1/l.p*", ["v1/l.parquet"]),
        ("*/*/*.parquet", ["v1/latest/a.parquet", "v2/sub/b.parquet"]),
    ],
)
def test_what_a_glob_names_by_a_link_counts_once(versions, glob, expected):
    assert names(f"{versions}/{glob}") == [f"lk/{name}" for name in expected]


def test_links_to_one_file_that_is_not_there_itself_count_once(work):
    far = write(work / "far" / "1", 1)
    for name in ("a", "b"):
        (work / "in" / name).symlink_to(far)
    assert names(work / "in") == ["0.parquet", "a"]
    assert names(work / "in", ignore=["a"]) == ["0.parquet", "b"]


def test_a_link_to_what_is_ignored_counts(versions):
    assert names(versions / "v1", ignore=["a.parquet", "latest"]) == ["lk/v1/l.parquet"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1/a.parquet", "v1/l.parquet"),
        ("v1", "v1/l.parquet"),
        ("v1/l.parquet", "v1/latest"),
        ("v2/latest", "v2/s*"),
        ("v1", "v*/latest/a.parquet"),
    ],
)
def test_a_list_has_no_file_twice_by_its_links(versions, one, other):
    with pytest.raises(BadOptionError, match=r"is \S+ by another name and in the source twice"):
        find_files((f"{versions}/{one}", f"{versions}/{other}"))


def test_a_pipe_is_not_waited_for(work):
    os.mkfifo(work / "in" / "1")
    with pytest.raises(SourceNotFoundError, match="1 is not a file"):
        find_files(str(work / "in"))
    assert names(work / "in", ignore=["1"]) == ["0.parquet"]


# ---------------------------------------------------------------- stores


@pytest.fixture
def bucket(work):
    store = fsspec.filesystem("memory")
    url = f"memory://{uuid.uuid4().hex}"
    data = (work / "in" / "0.parquet").read_bytes()
    for name in ("0.parquet", "000000_0", "d.parquet/1.PARQUET", "_SUCCESS", "_tmp/2.parquet"):
        store.pipe_file(f"{url}/in/{name}", b"" if name == "_SUCCESS" else data)
    yield url
    store.rm(url, recursive=True)


@pytest.mark.parametrize("src", ["in", "in/", "in/*", "in/**", "in/*.parquet"])
def test_stores_have_the_same_rule(bucket, src):
    found = open_source(f"{bucket}/{src}", TUNING.io)
    assert found.n_rows == (2 if src.endswith("*.parquet") else 3)
    assert found.passed.keys() == ({"hidden"} if "*.parquet" not in src else set())
    fsspec.filesystem("memory").pipe_file(f"{bucket}/in/d.parquet/x.csv", b"k\n1\n")
    with pytest.raises(CorruptSourceError, match=r"memory:///\S+x\.csv is CSV"):
        open_source(f"{bucket}/{src}", TUNING.io)
    again = open_source(f"{bucket}/{src}", TUNING.io, ignore=["*.csv"])
    assert (again.n_rows, len(again.passed["ignored"])) == (found.n_rows, 1)


def test_a_store_is_asked_once_for_each_file_that_is_read(bucket, monkeypatch):
    store = fsspec.filesystem("memory")
    asked: Counter[str] = Counter()
    cat = type(store).cat_file

    def cat_file(self, path, *args, **options):
        asked[path.rpartition("/")[2]] += 1
        return cat(self, path, *args, **options)

    monkeypatch.setattr(type(store), "cat_file", cat_file)
    open_source(f"{bucket}/in", TUNING.io)
    assert asked == {"0.parquet": 1, "000000_0": 1, "1.PARQUET": 1}
    store.pipe_file(f"{bucket}/in/LICENSE", b"do as you like, but keep this sentence")
    asked.clear()
    open_source(f"{bucket}/in", TUNING.io)
    assert asked == {"0.parquet": 1, "000000_0": 1, "1.PARQUET": 1, "LICENSE": 3}
