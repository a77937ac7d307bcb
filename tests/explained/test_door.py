"""The plan that is explained is the one that is executed."""

from __future__ import annotations

import json

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import dlsort
from commands import contents, write
from dlsort.errors import BadOptionError, DestinationError, DlsortError
from dlsort.explained.door import explain_sort
from dlsort.options.doors import DOORS
from dlsort.planner.known import Known
from report_pages import Page

SHAPE = ("strategy", "parts", "inputs", "processes", "threads")
HEADS = [
    "predicted_seconds",
    "src",
    "dst",
    "by",
    "told_by",
    "source",
    "plan",
    "predicted",
    "pinned",
    "phases",
    "alternatives",
    "notes",
]
PREDICTED = [
    *SHAPE,
    "seconds",
    "processor_s",
    "phases",
    "work",
    "memory_bytes",
    "spilled_bytes",
    "sent_bytes",
    "balance",
    "rows",
    "amounts",
    "is_known",
    "told_by",
]


@pytest.fixture
def src(tmp_path):
    """Give a dataset of four files that overlap."""
    for i in range(4):
        rng = np.random.default_rng(i)
        words = [f"w{n}" for n in rng.integers(0, 999, 5_000)]
        table = pa.table({"id": rng.integers(0, 10**6, 5_000), "word": words})
        write(tmp_path / "in" / f"{i}.parquet", table, row_group_size=1_000)
    return tmp_path / "in"


@pytest.fixture
def in_order(tmp_path):
    """Give a dataset in order."""
    table = pa.table({"id": range(40_000)})
    return write(tmp_path / "ordered" / "0.parquet", table, row_group_size=1_000).parent


PINS = [
    {},
    {"threads": 1},
    {"threads": 2, "partitions": 7},
    {"partition_size": "64KiB"},
    {"input_size": "100KiB", "partitions": 3},
    {"strategy": "exchange", "partitions": 4},
    {"memory": "900MiB"},
]


@pytest.mark.parametrize("source", ["src", "in_order"])
@pytest.mark.parametrize("pins", PINS, ids=str)
def test_what_is_explained_is_what_is_done(request, tmp_path, source, pins):
    src = request.getfixturevalue(source)
    found = dlsort.explain(src, "id", **pins)
    report = dlsort.sort_dataset(src, tmp_path / "out", by="id", **pins)
    assert {name: found.plan[name] for name in SHAPE} == {
        name: report.predicted[name] for name in SHAPE
    }
    assert found.predicted == report.predicted
    assert found.predicted_seconds == report.predicted["seconds"]
    assert found.plan["parts"] == report.output_parts
    assert found.plan["threads"] == report.threads


def test_nothing_is_written(src, tmp_path):
    before = contents(tmp_path)
    dlsort.explain(src, "id", dst=tmp_path / "out")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("pins", PINS[1:], ids=str)
def test_pins_are_honoured_and_shown(src, pins):
    found = dlsort.explain(src, "id", **pins)
    assert set(found.pinned) == set(pins)
    keys = {"threads": "threads", "partitions": "parts", "strategy": "strategy"}
    for name in pins.keys() & keys.keys():
        for plan in (found.plan, *found.alternatives):
            assert plan[keys[name]] == pins[name]
    line = next(line for line in str(found).splitlines() if line.startswith("pinned "))
    assert all(name in line for name in pins)
    assert "pinned " not in str(dlsort.explain(src, "id"))


def test_workers_are_planned_for_without_starting_them(src):
    found = dlsort.explain(src, "id", workers=2, threads=5)
    assert (found.plan["processes"], found.plan["threads"]) == (2, 4)
    assert found.predicted["sent_bytes"] > 0


def test_alternatives_say_why_they_lost(in_order):
    found = dlsort.explain(in_order, "id", partitions=4)
    assert found.plan["strategy"] == "move"
    others = {other["strategy"] for other in found.alternatives}
    assert "exchange" in others
    assert all(other["why_not"] for other in found.alternatives)
    assert "not taken, cheapest first:" in str(found)


