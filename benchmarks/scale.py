"""How dlsort grows: with rows, partitions, less memory, and uneven keys.

Run it with ``make bench-scale``, or ``make bench-scale ARGS="--sections skew,wide"``. Each
case runs in a process of its own, watched from outside, and its result is checked.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markdown import Markdown

import families
import inputs
import verify
from page import machine, readme_around, versions, write_readme
from watch import watch

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BENCH = ROOT / "build" / "bench"
SECTION = "scale"

GIB = 2**30
ROWS = (1, 3, 10, 30, 100)  # millions
FIT_FROM = 10  # the growth exponent is that from so many on
PARTITIONS = (16, 64, 256, 1024, 2048)
MEMORY_SHARES = (1.0, 0.5, 0.25, 0.1)
SKEW_ROWS, SKEW_PARTS = 4_000_000, 16
WIDE = 2_000

CAVEATS = """\
- *rows*, *partitions*: a uniform int64 key, a float64, an int32 and a 12-byte string;
  *partitions* with 20 million rows. *memory*: TPC-H lineitem by l_shipdate, l_orderkey,
  l_linenumber on 2 worker processes; the limit is the whole job's. *skew*: {rows:,} rows in
  {parts} partitions. *wide*: {wide:,} files of 500 rows.
- Each case runs in a fresh process, whose start and imports are not timed; a cluster's start
  and the proof are. *peak* is the resident memory of all its processes together, *one process*
  that of its largest worker, both seen from outside ten times a second. Row count, checksum
  and order of every result were checked again, outside the time.\
"""


@dataclass
class Case:
    """One sort: what, and how."""

    section: str
    title: str
    src: Path
    by: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """What it gave; bytes of resident memory as seen from outside."""

    section: str
    title: str
    verdict: str
    rows: int = 0
    parts: int = 0
    seconds: float = 0.0
    balance: float = 0.0
    peak_bytes: int = 0
    largest_process_bytes: int = 0
    limit_bytes: int = 0
    spilled_bytes: int = 0
    arrow_bytes: int = 0


def _serve(case: Case, dst: Path, pipe: Connection) -> None:
    import dlsort

    pipe.send(None)
    try:
        report = dlsort.sort_dataset(case.src, dst, by=",".join(case.by), **case.options)
        pipe.send(report.to_dict())
    except Exception as error:  # a case that fails is shown, and the others run
        pipe.send(f"{type(error).__name__}: {str(error)[:200]}")


def run(case: Case, *, check: bool = True) -> Found:
    """Sort, watch and check one case."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="out-") as folder:
        os.sync()
        process = context.Process(target=_serve, args=(case, Path(folder) / "out", theirs))
        process.start()
        theirs.close()
        ours.recv()  # imported
        with watch(process.pid) as peak:
            try:
                answer = ours.recv()
            except EOFError:
                answer = "the process died"
        process.join()
        if isinstance(answer, str):
            return Found(case.section, case.title, answer)
        checked = verify.verdict(case.src, Path(folder) / "out", case.by) if check else "proved"
    inner = {pid: held for pid, held in peak.each.items() if pid != process.pid}
    return Found(
        case.section,
        case.title,
        checked,
        rows=answer["rows"],
        parts=answer["output_parts"],
        seconds=answer["seconds"],
        balance=answer["balance"],
        peak_bytes=peak.total,
        largest_process_bytes=max(inner.values(), default=peak.total),
        limit_bytes=case.options.get("memory", 0),
        spilled_bytes=answer["spilled_bytes"],
        arrow_bytes=answer["arrow_bytes"],
    )


# ---------------------------------------------------------------- cases


def _rows_cases() -> Iterator[Case]:
    for millions in ROWS:
        src = inputs.make("table", millions / 20, BENCH / "inputs")
        yield Case("rows", f"{millions} M rows", src, ("key",))


def _partitions_cases() -> Iterator[Case]:
    src = inputs.make("table", 1.0, BENCH / "inputs")
    for n in PARTITIONS:
        yield Case("partitions", f"{n:,} partitions", src, ("key",), {"partitions": n})


def _memory_cases(scale: float) -> Iterator[Case]:
    src = inputs.make("lineitem", scale, BENCH / "inputs")
    from dlsort.source import open_source

    arrow_bytes = open_source(src).arrow_bytes
    for share in MEMORY_SHARES:
        options = {"memory": int(arrow_bytes * share), "workers": 2, "temp_dir": str(BENCH)}
        title = f"{arrow_bytes * share / GIB:.1f} GiB, {share:g} of the data"
        yield Case("memory", title, src, ("l_shipdate", "l_orderkey", "l_linenumber"), options)


def _skew_cases() -> Iterator[Case]:
    for family in families.FAMILIES:
        src = BENCH / "inputs" / f"family-{family.replace(' ', '-')}"
        by = families.make(family, SKEW_ROWS, src)
        yield Case("skew", family, src, by, {"partitions": SKEW_PARTS})


