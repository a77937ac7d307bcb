"""``dlsort config``: what each option is where a call does not give it, and where from."""

from __future__ import annotations

import json as jsons
import sys
from typing import Any

import click

from dlsort.cli.failures import Command, Failure
from dlsort.cli.flags_from_options import options_of
from dlsort.terminal.streams import write

__all__ = ["config_command"]


@click.command("config", cls=Command)
@options_of("config")
def config_command(*, json: bool, example: bool) -> None:
    """Show what each option of a sort is where it is not given, and where that is from.

    First of all counts what a call gives; then the environment (DLSORT_MEMORY);
    then Dask's configuration (dlsort: memory: in ~/.config/dask/dlsort.yaml, or
    DASK_DLSORT__MEMORY); then what is built in.

    \b
    dlsort config
    dlsort config --example > ~/.config/dask/dlsort.yaml
    """
    if example:
        from importlib.resources import files

        text = files("dlsort.options").joinpath("dlsort.yaml").read_text().rstrip("\n")
    else:
        rows = _rows()
        text = jsons.dumps(rows, indent=1, default=str) if json else _as_text(rows)
    if (why := write(sys.stdout, text)) is not None:
        raise Failure(f"standard output can't be written: {why}.")


def _rows() -> list[dict[str, Any]]:
    from dlsort.options.settings import SETTABLE, find_settings, origin_in_dask

    found = find_settings(SETTABLE.values())
    rows = []
    for name, option in SETTABLE.items():
        setting = found.get(name)
        if setting is None:
            origin, value = "built in", option.default
        elif setting.origin == "dask":
            origin, value = origin_in_dask(name), setting.value
        else:
            origin, value = setting.name, setting.value
        otherwise = option.otherwise if setting is None and value is None else ""
        rows.append({"option": name, "value": value, "otherwise": otherwise, "from": origin})
    return rows


def _as_text(rows: list[dict[str, Any]]) -> str:
    from dlsort.wording import printable

    lines = []
    for row in rows:
        value = row["value"]
        shown = (row["otherwise"] or "none") if value is None else str(value)
        lines.append(printable(f"{row['option']:<15} {shown}  [{row['from']}]"))
    return "\n".join(lines)