def test_the_form_of_the_json_is_stable(src):
    content = json.loads(dlsort.explain(src, "id", partitions=3, threads=1).to_json())
    assert list(content) == HEADS
    assert list(content["predicted"]) == PREDICTED
    assert list(content["source"]) == ["rows", "files", "stored_bytes", "arrow_bytes"]
    assert list(content["plan"])[:5] == list(SHAPE)
    names = [phase["name"] for phase in content["phases"]]
    assert names == ["open", "start", "sample", "partition", "sort", "publish"]
    fields = ["name", "rows", "bytes", "seconds", "steps", "is_measured"]
    assert all(list(phase) == fields for phase in content["phases"])
    assert content["source"]["rows"] == 20_000


def test_phases_add_up_to_what_is_predicted(src):
    found = dlsort.explain(src, "id", partitions=3, threads=1)
    phases = [phase for phase in found.phases if not phase.is_measured]
    assert sum(p.seconds for p in phases) == pytest.approx(found.predicted_seconds)
    steps = sum(s for p in phases for s in p.steps.values())
    assert steps == pytest.approx(found.predicted["processor_s"])


def test_the_text_is_whole_in_80_columns(src, monkeypatch):
    monkeypatch.chdir(src.parent)
    text = str(dlsort.explain("in", "word,id:desc", dst="out", partitions=3))
    assert max(map(len, text.splitlines())) <= 80
    for name in ("├─ open (done)", "├─ partition", "│  ├─ read", "└─ publish", "predicted  "):
        assert name in text


def test_the_page_has_no_script_and_loads_nothing(src):
    found = dlsort.explain(src, "id", partitions=3)
    page = Page(found.to_html())
    assert (page.scripts, page.loaded, page.open) == ([], [], [])
    assert "Plans that were not taken" in page.text()
    assert found._repr_html_() in found.to_html()


def test_what_the_figures_are_from_is_told(src, monkeypatch):
    told = str(Known(n_runs=3, n_same=2, facts={}))
    monkeypatch.setattr("dlsort.planner.known.Known.__str__", lambda _: told)
    assert f"(told by {told})" in " ".join(str(dlsort.explain(src, "id")).split())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"by": "nothing"}, DlsortError),
        ({"partitions": 2, "partition_size": 100}, BadOptionError),
        ({"memory": "1KiB"}, BadOptionError),
        ({"dst": "in/there"}, DestinationError),
    ],
    ids=str,
)
def test_what_a_sort_refuses_is_refused(src, monkeypatch, options, error):
    monkeypatch.chdir(src.parent)
    with pytest.raises(error):
        dlsort.explain("in", **{"by": "id", **options})


# ---------------------------------------------------------------- frames


def test_a_frame_of_parquet_is_told_by_its_footers(src):
    found = dlsort.explain(dd.read_parquet(src), "id", partitions=3)
    assert found.source["rows"] == 20_000
    assert found.source["partitions"] == found.plan["inputs"] == 4
    assert found.plan["parts"] == 3
    assert found.predicted_seconds > 0
    assert "write" not in str(found).split("\n\n")[1]
    assert any("computed once" in note for note in found.notes)


def test_a_filter_makes_the_rows_an_upper_bound(src):
    frame = dd.read_parquet(src)
    found = dlsort.explain(frame[frame.id > 5], "id")
    assert found.source["rows"] == 20_000
    assert any("at most" in note for note in found.notes)


def test_a_frame_in_memory_is_counted():
    frame = dd.from_pandas(pd.DataFrame({"x": range(100)}), npartitions=4)
    found = dlsort.explain(frame, "x:desc")
    assert (found.source["rows"], found.plan["parts"]) == (100, 4)
    assert not any("at most" in note for note in found.notes)
    assert "read" not in {step for phase in found.phases for step in phase.steps}


