"""``dlsort bench``: small runs of each suite, what is wrong is seen, and the page is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

import bench_kit
from commands import COMMAND, dataset, rows, while_it_runs, write
from commands import dlsort as command
from dlsort.bench import door
from dlsort.bench.door import Bench
from dlsort.bench.engines import ENGINES, Copy
from dlsort.bench.page import page
from dlsort.bench.shown import shown
from dlsort.bench.suites import terasort
from dlsort.bench.suites.terasort import RECORD_ENGINES
from patience import PATIENCE_S
from report_pages import Page

FIELDS = {
    *("format", "date", "settings", "hosts", "versions", "left_out", "stopped", "notes"),
    *("races", "published"),
}
OF_ENGINE = {
    *("title", "where", "seconds", "least", "most", "rounds", "cold", "over_dlsort"),
    *("cold_over_dlsort", "peak_bytes", "balance", "verdict", "rows_s", "mb_s_core"),
    *("stored_mb_s_core", "dollars_tb", "cores", "machines", "turns", "detail"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset(tmp_path / "in")
    return tmp_path


@pytest.fixture
def engines(monkeypatch):
    """Have other engines in the place of those that need a start."""

    def put(**others: type) -> None:
        for name, engine in others.items():
            monkeypatch.setitem(ENGINES, name, engine)

    return put


def run(**options: object) -> dict:
    """Run a small comparison; return its document, as the JSON file has it."""
    bench = Bench(**{"rows": 800, "rounds": 1, "threads": 1, **options})
    bench.run(lambda _: None)
    return json.loads(json.dumps(bench.document))


def test_the_command_writes_a_page_and_figures(here):
    args = ["--data", "in", "--by", "id,price:desc", "--rounds", 1, "--threads", 1]
    result = command("bench", *args, "--against", "polars,duckdb", "--price", 3.6)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(("dlsort loses to ", "dlsort loses\nto "))
    assert "written to dlsort-bench.html and dlsort-bench.json" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    document = json.loads((here / "dlsort-bench.json").read_text())
    assert set(document) == FIELDS
    (race,) = document["races"]
    assert list(race["engines"]) == ["dlsort", "polars", "duckdb", "copy"]
    for name, engine in race["engines"].items():
        assert set(engine) == OF_ENGINE
        assert engine["verdict"] == "ok", name
        assert engine["dollars_tb"] > 0
        assert [turn["round"] for turn in engine["turns"]] == [0, 1]
    whole = Page((here / "dlsort-bench.html").read_text())
    assert (whole.loaded, whole.scripts, whole.open) == ([], [], [])
    text = whole.text()
    for words in (
        "in by id,price:desc",
        "Exoshuffle",
        "Tencent",
        "Spark",
        "checked",
        "publish",
    ):
        assert words in text
    assert sorted(p.name for p in here.iterdir()) == [
        "dlsort-bench.html",
        "dlsort-bench.json",
        "in",
    ]


def test_made_tables_are_sorted_and_removed_or_kept(here, engines, monkeypatch):
    engines(dlsort=bench_kit.Fast, polars=bench_kit.Fast)
    document = run(against=["polars"], temp_dir=str(here), keep_data=True)
    assert [race["title"] for race in document["races"]] == ["uniform", "skewed", "text"]
    assert all(race["size"]["rows"] == 800 for race in document["races"])
    kept = sorted(p.name for p in (here / "dlsort-bench-data").iterdir() if p.is_dir())
    assert kept == ["skewed-800", "text-800", "uniform-800"]
    assert sorted(p.name for p in here.iterdir()) == ["dlsort-bench-data", "in"]


def test_an_engine_that_lies_is_seen(here, engines):
    engines(dlsort=bench_kit.Fast, polars=bench_kit.Liar, duckdb=bench_kit.Loser)
    args = ["--data", "in", "--by", "id", "--rounds", 1, "--against", "polars,duckdb"]
    result = command("bench", *args, "--out", "a.html")
    assert result.exit_code == 1
    document = json.loads((here / "a.json").read_text())
    (race,) = document["races"]
    verdicts = {name: engine["verdict"] for name, engine in race["engines"].items()}
    assert verdicts["dlsort"] == verdicts["copy"] == "ok"
    assert verdicts["polars"].startswith("out of order in ")
    assert verdicts["duckdb"] == "1,199 rows of 1,200"
    assert race["engines"]["polars"]["mb_s_core"] is None
    for text in (Page(page(document)).text(), " ".join(shown(document, 80).split())):
        assert "Wrong or failed: Polars: out of order" in text
        assert "loses to none of these" not in text


def test_engines_that_fail_are_shown(here, engines):
    engines(dlsort=Copy, polars=bench_kit.Failing, duckdb=bench_kit.Dying)
    engines(copy=bench_kit.Unstartable)
    document = run(data="in", by="id", against=["polars", "duckdb"])
    text = Page(page(document)).text()
    for name, expected in {
        "polars": "RuntimeError: no more of this",
        "duckdb": "its process died with exit code 7",
        "copy": "ImportError: no such library",
    }.items():
        assert document["races"][0]["engines"][name]["verdict"] == expected
        assert expected in text


def test_what_dlsort_loses_stands_first(here, engines):
    engines(polars=bench_kit.Fast)
    document = run(data="in", by="id", against=["polars"])
    text = Page(page(document)).text()
    assert "dlsort loses to Polars on in by id (" in text
    assert text.index("dlsort loses to Polars") < text.index("sort: in by id")
    assert shown(document, 80).startswith("dlsort loses to Polars")


def test_frames_are_compared_on_a_cluster(here):
    write(here / "plain.parquet", rows().select(["id", "price", "note"]))
    document = run(suite="frames", data="plain.parquet", by="id", against=["dask"])
    (race,) = document["races"]
    assert {name: e["verdict"] for name, e in race["engines"].items()} == {
        "dlsort": "ok",
        "dask": "ok",
    }
    assert race["engines"]["dlsort"]["balance"] >= 1.0


def test_records_are_made_sorted_and_validated(here):
    document = run(suite="terasort", rows=3000, price=1.0)
    assert [race["title"] for race in document["races"]] == ["Indy", "Daytona"]
    for race in document["races"]:
        assert race["size"] == {"rows": 3000, "stored_bytes": 300_000, "memory_bytes": 300_000}
        assert [e["verdict"] for e in race["engines"].values()] == ["ok", "ok"]
    assert Page(page(document)).open == []


def test_records_that_are_swapped_are_seen(here, monkeypatch):
    monkeypatch.setitem(RECORD_ENGINES, "dlsort", bench_kit.Swapping)
    monkeypatch.setattr(terasort, "_KINDS", {"Indy": (False, "Records")})
    (race,) = run(suite="terasort", rows=300)["races"]
    assert race["engines"]["dlsort"]["verdict"] == "out of order at record 1"


def test_on_a_cluster_the_workers_tell_what_they_used(here):
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=":0",
    ) as cluster:
        document = run(
            data=str(here / "in"),
            by="id",
            against=["duckdb"],
            scheduler=cluster.scheduler_address,
            temp_dir=str(here),
            price=2.0,
        )
    host = document["hosts"]["127.0.0.1"]
    assert (host["workers"], host["worker_threads"]) == (2, 2)
    engines = document["races"][0]["engines"]
    assert list(engines) == ["dlsort-cluster", "duckdb", "copy"]
    ours, theirs = engines["dlsort-cluster"], engines["duckdb"]
    assert (ours["where"], ours["cores"], ours["verdict"]) == ("cluster", 2, "ok")
    assert (theirs["where"], theirs["cores"], theirs["verdict"]) == ("this host", 1, "ok")
    assert theirs["over_dlsort"] > 0
    assert ours["detail"]["samples"]
    text = Page(page(document)).text()
    assert "the others run on the host of this command" in text
    assert "2 workers, 2 threads" in text


def test_engines_that_are_not_there_are_left_out_or_refused(here, engines, monkeypatch):
    monkeypatch.setattr(door, "is_installed", lambda name: name != "duckdb")
    assert door._engines(None) == (["dask", "polars", "copy"], ["duckdb"])
    result = command("bench", "--against", "duckdb,polars")
    assert result.exit_code == 2
    assert "which is not installed; pip install duckdb" in result.stderr
    monkeypatch.setattr(door, "is_installed", lambda name: name == "copy")
    engines(dlsort=Copy)
    document = run(data="in", by="id")
    assert (
        "Left out, as not installed: Dask and Polars and DuckDB." in Page(page(document)).text()
    )


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--against", "spark"], "--against is 'spark'; expected some of dask, polars, duckdb"),
        (["--data", "in"], "--data is given without --by: name the columns to sort by."),
        (["--data", "in", "--by", "nothing"], "there is no column 'nothing'"),
        (["--data", "in", "--by", "lower(note)"], "is computed"),
        (["--data", "away", "--by", "id"], "away"),
        (["--suite", "frames", "--data", "in", "--by", "id:desc"], "sorts ascending"),
        (["--out", "page.txt"], "--out page.txt does not end in .html"),
        (["--out", "in/0.html"], "lies inside the source"),
        (["--price", "0"], "--price is 0.0; expected dollars, more than 0"),
        (["--rounds", "none"], "--rounds is 'none'; expected a whole number"),
        (["--temp-dir", "nowhere"], "nowhere"),
        (["--scheduler", "tcp://127.0.0.1:1"], "127.0.0.1:1"),
        (["--memory", "900TiB"], "more than this machine has"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_told_in_a_sentence(here, args, expected):
    given = [] if "--data" in args or "--suite" in args else ["--data", "in", "--by", "id"]
    result = command("bench", *given, *args)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert "bug" not in result.stderr
    assert not list(here.glob("*.html"))


def test_ctrl_c_leaves_the_results_so_far(here):
    scratch = here / "scratch"
    scratch.mkdir()
    args = ["--rounds", "100000", "--against", "polars", "--threads", "1", "--rows", "800"]
    running = subprocess.Popen(
        [*COMMAND, "bench", *args, "--temp-dir", str(scratch)],
        cwd=here,
        stderr=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while_it_runs(running, lambda: "round 2 of" in running.stderr.readline(), "a second round")
    os.killpg(running.pid, signal.SIGINT)  # as a terminal sends it, to all processes
    _, told = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130
    assert "Traceback" not in told
    document = json.loads((here / "dlsort-bench.json").read_text())
    assert document["stopped"] == "it was stopped by SIGINT"
    (race,) = document["races"]
    assert len(race["engines"]["dlsort"]["rounds"]) >= 2
    assert (
        "Not all was measured: it was stopped by SIGINT."
        in (here / "dlsort-bench.html").read_text()
    )
    assert list(scratch.iterdir()) == []


def test_a_full_disk_is_a_sentence(here, engines, monkeypatch):
    def write(*args: object, **how: object) -> None:
        raise OSError(28, "No space left on device", "part-0.parquet")

    monkeypatch.setattr("dlsort.bench.suites.sort.write_made", write)
    result = command("bench", "--rows", 800)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr


def test_a_table_of_no_rows_has_a_page(here, engines):
    engines(dlsort=Copy, polars=Copy)
    empty = pa.table({"id": pa.array([], pa.int64())})
    pq.write_table(empty, here / "empty.parquet")
    document = run(data="empty.parquet", by="id", against=["polars"])
    assert Page(page(document)).open == []
    assert shown(document, 80)
