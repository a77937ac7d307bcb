"""The regret of automatic plans: beside a grid by hand, and beside fixed rules.

Run it with ``python -m benchmarks.self_tuning.run``; ``--only NAME`` takes some workloads.
Every variant of a workload has its turn in each round, in one warm process, in an order that
changes. What is compared are medians, of wall-clock and of processor seconds.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.page import machine, readme_around, versions, write_readme
from benchmarks.self_tuning.workloads import WORKLOADS, Workload, make
from dlsort.sizes import MIB
from dlsort.tuning import TUNING, PlannerTuning

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "build" / "bench"
README = ROOT / "benchmarks" / "README.md"
SECTION = "tuning"
RESULTS = BENCH / "self_tuning.json"
LEARNING_RUNS = 5
# The rules that stood before there was a planner.
ONE_PART_BYTES, PART_BYTES = 16 * MIB, 128 * MIB
MOST_REREADS = {"move": 2.0, "range": 1.3}

UNTAUGHT = replace(TUNING, planner=PlannerTuning(learns=False))


def fixed_options(src: Path, workload: Workload) -> dict[str, Any]:
    """Return what the fixed rules chose."""
    from dlsort.io.parquet.source import open_source
    from dlsort.strategies.budget import count_parts, plan_budget

    source = open_source(src, TUNING.io)
    pinned = workload.options
    cores = os.cpu_count() or 1
    is_small = source.arrow_bytes <= ONE_PART_BYTES
    threads = 1 if is_small and "workers" not in pinned else cores
    part_bytes = PART_BYTES
    if memory := pinned.get("memory"):
        part_bytes = min(PART_BYTES, plan_budget(memory, 1, threads, TUNING.budget).part_bytes)
    parts = 1 if is_small else count_parts(source, part_bytes, threads, TUNING.budget)
    return {
        "threads": threads,
        "partitions": parts,
        "strategy": _fixed_strategy(src, parts, workload),
    }


def _fixed_strategy(src: Path, n_parts: int, workload: Workload) -> str:
    """Return the strategy that limits of what is read again chose."""
    from types import SimpleNamespace

    from dlsort.io.parquet.source import open_source
    from dlsort.keys import parse_by
    from dlsort.strategies.move import MovePlan, plan_moves
    from dlsort.strategies.range_reads import RangePlan, plan_range_reads

    if n_parts < 2:
        return "exchange"
    source, keys = open_source(src, TUNING.io), parse_by(list(workload.by))
    job: Any = SimpleNamespace(source=source, n_parts=n_parts)
    moves = plan_moves(source, keys, n_parts, TUNING)
    if moves and MovePlan(job, moves).rereads <= MOST_REREADS["move"]:
        return "move"
    reads = plan_range_reads(source, keys, n_parts, TUNING.strategies)
    if reads and RangePlan(job, reads).rereads <= MOST_REREADS["range"]:
        return "range"
    return "exchange"


def grid_of(fixed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return plans by hand, around what the fixed rules chose and far from it."""
    cores, parts = os.cpu_count() or 1, fixed["partitions"]
    points = [
        fixed,
        {**fixed, "threads": cores + 1 - fixed["threads"]},
        {**fixed, "threads": cores, "partitions": max(cores, parts // 2)},
        {**fixed, "threads": cores, "partitions": 2 * max(cores, parts)},
        {**fixed, "threads": cores, "partitions": max(cores, parts), "input_size": "32MiB"},
        {**fixed, "threads": cores, "partitions": max(cores, parts), "strategy": "exchange"},
        {"threads": 1, "partitions": 1, "strategy": "exchange"},
    ]
    return {", ".join(f"{k} {v}" for k, v in point.items()): point for point in points}


def _processor_s() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )


def measure(name: str, rounds: int, pipe: Any) -> None:
    """Give each variant of a workload its turns; send what they took."""
    import dlsort

    workload = next(each for each in WORKLOADS if each.name == name)
    src = make(workload, BENCH / "inputs")
    folder = Path(tempfile.mkdtemp(dir=BENCH, prefix="out-"))
    fixed = fixed_options(src, workload)
    variants = {"first": {}, "taught": {}, "fixed": fixed}
    variants |= {f"grid: {title}": point for title, point in grid_of(fixed).items()}
    if "workers" in workload.options:
        variants = {n: v for n, v in variants.items() if v.get("threads", 2) >= 2}
    turns: dict[str, list[dict[str, float]]] = {each: [] for each in variants}

    def turn(variant: str) -> dict[str, float]:
        tuning = TUNING if variant == "taught" else UNTAUGHT
        os.environ["DLSORT_HISTORY"] = str(folder / "history.sqlite")
        os.sync()
        used, began = _processor_s(), time.perf_counter()
        how = {**workload.options, **variants[variant]}
        report = dlsort.sort_dataset(
            src, folder / "out", by=list(workload.by), overwrite=True, _tuning=tuning, **how
        )
        told = report.predicted
        return {
            "wall_s": time.perf_counter() - began,
            "processor_s": _processor_s() - used,
            "predicted_s": told["seconds"] + report.phases.open_s,
            "balance": report.balance,
            "predicted_balance": told["balance"],
            "peak_bytes": report.peak_memory_bytes,
            "predicted_peak_bytes": told["memory_bytes"],
            "parts": report.output_parts,
            "threads": report.threads,
        }

    turn("first")  # what a process loads once
    for _ in range(LEARNING_RUNS):
        turn("taught")
    order = list(variants)
    for _ in range(rounds):
        random.shuffle(order)
        for variant in order:
            turns[variant].append(turn(variant))
    shutil.rmtree(folder)
    pipe.send(turns)


def summary(turns: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Return the regrets of a workload, and how far predictions were off."""
    found: dict[str, float] = {}
    walls = {v: median(t["wall_s"] for t in of) for v, of in turns.items()}
    # One plan is the best by hand: the quickest. (The one that takes the least of the processor
    # has one thread.)
    quickest = min((v for v in turns if v.startswith("grid")), key=walls.__getitem__)
    for figure in ("wall_s", "processor_s"):
        medians = {v: median(t[figure] for t in of) for v, of in turns.items()}
        best = medians[quickest]
        for variant in ("first", "taught"):
            found[f"{variant} {figure}"] = medians[variant] / best - 1
            found[f"{variant} fixed {figure}"] = medians[variant] / medians["fixed"] - 1
    taught = turns["taught"]
    found["off"] = median(t["predicted_s"] / t["wall_s"] - 1 for t in taught)
    found["balance off"] = max(abs(t["predicted_balance"] - t["balance"]) for t in taught)
    found["peak"] = max(t["peak_bytes"] / t["predicted_peak_bytes"] for t in turns["taught"])
    return found


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Turns of each variant.")
@click.option("--only", multiple=True, help="Workloads whose names have this in them.")
@click.option("--write-readme", "to_readme", is_flag=True, help="Put them into README.md here.")
def main(*, rounds: int, only: Sequence[str], to_readme: bool) -> None:
    """Print the regret of automatic plans, and keep all figures in build/bench."""
    BENCH.mkdir(parents=True, exist_ok=True)
    console = Console(width=150)
    if to_readme:
        readme_around(README, SECTION)
    results: dict[str, Any] = {}
    context = multiprocessing.get_context("spawn")
    for workload in WORKLOADS:
        if only and not any(each in workload.name for each in only):
            continue
        ours, theirs = context.Pipe()
        process = context.Process(target=measure, args=(workload.name, rounds, theirs))
        process.start()
        theirs.close()
        turns = ours.recv()
        process.join()
        results[workload.name] = {"turns": turns, "summary": summary(turns)}
        console.print(row_of(workload.name, results[workload.name]["summary"]), highlight=False)
        RESULTS.write_text(json.dumps(results, indent=1))
    text = page({name: each["summary"] for name, each in results.items()}, rounds)
    console.print(Markdown(text))
    if to_readme:
        write_readme(text, README, SECTION)


def row_of(name: str, told: dict[str, float]) -> str:
    """Return the line of a workload in the table."""
    cells = [
        f"{told[f'{variant} {figure}']:+.0%}"
        for figure in ("wall_s", "processor_s")
        for variant in ("first", "taught", "taught fixed")
    ]
    cells += [f"{told['off']:+.0%}", f"{told['balance off']:.3f}", f"{told['peak']:.2f}"]
    return f"| {name} | {' | '.join(cells)} |"


def page(of: dict[str, dict[str, float]], rounds: int) -> str:
    """Return the table and what follows of it, as Markdown."""
    heads = (
        "wall: first",
        "taught",
        "to fixed",
        "processor: first",
        "taught",
        "to fixed",
        "predicted",
        "balance off",
        "peak over predicted",
    )
    lines = [
        f"On {machine()}; {versions()}. Medians of {rounds}.",
        "",
        f"| workload | {' | '.join(heads)} |",
        "|---" + "|--:" * len(heads) + "|",
        *(row_of(name, told) for name, told in of.items()),
        "",
    ]
    every = list(of.values())
    for figure, words in (("wall_s", "wall-clock"), ("processor_s", "processor time")):
        for variant in ("first", "taught"):
            regrets = [told[f"{variant} {figure}"] for told in every]
            lines.append(
                f"- {variant}, {words}: regret {median(regrets):+.1%} in the median, "
                f"{max(regrets):+.1%} at worst."
            )
        gains = [told[f"taught fixed {figure}"] for told in every]
        n_won = sum(gain <= -0.1 for gain in gains)
        lines.append(
            f"- beside fixed rules, {words}: {max(gains):+.1%} at worst, a tenth less on "
            f"{n_won} of {len(gains)}."
        )
    close = sum(abs(told["off"]) <= 0.25 for told in every)
    lines.append(f"- predicted within 25 % of wall-clock: {close} of {len(every)}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
