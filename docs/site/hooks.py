"""Hooks of the docs site: the repository's other pages, their links, and the command's help.

Pages outside of ``docs/`` are brought in below ``repository/``, as they stand. A link to a page
leads to that page of the site; one to a file of the source becomes its text, since the site
holds no source. So each link is written once, as GitHub follows it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("dlsort", "cluster", "kernels", "docker", "benchmarks", "examples", "tests")
BELOW = "repository/"
HELP = "<!-- help of every command -->"

_FENCED = re.compile(r"(^ *```.*?^ *```$)", re.M | re.S)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def repository_pages() -> list[Path]:
    """Return the pages outside of ``docs/``."""
    below = [page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *below])


def on_files(files: Any, *, config: Any) -> Any:
    """Add the pages that are outside of ``docs/``."""
    from mkdocs.structure.files import File

    for page in repository_pages():
        place = f"{BELOW}{page.relative_to(ROOT).as_posix()}"
        files.append(File.generated(config, place, content=page.read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Put in the command's help, and have links lead to pages of the site."""
    if HELP in markdown:
        markdown = markdown.replace(HELP, command_help())
    return with_links(with_wide_lists(markdown), page.file.src_uri)


def with_wide_lists(markdown: str) -> str:
    """Return a page whose lists are nested by four spaces, as Python-Markdown wants it."""
    blocks = _FENCED.split(markdown)
    for n, block in enumerate(blocks):
        if n % 2:
            indent = re.match(" *", block)[0]
            blocks[n] = re.sub("^(?=.)", indent, block, flags=re.M)
        else:
            blocks[n] = re.sub("^((?:  )+)(?=\\S)", r"\1\1", block, flags=re.M)
    return "".join(blocks)


def on_page_content(html: str, **_: Any) -> str:
    """Mend types such as ``path-like``, which griffe takes for a difference."""
    return html.replace(" - like", "-like")


def with_links(markdown: str, place: str) -> str:
    """Return a page with the links that it has in the site.

    Parameters
    ----------
    markdown : str
        The page.
    place : str
        Where it lies in the site, as in ``repository/docker/README.md``.
    """
    blocks = _FENCED.split(markdown)
    return "".join(
        block if n % 2 else _LINK.sub(lambda link: _in_site(link, place), block)
        for n, block in enumerate(blocks)
    )


def _in_site(link: re.Match[str], place: str) -> str:
    image, text, target = link.groups()
    if image or re.match(r"[a-z]+:|#", target):
        return link[0]
    path, _, anchor = target.partition("#")
    home = place.removeprefix(BELOW) if place.startswith(BELOW) else f"docs/{place}"
    meant = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
    if (ROOT / meant / "README.md").is_file():
        meant = f"{meant}/README.md"
    if not (ROOT / meant).exists():
        return link[0]  # for the build to say so
    if not meant.endswith(".md"):
        return text
    found = meant.removeprefix("docs/") if meant.startswith("docs/") else f"{BELOW}{meant}"
    there = posixpath.relpath(found, posixpath.dirname(place) or ".")
    return f"[{text}]({there}{'#' if anchor else ''}{anchor})"


def command_help() -> str:
    """Return the help of each command, as a page has it."""
    import click

    from dlsort.cli.main import main

    sections = []
    with click.Context(main, info_name="dlsort") as above:
        for name, command in sorted(main.commands.items()):
            context = click.Context(
                command, above, info_name=name, terminal_width=92, max_content_width=92
            )
            sections.append(
                f"## `dlsort {name}`\n\n```text\n{command.get_help(context)}\n```\n"
            )
    return "\n".join(sections)
