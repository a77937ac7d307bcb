"""Options page: ``docs/options.md``, of the rows of :mod:`dlsort.options.sort_options`.

make options
"""

from __future__ import annotations

import re
from pathlib import Path

from dlsort.options.doors import COMMANDS, DOORS
from dlsort.options.option import REQUIRED, SortOption

PAGE = Path(__file__).parents[2] / "docs" / "options.md"

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
    ):
        if not command:
            rows = [[f"`{o.name}`", _of_check(o), *_row(o)] for o in DOORS[door]]
            table = _table("Python", "command", rows)
            sections.append(f"## `{door}`, `dlsort check --overlap`\n\n{table}")
            continue
        options = [*DOORS[door], *(o for o in COMMANDS[command] if o not in DOORS[door])]
        flags = [*places, *(f"`{o.flag}`" for o in options[len(places) :])]
        rows = [
            [f"`{o.name}`" if o in DOORS[door] else "", flag, *_row(o)]
            for o, flag in zip(options, flags, strict=True)
        ]
        sections.append(
            f"## `{door}`, `dlsort {command}`\n\n{_table('Python', 'command', rows)}"
        )
    local = {o: [d for d in LOCAL if o in DOORS[d]] for d in LOCAL for o in DOORS[d]}
    rows = [
        [f"`{o.name}`", ", ".join(f"`{door}`" for door in doors), *_row(o)]
        for o, doors in local.items()
    ]
    sections.append(f"## Tables and arrays\n\n{_table('Python', 'of', rows)}")
    return "\n".join(sections)


def _of_check(option: SortOption) -> str:
    return "DST" if option.name == "src" else f"`{option.flag}`"


def _row(option: SortOption) -> list[str]:
    of_type = ", ".join(filter(None, (option.kind.type, option.kind.range)))
    default = "required" if option.default is REQUIRED else option.otherwise
    if option.default not in (REQUIRED, None):
        default = f"`{option.default!r}`"
    return [of_type, option.unit, default or "none", re.sub("``", "`", option.help)]


def _table(first: str, second: str, rows: list[list[str]]) -> str:
    head = [first, second, "type", "unit", "default", ""]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(options_page())