def test_of_an_unknown_size_nothing_is_predicted_and_it_says_why():
    def make(i: int) -> pd.DataFrame:
        return pd.DataFrame({"x": range(i)})

    frame = dd.from_map(make, [3, 4], meta=pd.DataFrame({"x": [1]}))
    found = dlsort.explain(frame, "x")
    assert found.predicted_seconds is None
    assert found.source["rows"] is None
    assert any("computed twice, as 'make'" in note for note in found.notes)
    assert "not predicted, as the number of rows is not known" in " ".join(str(found).split())
    assert json.loads(found.to_json())["predicted_seconds"] is None


def test_a_join_has_no_known_size():
    frame = dd.from_pandas(pd.DataFrame({"x": range(100)}), npartitions=2)
    found = dlsort.explain(frame.merge(frame, on="x"), "x")
    assert found.source["rows"] is None


def test_a_frame_that_is_sorted_already_needs_nothing():
    frame = dd.from_pandas(pd.DataFrame({"x": range(100)}), npartitions=2)
    found = dlsort.explain(dlsort.sort_values(frame, "x"), "x")
    assert found.predicted_seconds == 0 or found.plan["strategy"] == "exchange"


def test_nothing_of_a_frame_is_computed(tmp_path):
    def fail(part: pd.DataFrame) -> pd.DataFrame:
        raise AssertionError

    frame = dd.from_pandas(pd.DataFrame({"x": range(100)}), npartitions=2)
    mapped = frame.map_partitions(fail, meta=frame._meta)
    assert dlsort.explain(mapped, "x").source["rows"] is None


@pytest.mark.parametrize("options", [{"threads": 2}, {"strategy": "move"}, {"dst": "x"}])
def test_options_of_datasets_are_refused_for_frames(options):
    frame = dd.from_pandas(pd.DataFrame({"x": [1]}), npartitions=1)
    with pytest.raises(BadOptionError, match="is of sorts of datasets"):
        dlsort.explain(frame, "x", **options)


@pytest.mark.parametrize("given", [pa.table({"x": [1]}), pd.DataFrame({"x": [1]})], ids=type)
def test_rows_in_memory_are_refused(given):
    with pytest.raises(BadOptionError, match="expected a path, or a Dask frame"):
        dlsort.explain(given, "x")


def test_a_series_is_refused():
    frame = dd.from_pandas(pd.DataFrame({"x": [1]}), npartitions=1)
    with pytest.raises(BadOptionError, match="expected a Dask DataFrame"):
        dlsort.explain(frame["x"], "x")


def test_rows_that_are_chosen_are_part_of_the_plan(src):
    whole = dlsort.explain(src, "id")
    few = dlsort.explain(src, "id", where="id < 100", columns="id", limit=10)
    assert few.plan["strategy"] == "first"
    assert few.predicted["rows"]["written"] <= 10
    (sample,) = (phase for phase in few.phases if phase.name == "sample")
    assert set(sample.steps) == {"find"}
    assert few.source["rows"] < whole.source["rows"]
    assert list(few.notes) == ["rows that are kept: where id < 100, limit 10"]
    (note,) = dlsort.explain(src, "id,word", unique="last", unique_by="id").notes
    assert note == "rows that are kept: the last of each value of id"


def test_first_rows_are_looked_for_where_ranges_tell(src, in_order):
    for place, n_rows in ((src, 20_000), (in_order, 5_000)):
        found = dlsort.explain(place, "id", limit=10, threads=1)
        assert found.predicted["rows"]["written"] == 10
        (sample,) = (phase for phase in found.phases if phase.name == "sample")
        assert sample.rows <= n_rows
    assert found.predicted["rows"]["read"] <= 4_000  # of 40,000


def test_a_dry_run_plans_with_the_model_that_is_there(src, tmp_path):
    options = {"src": src, "dst": tmp_path / "out", "by": "id", "overwrite": True}
    options |= {"partitions": 3, "strategy": "exchange"}
    dlsort.sort_dataset(**options)
    defaults = {option.name: option.default for option in DOORS["sort_dataset"]}
    assert explain_sort(defaults | options).predicted["is_known"]
    assert not explain_sort(defaults | options | {"model": "none"}).predicted["is_known"]
