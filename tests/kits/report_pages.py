"""Report pages: what a browser would load and run of one, without a browser.

A browser that runs without a screen can't be installed from PyPI alone (it is downloaded from
elsewhere), so a page is read as HTML: no script, style, image or frame is loaded from anywhere,
and bokeh's documents in it are read back by bokeh, which checks every model and property.
"""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

# What loads something; a link that a reader may follow does not.
LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "object": "data"}


class Page(HTMLParser):
    """A page's scripts, texts, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, Any], str]] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get(LOADS.get(tag, "")):
            self.loaded.append(str(found[LOADS[tag]]))
        if tag == "script":
            self.scripts.append((found, ""))
        if tag not in ("meta", "link", "img", "br", "hr", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def text(self) -> str:
        """Return what is read without any script, in one line."""
        return " ".join(" ".join(self.words).split())

    def plots(self) -> list[Any]:
        """Return the plots, as bokeh reads them back."""
        from bokeh.document import Document
        from bokeh.models import Plot

        kinds = [s for s in self.scripts if s[0].get("type") == "application/json"]
        documents = [d for _, text in kinds for d in json.loads(text).values()]
        roots = [root for each in documents for root in Document.from_json(each).roots]
        return [root for root in roots if isinstance(root, Plot)]
