"""The page of a report: whole in one file, and true to the report."""

from __future__ import annotations

import json
import sys

import numpy as np
import pyarrow as pa
import pytest

import dlsort as library
from commands import dlsort, write
from dlsort.errors import BadOptionError
from dlsort.events import Span
from report_pages import Page

N = 3_000


@pytest.fixture
def src(tmp_path):
    rng = np.random.default_rng(0)
    at = pa.array(rng.integers(0, 10**9, N), pa.timestamp("s"))
    words = pa.array([None if i % 11 == 0 else f"w{i % 97}" for i in range(N)])
    table = pa.table({"id": rng.integers(0, 10**6, N), "at": at, "word": words})
    return write(tmp_path / "in" / "0.parquet", table, row_group_size=500)


def sorted_by(src, by: str, **options: object) -> library.SortReport:
    options = {"partitions": 5, "threads": 2, "strategy": "exchange"} | options
    return library.sort_dataset(src, src.parent.parent / "out", by=by, **options)


def by_title(page: Page, start: str):
    return next(p for p in page.plots() if p.title.text.startswith(start))


def test_a_page_loads_nothing_and_bokeh_reads_its_plots_back(src, tmp_path):
    report = sorted_by(src, "id")
    report.to_html(tmp_path / "out.html")
    page = Page((tmp_path / "out.html").read_text())
    assert page.open == []
    assert page.loaded == []
    assert all("src" not in attributes for attributes, _ in page.scripts)
    assert sum(len(text) for _, text in page.scripts) > 500_000  # bokeh itself
    assert len(page.plots()) == 3


def test_what_was_predicted_stands_beside_what_was_measured(src):
    report = sorted_by(src, "id")
    text = Page(report.to_html()).text()
    for name in ("whole sort", "partition", "peak memory", "balance", "spilled", "write"):
        assert name in text
    told, took = report.predicted["seconds"], report.seconds
    assert f"whole sort {told:.3f} s {took:.3f} s {took / told:.2f}" in text
    assert "built-in figures" in text or "profile" in text


def test_parts_and_threads_are_drawn_as_they_were(src):
    report = sorted_by(src, "id")
    page = Page(report.to_html())
    bars = by_title(page, "Rows of each part").renderers[0].data_source.data
    assert list(bars["rows"]) == report.part_rows
    spans = [r.data_source.data for r in by_title(page, "Phases").renderers]
    lanes = {lane for each in spans for lane in each["lane"]}
    threads = dict.fromkeys(span.lane for span in report.timeline)
    assert lanes == {"the sort", *(f"{i + 1}: {lane}" for i, lane in enumerate(threads))}
    assert all(a <= b for s in spans for a, b in zip(s["left"], s["right"], strict=True))
    tasks = [s for s in report.timeline if s.phase == "sort"]
    assert len(tasks) == len(report.part_rows)


@pytest.mark.parametrize(("by", "unit"), [("id", "number"), ("at", "time"), ("word", "rank")])
def test_the_learned_distribution_has_the_splitters(src, by, unit):
    report = sorted_by(src, by)
    assert (report.learned["unit"], report.learned["column"]) == (unit, by)
    assert len(report.learned["cuts"]) == 4
    plot = by_title(Page(report.to_html()), "The distribution")
    assert list(plot.renderers[-1].data_source.data["x"]) == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_without_a_model_the_page_says_so(tmp_path):
    table = pa.table({"id": range(N)})
    src = write(tmp_path / "in" / "0.parquet", table, row_group_size=500)
    report = sorted_by(src, "id", strategy="move", partitions=3)
    assert report.moved
    assert not report.learned
    page = Page(report.to_html())
    assert "without a model" in page.text()
    assert len(page.plots()) == 2


def test_an_empty_sort_has_a_page(tmp_path):
    src = write(tmp_path / "in" / "0.parquet", pa.table({"id": pa.array([], pa.int64())}))
    report = library.sort_dataset(src, tmp_path / "out", by="id")
    assert Page(report.to_html()).plots()


def test_names_are_no_html():
    report = library.SortReport("<b>in</b>", "<script>out", "id", part_rows=[1])
    page = Page(report.to_html())
    assert page.open == []
    assert "<b>in</b>" in page.text()


def test_what_only_the_page_shows_is_not_in_the_json(src):
    report = sorted_by(src, "id")
    assert report.timeline
    assert isinstance(report.timeline[0], Span)
    assert not {"timeline", "learned"} & set(json.loads(report.to_json()))


@pytest.mark.parametrize("name", ["out.html", "out.txt", "out.json"])
def test_the_reports_name_tells_its_form(src, tmp_path, name):
    result = dlsort("sort", src, tmp_path / "out", "--by", "id", "--report", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / name).read_text()
    begins = {"out.html": "<!DOCTYPE html>", "out.txt": "sorted ", "out.json": "{"}
    assert text.lstrip().startswith(begins[name])


def test_the_text_tells_what_was_predicted(src):
    report = sorted_by(src, "id")
    line = f"predicted  {report.predicted['seconds']:.2f} s (told by "
    assert line in report.to_text()
    report.predicted = {}
    assert "predicted  " not in report.to_text()


def test_without_bokeh_a_sentence_says_what_to_install(src, tmp_path, monkeypatch):
    report = sorted_by(src, "id")
    monkeypatch.setitem(sys.modules, "bokeh.plotting", None)
    with pytest.raises(BadOptionError, match=r"pip install 'dlsort\[report\]'"):
        report.to_html()
    result = dlsort("sort", src, tmp_path / "2", "--by", "id", "--report", tmp_path / "r.html")
    assert result.exit_code == 2
    assert "dlsort[report]" in result.stderr
    assert not (tmp_path / "2").exists()  # told before anything is done
