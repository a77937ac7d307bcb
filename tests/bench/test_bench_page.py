"""The page of ``dlsort bench``, as a reader's browser shows it."""

from __future__ import annotations

import pytest

from browser import find_browser, open_browser
from commands import dataset
from dlsort.bench.door import Bench
from dlsort.bench.page import page

pytestmark = pytest.mark.skipif(
    find_browser() is None, reason="no chromium with its chromedriver is installed"
)


def test_a_browser_shows_what_was_compared_and_what_was_lost(tmp_path):
    dataset(tmp_path / "in")
    data = str(tmp_path / "in")
    bench = Bench(data=data, by="id", against=["polars"], rounds=1, threads=1, price=1.0)
    bench.run(lambda _: None)
    written = tmp_path / "bench.html"
    written.write_text(page(bench.document))
    with open_browser(1280, 800) as reader:
        reader.driver.get(written.as_uri())
        text = reader.text()
        for words in ("dlsort loses", f"{data} by id", "Polars", "copy", "checked", "Spark"):
            assert words in text
        first = reader.driver.find_element("css selector", ".first")
        assert first.location["y"] + first.size["height"] < 800  # seen without scrolling
        bars = reader.driver.find_elements("css selector", "svg")
        assert bars
        assert all(each.size["width"] > 0 for each in bars)
        wide = "return document.documentElement.scrollWidth - innerWidth"
        assert reader.driver.execute_script(wide) <= 0
        assert reader.errors() == []
