"""``dlsort stats``: what a dataset's footers tell of its keys."""

from __future__ import annotations

import csv
import json
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from dlsort.cli.completion import path_names
from dlsort.cli.failures import Command, tell
from dlsort.cli.flags_from_options import options_of
from dlsort.cli.stop import leave, on_signal
from dlsort.errors import BadOptionError
from dlsort.terminal.streams import write
from dlsort.wording import count, printable

if TYPE_CHECKING:
    from dlsort.cdf import Distribution, Estimate, Histogram

__all__ = ["stats_command"]

QUARTILES = 4


@click.command("stats", cls=Command)
@click.argument("src", shell_complete=path_names)
@options_of("stats")
def stats_command(src: str, **options: Any) -> None:
    """Tell what is known of the keys of the Parquet dataset SRC from its footers alone.

    Without options: rows, files, the first and the last key, and the quartiles. Each
    number has bounds that hold; --exact reads the row groups that it depends on.

    \b
    dlsort stats sorted/
    dlsort stats sorted/ --below 2024-02-01
    dlsort stats sorted/ --between 2024-01-01 2024-01-31 --exact
    dlsort stats events/ --by price --histogram 10 --json

    Times of day and dates are written as 2024-01-31T12:00, with their offset where the
    column has a time zone; durations as whole numbers of their unit.
    """
    with on_signal(leave):
        from dlsort.cdf import distribution

        opening = {name: options.pop(name) for name in ("schema", "ignore", "hive_types")}
        is_json = options.pop("json")
        found = distribution(src, options.pop("by"), **opening)
        answers = _answers(found, **options)
        text = _as_json(found, answers) if is_json else _as_text(found, answers, src)
        why = write(sys.stdout, text)
    if why is not None:
        tell(f"warning: standard output can't be written: {why}.")


def _answers(
    found: Distribution,
    *,
    below: str | None,
    between: tuple[str, str] | None,
    quantile: float | None,
    quantiles: int | None,
    histogram: int | None,
    exact: bool,
) -> dict[str, Any]:
    """Return an answer for each question, by what to call it."""
    answers: dict[str, Any] = {}
    if below is not None:
        value = _value(found, below)
        answers["below"] = found.rank(value, exact=exact)
        answers["share below"] = found.fraction_below(value, exact=exact)
    if between is not None:
        values = [_value(found, text) for text in between]
        answers["between"] = found.count_between(*values, exact=exact)
    if quantile is not None:
        answers[f"quantile {quantile:g}"] = found.quantile(quantile, exact=exact)
    if histogram is not None:
        answers["histogram"] = found.histogram(histogram, exact=exact)
    n = quantiles if answers or quantiles is not None else QUARTILES
    if n is not None and (found.n_rows or quantiles is not None):
        for i in range(n + 1):
            answers[f"quantile {i / n:.4g}"] = found.quantile(i / n, exact=exact)
    return answers


def _value(found: Distribution, text: str) -> Any:
    """Return the value that a text says: several columns' by comma, as in a line of CSV."""
    from dlsort.arrow.given import array_of_text

    fields = [text] if len(found.by) == 1 else next(csv.reader([text]), [""])
    if len(fields) > len(found.by):
        msg = (
            f"{text!r} has {len(fields)} values; the key has {count(len(found.by), 'column')}."
        )
        raise BadOptionError(msg)
    kinds = zip(fields, found.kinds, strict=False)
    values = [
        array_of_text(each, kind.type, f"column {kind.name!r}")[0] for each, kind in kinds
    ]
    return values[0] if len(found.by) == 1 else tuple(values)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value)) if value else "?"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "null" if value is None else _text(value)


def _text(value: Any) -> str:
    """Return a value as text, also one that Python's own types don't hold."""
    import pyarrow as pa

    from dlsort.arrow.shown import shown_value

    is_arrows = isinstance(value, pa.Scalar)
    return shown_value(pa.chunked_array([pa.repeat(value, 1)])) if is_arrows else str(value)


def _told(answer: Estimate) -> str:
    value, low, high = map(_shown, answer)
    return value if low == high else f"{value}  ({low} to {high})"


def _as_text(found: Distribution, answers: dict[str, Any], src: str) -> str:
    from dlsort.keys import format_by

    files = count(found.n_parts, "file")
    lines = [f"{count(found.n_rows, 'row')} by {format_by(found.by)}, in {files} of {src}"]
    if found.told_by == "statistics":
        lines.append(
            "bounds by the statistics of row groups: dlsort did not sort it by this key"
        )
    for name, answer in answers.items():
        if name == "histogram":
            lines += _bins(answer)
        else:
            lines.append(f"{name:<15}  {_told(answer)}")
    return "\n".join(map(printable, lines))


def _bins(found: Histogram) -> list[str]:
    edges = list(map(_shown, found.edges))
    names = ["before", *(f"{a} … {b}" for a, b in pairwise(edges)), "after"]
    width = max(map(len, names))
    counts = (found.before, *found.counts, found.after)
    return [f"{name:<{width}}  {_told(n)}" for name, n in zip(names, counts, strict=True)]


def _as_json(found: Distribution, answers: dict[str, Any]) -> str:
    from dlsort.keys import format_by

    content: dict[str, Any] = {
        "by": format_by(found.by),
        "rows": found.n_rows,
        "parts": found.n_parts,
        "told_by": found.told_by,
    }
    for name, answer in answers.items():
        if name == "histogram":
            content[name] = {
                "edges": answer.edges,
                "counts": [each._asdict() for each in answer.counts],
                "before": answer.before._asdict(),
                "after": answer.after._asdict(),
            }
        else:
            content[name.replace(" ", "_")] = answer._asdict()
    return json.dumps(content, default=_text, indent=1)
