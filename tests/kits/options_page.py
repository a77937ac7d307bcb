"""Options page and settings file, of the rows of :mod:`dlsort.options.sort_options`.

make options
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import wrap

from dlsort.options.doors import COMMANDS, DOORS
from dlsort.options.option import REQUIRED, SortOption
from dlsort.options.settings import SETTABLE, env_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "options.md"
SETTINGS = ROOT / "dlsort" / "options" / "dlsort.yaml"

SETTINGS_HEAD = """\
# Defaults of dlsort's sorts of datasets: copy this to ~/.config/dask/dlsort.yaml, and take the
# sign of a comment from what you want to set. `dlsort config` shows what holds, and why.
#
# What a call gives counts first; then the environment; then Dask's configuration, of which this
# file is a part; then what is built in. `make options` writes this file.

dlsort:
"""

HEAD = """\
# Options

Every option of the doors to datasets, tables and arrays. `make options` writes this page from
[the table](../dlsort/options/sort_options.py), from which the command's flags and the checks of
arguments follow too. Exit codes are on [the page of the
command](../dlsort/cli/README.md#exit-codes), options of Dask frames on
[theirs](../dlsort/frames/README.md#options).
"""
LOCAL = ("sort_table", "top_k", "argsort", "is_sorted", "rank")


def options_page() -> str:
    """Return the page."""
    sections = [HEAD]
    for door, command, places in (
        ("sort_dataset", "sort", ["SRC", "DST"]),
        ("append_dataset", "append", ["SRC", "DST"]),
        ("compact_dataset", "compact", ["DST"]),
        ("check_dataset", "check", ["DST"]),
        ("measure_overlap", "", []),
        ("distribution", "stats", ["SRC"]),
        ("explain", "explain", ["SRC", "`--by`", "DST"]),
        ("inspect_dataset", "inspect", ["DST"]),
        ("generate_records", "gensort", ["N", "DST"]),
        ("sort_records", "terasort", ["SRC", "DST"]),
        ("validate_records", "valsort", ["SRC"]),
    ):
        if not command:
            rows = [[f"`{o.name}`", _of_check(o), *_row(o)] for o in DOORS[door]]
            table = _table(["Python", "command"], rows)
            sections.append(f"## `{door}`, `dlsort check --overlap`\n\n{table}")
            continue
        options = [*DOORS[door], *(o for o in COMMANDS[command] if o not in DOORS[door])]
        flags = [*places, *(f"`{o.flag}`" for o in options[len(places) :])]
        rows = [
            [f"`{o.name}`" if o in DOORS[door] else "", flag, *_row(o)]
            for o, flag in zip(options, flags, strict=True)
        ]
        sections.append(
            f"## `{door}`, `dlsort {command}`\n\n{_table(['Python', 'command'], rows)}"
        )
    rows = [[f"`{o.flag}`", *_row(o)] for o in COMMANDS["bench"]]
    sections.append(f"## `dlsort bench`\n\n{_table(['command'], rows)}")
    local = {o: [d for d in LOCAL if o in DOORS[d]] for d in LOCAL for o in DOORS[d]}
    rows = [
        [f"`{o.name}`", ", ".join(f"`{door}`" for door in doors), *_row(o)]
        for o, doors in local.items()
    ]
    sections.append(f"## Tables and arrays\n\n{_table(['Python', 'of'], rows)}")
    return "\n".join(sections)


def _of_check(option: SortOption) -> str:
    return "DST" if option.name == "src" else f"`{option.flag}`"


def _row(option: SortOption) -> list[str]:
    of_type = ", ".join(filter(None, (option.kind.type, option.kind.range)))
    default = "required" if option.default is REQUIRED else option.otherwise
    if option.default not in (REQUIRED, None):
        default = f"`{option.default!r}`"
    return [of_type, option.unit, default or "none", re.sub("``", "`", option.help)]


def _table(names: list[str], rows: list[list[str]]) -> str:
    head = [*names, "type", "unit", "default", ""]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def settings_file() -> str:
    """Return the file with all options that can be set, each in a comment."""
    parts = []
    for name, option in SETTABLE.items():
        text = f"{option.help} {option.kind.type}"
        text += f", {option.kind.range}." if option.kind.range else "."
        text += f" {env_name(name)}. Default: {option.otherwise or option.default}."
        lines = wrap(text.replace("``", ""), 88, break_on_hyphens=False)
        parts.append("".join(f"  # {line}\n" for line in lines) + f"  # {name}:\n")
    return SETTINGS_HEAD + "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(options_page())
    SETTINGS.write_text(settings_file())
