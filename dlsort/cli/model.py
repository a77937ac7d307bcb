"""``dlsort model``: what a sorted dataset's footers hold for the next sort by its key."""

from __future__ import annotations

import json
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from dlsort.cli.completion import path_names
from dlsort.cli.failures import Command, tell
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.stop import leave, on_signal
from dlsort.errors import BadKeyError
from dlsort.terminal.streams import write
from dlsort.wording import count, printable

if TYPE_CHECKING:
    import pyarrow as pa

    from dlsort.model.known_model import KnownModel

__all__ = ["model_command"]

SHARES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
MOST_HEAVY = 5


@click.command("model", cls=Command)
@click.argument("dst", shell_complete=path_names)
@options_of("model")
def model_command(dst: str, *, by: Any, json: bool) -> None:
    r"""Show the model in the footers of DST, a dataset that dlsort has sorted.

    The next sort by the same key into DST (--overwrite), or with --model DST, cuts its
    parts by these keys, where a small sample shows that they still hold: with a sample
    of its own only where there are new files.

    \b
    dlsort model sorted/
    dlsort model sorted/ --json
    """
    with on_signal(leave):
        told = _told(dst, by)
        why = write(sys.stdout, _as_json(told) if json else _as_text(told))
    if why is not None:
        tell(f"warning: standard output can't be written: {why}.")


def _told(dst: str, by: Any) -> dict[str, Any]:
    import pyarrow as pa

    from dlsort.arrow.paths import field_at
    from dlsort.io.parquet.source import open_source
    from dlsort.io.paths import read_places
    from dlsort.io.schema.wanted import read_schema
    from dlsort.keys import format_by, parse_by
    from dlsort.publish.known_model import model_of_parts
    from dlsort.publish.known_parts import manifests_of
    from dlsort.tuning import TUNING

    place = read_places(dst, "dataset (DST)")
    source = open_source(place, TUNING.io, read_schema("union"), (), {})
    manifests = manifests_of(source)
    known = None
    if manifests:
        keys = manifests[0].by if by is None else parse_by(by, source.schema.names)
        schema = pa.schema([field_at(source.schema, key.column) for key in keys])
        known = model_of_parts(manifests, schema, keys)
    if not manifests or known is None:
        msg = (
            f"the footers of {dst} hold no model of this key: dlsort has not sorted it so, its "
            "parts are of several sorts, or the key is nested, or has an order of its own."
        )
        raise BadKeyError(msg)
    return {
        "dataset": dst,
        "by": format_by(keys),
        "parts": len(manifests),
        "rows": known.n_rows,
        "known_quantiles": known.keys.num_rows,
        "source_files": len(known.files),
        **_keys(known),
        "reused_for": f"sorts by {format_by(keys)} into {dst}, or with --model {dst}",
    }


def _keys(known: KnownModel) -> dict[str, Any]:
    """Return some of the quantiles, and the keys that several known rows share."""
    n = known.keys.num_rows
    shares = SHARES if n else ()
    quantiles = [[share, _shown(known.keys, round(share * (n - 1)))] for share in shares]
    heavy: list[tuple[float, str]] = []
    for _, run in groupby(range(n), lambda i: tuple(c[i] for c in known.keys.columns)):
        rows = list(run)
        if len(rows) > 2 and not known.cut[rows[0]]:
            share = float(known.weight[rows].sum()) / known.n_rows
            heavy.append((share, _shown(known.keys, rows[0])))
    heavy.sort(key=lambda one: -one[0])
    return {"quantiles": quantiles, "heavy_keys": heavy[:MOST_HEAVY]}


def _shown(table: pa.Table, row: int) -> str:
    from dlsort.arrow.shown import shown_value

    return ", ".join(shown_value(column.slice(row, 1)) for column in table.columns)


def _as_json(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=1)


def _as_text(told: dict[str, Any]) -> str:
    files = count(told["source_files"], "file")
    origin = (
        f"of {files} of a source" if told["source_files"] else "of a source it does not name"
    )
    parts = count(told["parts"], "part")
    lines = [
        f"model      keys by {told['by']}, in {parts} of {told['dataset']}",
        f"learned    {told['known_quantiles']:,} of {count(told['rows'], 'row')}, {origin}",
        *(f"quantile   {share:<5g} {key}" for share, key in told["quantiles"]),
        *(f"heavy      {share:<5.1%} of the rows: {key}" for share, key in told["heavy_keys"]),
        f"for        {told['reused_for']}",
    ]
    return "\n".join(map(printable, lines))
