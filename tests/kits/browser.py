"""A browser without a screen, where one is installed: what a reader sees of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from patience import PATIENCE_S

# Bokeh draws each of its models below a root of its own, into which no selector looks.
TEXT = """
const texts = [];
function walk(node) {
  if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent);
  if (["SCRIPT", "STYLE"].includes(node.nodeName)) return;
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
}
walk(document.body);
return texts.join(" ").replace(/\\s+/g, " ");
"""
# Titles of plots are painted, and bars too: their models tell what.
PAINTED = """
if (!window.Bokeh || !Bokeh.documents.length) return [[], []];
const models = [...Bokeh.documents[0]._all_models.values()];
const data = models.filter(m => m.type === "ColumnDataSource").map(m => Object.fromEntries(
  Object.entries(Object.fromEntries(Object.entries(m.data))).map(([k, v]) => [k, [...v]])));
return [models.filter(m => m.type === "Title").map(m => m.text), data];
"""


def find_browser() -> tuple[str, str] | None:
    """Return the programs of a browser and of its driver, if there are both."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


class Reader:
    """Someone who looks at pages."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def text(self) -> str:
        """Return what is written on the page."""
        return str(self.driver.execute_script(TEXT))

    def painted(self) -> tuple[list[str], list[dict[str, list[Any]]]]:
        """Return the titles of the plots, and what they are drawn from."""
        titles, data = self.driver.execute_script(PAINTED)
        return titles, data

    def wait_for(self, found: Callable[[], Any]) -> Any:
        """Wait until something is seen, and return it."""
        return WebDriverWait(self.driver, PATIENCE_S).until(lambda _: found())

    def errors(self) -> list[str]:
        """Return what the browser's console tells of errors."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


@contextmanager
def open_browser(width: int, height: int) -> Iterator[Reader]:
    """Give a reader with a window of a size."""
    found = find_browser()
    assert found is not None
    browser, driver = found
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--window-size={width},{height}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as temp:
        # Chromium leaves files of its own where it is closed.
        service = Service(driver, env={**os.environ, "SE_OFFLINE": "true", "TMPDIR": temp})
        opened = webdriver.Chrome(options=options, service=service)
        try:
            yield Reader(opened)
        finally:
            opened.quit()
