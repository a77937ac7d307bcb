"""The docs site: no page of it goes untested, and what it is built of fits together.

That it can be built is tried by `make docs`, which needs more packages than the tests have.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from pages import (
    ELSEWHERE,
    LANGUAGES,
    PAGES,
    ROOT,
    SITE,
    STORE,
    Example,
    check_printed,
    check_yaml,
    examples,
    lines,
    run_page,
)

OF_SITE = [page for page in PAGES if SITE in page.parents]
# Pages with nothing to run, and the test that they are kept true by.
TRUE_BY = {
    "howto/dashboard.md": (
        "stories/test_dashboard.py",
        "test_a_dataset_is_seen_while_it_is_sorted_and_once_it_is_done",
    ),
    "how-it-works.md": ("stories/test_site.py", "test_the_figures_are_what_their_scripts_draw"),
    "limits.md": ("stories/test_readme.py", "test_links_lead_somewhere"),
    "options.md": ("options/test_sort_options.py", "test_the_page_is_what_make_options_writes"),
    "promises.md": (
        "stories/test_readme.py",
        "test_promises_are_kept_by_tests_that_are_there",
    ),
    "readers.md": ("stories/test_reader_matrix.py", "test_the_page_is_whole"),
    "reference/command.md": ("stories/test_site.py", "test_the_help_of_every_command_is_shown"),
    "reference/python.md": (
        "stories/test_site.py",
        "test_every_public_name_is_in_the_reference",
    ),
}
each_page = pytest.mark.parametrize(
    "page", OF_SITE, ids=lambda page: str(page.relative_to(SITE))
)


def load(path: Path, name: str):
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hooks():
    return load(SITE / "site" / "hooks.py", "site_hooks")


class _Config(yaml.SafeLoader):
    """Reads mkdocs.yml; functions that it names are left out."""


_Config.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def in_nav() -> list[str]:
    def leaves(value):
        if isinstance(value, str):
            return [value]
        return [leaf for each in (value.values() if isinstance(value, dict) else value)
                for leaf in leaves(each)]  # fmt: skip

    return leaves(yaml.load((ROOT / "mkdocs.yml").read_text(), _Config)["nav"])


# ---------------------------------------------------------------- pages


@each_page
def test_every_page_is_run_or_kept_true_by_another_test(page):
    runs = any(example.runs_here for example in examples(page))
    name = page.relative_to(SITE).as_posix()
    assert runs != (name in TRUE_BY)
    if not runs:
        file, test = TRUE_BY[name]
        assert re.search(rf"^ *def {test}\(", (ROOT / "tests" / file).read_text(), re.M)


@each_page
def test_every_block_is_of_a_language_that_is_tried(page):
    assert {example.language for example in examples(page)} <= LANGUAGES


@each_page
def test_what_is_said_to_be_printed_follows_what_is_run(page):
    before: Example | None = None
    for example in examples(page):
        if example.language == "output":
            assert before is not None
            assert before.runs_here
        before = example


def test_every_option_of_dasks_is_one():
    from distributed.cli.dask_scheduler import main as scheduler
    from distributed.cli.dask_worker import main as worker

    known = {
        name: {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
        for name, command in (("scheduler", scheduler), ("worker", worker))
    }
    tried = 0
    for page in PAGES:
        shell = [e.code for e in examples(page) if e.language == "sh"]
        for line in lines("\n".join(shell)):
            words = line.partition("#")[0].split()
            if words[0] == "dask" and words[1] in known:
                flags = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert flags <= known[words[1]], line
                tried += 1
    assert tried >= 4


def test_scripts_and_extras_that_pages_name_are_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras, scripts = set(), set()
    for page in PAGES:
        extras |= set(re.findall(r"(?:dlsort|\.)\[([a-z]+)\]['\"`]", page.read_text()))
        shell = "\n".join(e.code for e in examples(page) if e.language == "sh")
        scripts |= {words[1] for line in lines(shell) if (words := line.split())[0] == "python"}
    assert {"delta", "report"} <= extras <= set(project["optional-dependencies"])
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
    assert "examples/sort_files.py" in scripts


def test_a_page_that_says_something_else_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    for printed, fails in (("3", False), ("4", True)):
        page.write_text(f"```python\nprint(1 + 2)\n```\n\n```output\n{printed}\n```\n")
        if fails:
            with pytest.raises(AssertionError, match="the page says"):
                run_page(page, tmp_path)
        else:
            run_page(page, tmp_path)


def test_an_argument_in_yaml_that_is_none_fails():
    check_yaml("run: |\n  pip install .\n  dlsort sort in out --by x\n")
    check_yaml("command: [dlsort, sort, in, out, --by=x, --resume]")
    for wrong in ("run: dlsort sort in out --bye x", "command: [dlsort, sort, in, out, --x=1]"):
        with pytest.raises(click.UsageError, match="no such option"):
            check_yaml(wrong)


def test_what_printed_may_leave_out():
    check_printed("a ... c", "a b c\n")
    with pytest.raises(AssertionError):
        check_printed("a ... d", "a b c\n")
    assert STORE.endswith("://")
    assert "dlsort" not in ELSEWHERE


def test_versions_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (SITE / "compatibility.md").read_text()
    told = dict(re.findall(r"^\| `?(\w+)`? \| (\d+(?:\.\d+)*)", text, re.M))
    needs = [re.match(r"(\w+)[^>]*>=([\d.]+)", each) for each in project["dependencies"]]
    least = {need[1]: need[2] for need in needs if need} | {
        "Python": project["requires-python"].removeprefix(">=")
    }
    assert {"Python", "pyarrow", "numpy", "dask"} <= set(told)
    assert {name: least.get(name, least["dask"]) for name in told} == told


# ---------------------------------------------------------------- the site


def test_every_page_is_in_the_nav(hooks):
    nav = in_nav()
    assert len(nav) == len(set(nav))
    of_docs = {page.relative_to(SITE).as_posix() for page in OF_SITE}
    others = {f"{hooks.BELOW}{page.relative_to(ROOT).as_posix()}"
              for page in hooks.repository_pages()}  # fmt: skip
    assert set(nav) == of_docs | others


def test_links_lead_to_pages_of_the_site_and_files_are_named(hooks):
    links = hooks.with_links
    assert links("[a](../README.md#b)", "x.md") == "[a](repository/README.md#b)"
    assert links("[a](../../docs/keys.md)", "repository/dlsort/cli/README.md") == (
        "[a](../../../keys.md)"
    )
    assert links("[the code](../dlsort/dataset.py), [b](keys.md)", "x.md") == (
        "the code, [b](keys.md)"
    )
    assert links("[a](https://dask.org) ![f](f.svg) [b](#c)", "x.md") == (
        "[a](https://dask.org) ![f](f.svg) [b](#c)"
    )
    assert links("[a](../docker/) [b](../kernels/)", "x.md") == (
        "[a](repository/docker/README.md) b"
    )
    assert links("[a](gone.md)", "x.md") == "[a](gone.md)"
    assert links("```\n[a](../README.md)\n```", "x.md") == "```\n[a](../README.md)\n```"


def test_what_is_nested_in_a_list_is_so_in_the_site(hooks):
    text, wide = (
        "- a\n  b\n  - c\n    d\n1. e\n   f\n",
        "- a\n    b\n    - c\n        d\n1. e\n   f\n",
    )
    assert hooks.with_wide_lists(text) == wide
    block, wide = (
        "  ```yaml\n  c:\n    d\n\n  ```\n",
        "    ```yaml\n    c:\n      d\n\n    ```\n",
    )
    assert hooks.with_wide_lists(block) == wide
    plain = "```py\n  g\n```\n"
    assert hooks.with_wide_lists(plain) == plain


def test_the_help_of_every_command_is_shown(hooks):
    from dlsort.cli.main import main

    shown = hooks.command_help()
    for name in main.commands:
        assert f"## `dlsort {name}`\n\n```text\nUsage: dlsort {name} " in shown
    assert hooks.HELP in (SITE / "reference" / "command.md").read_text()


def test_every_public_name_is_in_the_reference():
    import dlsort
    from dlsort import errors

    text = "".join((SITE / "reference" / f"{n}.md").read_text() for n in ("python", "errors"))
    shown = set(re.findall(r"^::: dlsort\.(\w+)$", text, re.M))
    assert "errors" in shown
    assert set(dlsort.__all__) - set(errors.__all__) <= shown
    assert shown <= {*dlsort.__all__, "errors"}


def test_the_figures_are_what_their_scripts_draw(monkeypatch):
    figures = SITE / "figures"
    monkeypatch.syspath_prepend(figures)
    draw = load(figures / "draw.py", "draw")
    try:
        drawn = {f"{name}.svg": figure() for name, figure in draw.FIGURES.items()}
    finally:
        sys.modules.pop("svg", None)
    assert {path.name for path in figures.glob("*.svg")} == set(drawn)
    for name, text in drawn.items():
        assert (figures / name).read_text() == text, f"{name} is another: run make figures"
        assert f"](figures/{name})" in (SITE / "how-it-works.md").read_text()
