"""``dlsort explain``: what the command tells, in which form, and where."""

from __future__ import annotations

import json

import pytest

from commands import contents, dataset, dlsort
from report_pages import Page


@pytest.fixture
def work(tmp_path, monkeypatch):
    dataset(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*args: object) -> str:
    result = dlsort("explain", "in", *args, "--by", "id")
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_plan_is_told_and_nothing_is_done(work):
    before = contents(work)
    text = told("out", "--threads", 1, "--partitions", 3)
    assert text.startswith("sort       by id\nfrom       in\n")
    assert "to         out\n" in text
    assert "pinned     threads 1, partitions 3\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert contents(work) == before


def test_json_has_the_seconds_first(work):
    content = json.loads(told("--format", "json"))
    assert next(iter(content)) == "predicted_seconds"
    assert content["predicted_seconds"] == content["predicted"]["seconds"]


def test_html_goes_to_standard_output_too(work):
    page = Page(told("--format", "html"))
    assert page.loaded == []
    assert "from in" in page.text()


@pytest.mark.parametrize(
    ("form", "begins"), [("text", "sort "), ("json", "{"), ("html", "<!DOCTYPE html>")]
)
def test_it_is_written_to_a_file(work, form, begins):
    assert told("--format", form, "-o", "plan") == ""
    assert (work / "plan").read_text().startswith(begins)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--format", "pdf"), "--format is 'pdf'; expected"),
        (("-o", "in/0.parquet"), "--output in/0.parquet is a Parquet file"),
        (("-o", "in"), "--output in is a folder; name a file"),
        (("--partitions", "0"), "--partitions is"),
        (("--partitions", 2, "--partition-size", "1MiB"), "exclude each other"),
        (("--memory", "1KiB"), "--memory"),
    ],
)
def test_what_can_not_be_is_told(work, args, said):
    before = contents(work)
    result = dlsort("explain", "in", "--by", "id", *args)
    assert result.exit_code == 2
    assert said in result.stderr
    assert contents(work) == before


def test_a_destination_inside_of_the_source_is_refused(work):
    result = dlsort("explain", "in", "in/out", "--by", "id")
    assert result.exit_code == 2