def _wide_cases() -> Iterator[Case]:
    """Many tiny inputs to as many partitions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    src = BENCH / "inputs" / f"wide-{WIDE}"
    if not src.exists():
        src.mkdir(parents=True)
        for number in range(WIDE):
            rng = np.random.default_rng([families.SEED, number])
            table = pa.table({"key": rng.integers(0, 2**40, 500), "value": rng.random(500)})
            pq.write_table(table, src / f"part-{number:05d}.parquet")
    for options in ({}, {"workers": 2}):
        title = f"{WIDE:,} × {WIDE:,}, {'2 processes' if options else 'embedded'}"
        yield Case("wide", title, src, ("key",), {"partitions": WIDE, **options})


# ---------------------------------------------------------------- page


def exponent(found: list[Found]) -> float:
    """Return the slope of log seconds over log rows, from ten million rows on."""
    by_rows: dict[int, list[float]] = {}
    for case in found:
        if case.rows >= FIT_FROM * 1_000_000:
            by_rows.setdefault(case.rows, []).append(case.seconds)
    rows = np.log(list(by_rows))
    seconds = np.log([statistics.median(times) for times in by_rows.values()])
    return float(np.polyfit(rows, seconds, 1)[0]) if len(by_rows) > 1 else float("nan")


def page(results: dict[str, list[list[Found]]], where: str) -> str:
    """Return all figures as Markdown; of several rounds their medians and worst."""
    lines = [f"On {where}.", ""]
    head = "| {} | seconds | M rows/s | peak, GiB | one process | limit | spilled | balance | |"
    for section, cases in results.items():
        lines += [head.format(section), "|---|--:|--:|--:|--:|--:|--:|--:|---|"]
        for rounds in cases:
            first = rounds[0]
            seconds = statistics.median(case.seconds for case in rounds)
            worst = next((c.verdict for c in rounds if c.verdict != "ok"), "ok")
            spill = max(c.spilled_bytes for c in rounds)
            share = f" ({spill / first.arrow_bytes:.2f} × Arrow)" if spill else ""
            cells = [
                first.title,
                f"{seconds:.2f}",
                f"{first.rows / max(seconds, 1e-9) / 1e6:.1f}",
                f"{max(c.peak_bytes for c in rounds) / GIB:.2f}",
                f"{max(c.largest_process_bytes for c in rounds) / GIB:.2f}",
                f"{first.limit_bytes / GIB:.1f}" if first.limit_bytes else "–",
                f"{spill / GIB:.2f}{share}",
                f"{max(c.balance for c in rounds):.3f}",
                worst,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        if section == "rows":
            every = [case for rounds in cases for case in rounds]
            lines += ["", f"Growth exponent from {FIT_FROM} M rows on: {exponent(every):.3f}."]
        lines.append("")
    return "\n".join([*lines, CAVEATS.format(rows=SKEW_ROWS, parts=SKEW_PARTS, wide=WIDE)])


@click.command()
@click.option("--sections", default="rows,partitions,memory,skew,wide", show_default=True)
@click.option("--repeat", default=1, show_default=True, help="Rounds of each case.")
@click.option("--memory-scale", default=10.0, show_default=True, help="TPC-H scale factor.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put the tables in README.md.")
def main(*, sections: str, repeat: int, memory_scale: float, to_readme: bool) -> None:
    """Sort every case and print time, growth exponent, memory, spill and balance."""
    makers = {
        "rows": _rows_cases,
        "partitions": _partitions_cases,
        "memory": lambda: _memory_cases(memory_scale),
        "skew": _skew_cases,
        "wide": _wide_cases,
    }
    wanted = sections.split(",")
    if unknown := [name for name in wanted if name not in makers]:
        msg = f"unknown section {', '.join(unknown)}: there are {', '.join(makers)}."
        raise click.BadParameter(msg)
    console = Console(width=150)
    if to_readme:
        readme_around(README, SECTION)
    results: dict[str, list[list[Found]]] = {}
    for section in wanted:
        for case in makers[section]():
            rounds = [run(case) for _ in range(repeat)]
            results.setdefault(section, []).append(rounds)
            for one in rounds:
                console.print(
                    f"{section} · {one.title}: {one.seconds:.2f} s, balance {one.balance:.3f}, "
                    f"peak {one.peak_bytes / GIB:.2f} GiB, one process "
                    f"{one.largest_process_bytes / GIB:.2f}, spilled "
                    f"{one.spilled_bytes / GIB:.2f}, {one.verdict}",
                    highlight=False,
                )
    text = page(results, f"{machine()}; {versions()}")
    console.print(Markdown(text))
    found = {s: [[asdict(one) for one in c] for c in cases] for s, cases in results.items()}
    (BENCH / "scale.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    if to_readme:
        write_readme(text, README, SECTION)


if __name__ == "__main__":
    main()
