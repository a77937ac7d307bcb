"""The pages: their examples run as they stand, and what they name is there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pages import (
    ELSEWHERE,
    HERE,
    PAGES,
    ROOT,
    commands,
    examples,
    make_lineitem,
    prose,
    run_page,
)
from patience import PATIENCE_S

README = ROOT / "README.md"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# Dask's own, with pandas from 3.1 on.
@pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(e.runs_here for e in examples(page))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_examples_run_in_their_order(page, tmp_path, monkeypatch):
    place, bin_folder = tmp_path / "here", tmp_path / "bin"
    place.mkdir()
    bin_folder.mkdir()
    monkeypatch.chdir(place)
    make_lineitem(place / "lineitem")
    for names in run_page(page, bin_folder):
        if page == README and "days" in names:  # what the text says of it
            assert names["days"].known_divisions
            assert len(names["days"]) == 8 * 500
            assert len(names["ddf"].compute()) == 8 * 500


def test_every_door_has_an_example():
    runs = {page: [e for e in examples(page) if e.runs_here] for page in PAGES}
    assert {example.language for example in runs[README]} == {"python", "sh"}
    code = "".join(example.code for example in runs[README])
    for door in ("dlsort sort", "dlsort check", "sort_dataset(", "sort_values(", "set_index("):
        assert door in code
    assert sum(map(bool, runs.values())) >= 5


@each_page
def test_what_is_not_run_is_known(page):
    for example in examples(page):
        if example.language == "sh":
            assert commands(example.code) <= ELSEWHERE | HERE


@each_page
def test_every_target_of_make_is_one(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.M))
    assert named <= targets


def test_every_option_is_one():
    """Of every command on any page, and each that the command's own page names."""
    helped = "".join(
        subprocess.run(
            [sys.executable, "-m", "dlsort", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        ).stdout
        for name in (
            "sort",
            "check",
            "stats",
            "explain",
            "inspect",
            "config",
            "bench",
            "gensort",
            "terasort",
            "valsort",
        )
    )
    there = set(re.findall(r"--[a-z][a-z-]+", helped))
    text = (ROOT / "dlsort" / "cli" / "README.md").read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= there
    lines = [line for page in PAGES for line in page.read_text().splitlines()]
    run = [line.split("#")[0] for line in lines if line.strip().startswith("dlsort ")]
    assert set(re.findall(r"--[a-z][a-z-]+", "\n".join(run))) <= there


# ---------------------------------------------------------------- what pages name


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@each_page
def test_links_lead_somewhere(page):
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@each_page
def test_files_and_folders_are_there(page):
    first = "dlsort|cluster|kernels|tests|docker|benchmarks|docs"
    named = re.findall(rf"`((?:{first})/[\w/.]*(?:\.\w+|/))(?:::\w+)?`", prose(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_promises_are_kept_by_tests_that_are_there():
    text = (ROOT / "docs" / "promises.md").read_text()
    promises = re.split(r"^## \d+\. ", text, flags=re.M)[1:]
    assert len(promises) >= 10
    for promise in promises:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", promise)
        assert tests, promise
        assert "- Responsible: " in promise
        for file, name in tests:
            assert re.search(rf"^ *def {name}\(", (ROOT / file).read_text(), re.M), name


def test_the_layers_are_those_of_the_contract():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c.get("containers") == ["dlsort"])
    text = (ROOT / "dlsort" / "README.md").read_text()
    table = text.partition("| layers of dlsort, from the top |\n|---|\n")[2].partition("\n\n")[
        0
    ]
    told = [re.findall(r"`(\w+)`", line) for line in table.splitlines()]
    assert told == [layer.split(" | ") for layer in layers if layer != "__main__"]


def test_the_readme_stays_short():
    text = README.read_bytes()
    assert text.count(b"\n") <= 160
    assert len(text) <= 12 * 1024


def test_the_readmes_figures_are_the_benchmarks():
    """After a new run with --write-readme, the README's rows are to be those of its tables."""
    figure = re.compile(r"(?<![\d.,])\d+\.\d+(?![\d.])")
    section = README.read_text().partition("\n## How fast\n")[2].partition("\n## ")[0]
    figures = set(figure.findall(section))
    assert len(figures) > 20
    assert (
        figures - set(figure.findall((ROOT / "benchmarks" / "README.md").read_text())) == set()
    )
