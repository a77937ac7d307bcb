"""The benchmarks' own words: what dlsort loses is told from the figures, warm and cold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlsort.bench.engines import Outcome
from dlsort.bench.figures import summary
from dlsort.bench.rounds import Turn

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def verdicts(monkeypatch):
    """Return the sentences for (cold, then warm) seconds of each engine."""
    monkeypatch.syspath_prepend(BENCHMARKS.parent)
    from benchmarks import page
    from benchmarks.inputs import Job

    def told(**seconds: list[float]) -> str:
        turns = {
            name: [Turn(i, Outcome(s, None, None), 0, "ok") for i, s in enumerate(each)]
            for name, each in seconds.items()
        }
        return page._verdicts({Job("table", ("key",)): summary(turns)})

    return told


@pytest.mark.parametrize(
    ("polars", "told"),
    [
        (
            [6.0, 2.5],
            "**dlsort loses** to none of these. "
            "In the cold round **dlsort loses** to none of these.",
        ),
        (
            [4.0, 2.5],
            "**dlsort loses** to none of these. "
            "In the cold round **dlsort loses** to Polars on table by key (1.25 × its time).",
        ),
        (
            [6.0, 1.0],
            "**dlsort loses** to Polars on table by key (2.00 × its time). "
            "In the cold round **dlsort loses** to none of these.",
        ),
    ],
)
def test_what_is_lost_is_told_of_the_cold_round_too(verdicts, polars, told):
    found = verdicts(dlsort=[5.0, 2.0], copy=[1.0, 1.0], polars=polars)
    assert found == told


def test_without_dlsort_nothing_is_said_of_it(verdicts):
    assert verdicts(polars=[1.0, 1.0]) == ""


def test_every_benchmark_writes_between_its_own_markers(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS.parent)
    from benchmarks import page

    scripts = [path.read_text() for path in BENCHMARKS.rglob("*.py")]
    sections = [
        section
        for script in scripts
        if "--write-readme" in script
        for section in re.findall(r'^SECTION = "(\w+)"$', script, re.M)
    ]
    assert len(sections) >= 6
    assert all(
        'README = ROOT / "benchmarks" / "README.md"' in s for s in scripts if "SECTION" in s
    )
    before = (BENCHMARKS / "README.md").read_text()
    readme = tmp_path / "README.md"
    for section in sections:
        readme.write_text(before)
        page.write_readme("new", readme, section)
        after = readme.read_text()
        assert f"<!-- benchmark:{section} -->\nnew\n<!-- /benchmark -->" in after
        assert [s for s in sections if f"<!-- benchmark:{s} -->" not in after] == []
