"""Tell every chaos story some times over, and print the tally.

    python tests/kits/chaos/run.py --runs 20
    python tests/kits/chaos/run.py --engine docker --stories client-killed,slow-worker

Exit code 1 if a story did not end as it has to.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

# The tests' folder in place of this one: the modules in it have plain names.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from chaos.cluster import Cluster  # noqa: E402
from chaos.every_story import STORIES, Story, play  # noqa: E402
from chaos.scene import LeftBehindError, Stage, WrongRowsError  # noqa: E402
from chaos.story import ENGINES  # noqa: E402


@dataclass
class Tally:
    """How stories ended."""

    runs: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_order: int = 0
    left_behind: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, story: Story, error: BaseException | None, seconds: float) -> None:
        """Count one run."""
        self.runs += 1
        self.seconds += seconds
        if error is None:
            return
        self.failed += 1
        if isinstance(error, WrongRowsError):
            self.lost += error.tally.lost
            self.doubled += error.tally.doubled
            self.wrong_order += abs(error.tally.wrong_order)
        self.left_behind += isinstance(error, LeftBehindError)
        text = "".join(traceback.format_exception(error))
        self.failures.append(f"{story.name}: {text}")


def _engine(name: str) -> Callable[[], Cluster]:
    if name == "docker":
        from chaos.containers import ContainerCluster
        from docker_kit import engine_answers

        if not engine_answers():
            msg = "no Docker engine answers here; start one, or leave --engine docker out."
            raise click.ClickException(msg)
        return ContainerCluster
    from chaos.processes import ProcessCluster

    return ProcessCluster


def _choose(names: str | None, engine: str, *, quick: bool) -> list[Story]:
    unknown = set(names.split(",")) - set(STORIES) if names else set()
    if unknown:
        msg = f"no such story: {', '.join(sorted(unknown))}; there are {', '.join(STORIES)}."
        raise click.ClickException(msg)
    chosen = [STORIES[name] for name in names.split(",")] if names else list(STORIES.values())
    return [
        story
        for story in chosen
        if engine in story.engines
        and (story.needs is None or story.needs())
        and (story.quick or not quick)
    ]


@click.command()
@click.option("--runs", default=1, show_default=True, help="How often each is told.")
@click.option("--engine", type=click.Choice(ENGINES), default="processes", show_default=True)
@click.option("--stories", metavar="A,B", help="These only.")
@click.option("--quick", is_flag=True, help="Not those whose trouble lasts for long.")
def main(*, runs: int, engine: str, stories: str | None, quick: bool) -> None:
    """Tell chaos stories, and print how many there were, and what went wrong."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # A cluster that is not ended goes on without us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = _engine(engine)
    chosen = _choose(stories, engine, quick=quick)
    console = Console(width=110)
    tallies = {story.name: Tally() for story in chosen}
    for run in range(runs):
        began = time.monotonic()
        n_failed = _tell_all(start, chosen, tallies, console)
        seconds = time.monotonic() - began
        console.print(f"run {run + 1} of {runs}: {n_failed} failed, {seconds:.0f} s")
    _print(tallies, engine, console)
    sys.exit(any(tally.failed for tally in tallies.values()))


def _tell_all(
    start: Callable[[], Cluster],
    stories: Sequence[Story],
    tallies: dict[str, Tally],
    console: Console,
) -> int:
    """Tell each once, on one cluster as long as it survives them; return how many failed."""
    n_failed = 0
    stage: Stage | None = None
    try:
        for story in stories:
            stage = stage or Stage(start())
            began = time.monotonic()
            failure: BaseException | None = None
            try:
                play(story, stage)
            except Exception as error:
                failure = error
            tallies[story.name].add(story, failure, time.monotonic() - began)
            if failure is not None:
                n_failed += 1
                console.print(tallies[story.name].failures[-1], markup=False, style="red")
                console.print(stage.cluster.log(), markup=False, style="dim")
                stage.cluster.close()
                stage = None
    finally:
        if stage is not None:
            stage.cluster.close()
    return n_failed


def _print(tallies: dict[str, Tally], engine: str, console: Console) -> None:
    table = Table(title=f"chaos on {engine}")
    table.add_column("story")
    columns = ("runs", "failed", "lost", "doubled", "wrong_order", "left_behind")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    table.add_column("s each", justify="right")
    for name, tally in tallies.items():
        counts = [str(getattr(tally, column)) for column in columns]
        table.add_row(name, *counts, f"{tally.seconds / max(1, tally.runs):.1f}")
    console.print(table)
    of_all = {name: sum(getattr(t, name) for t in tallies.values()) for name in columns}
    console.print(
        f"cases {len(tallies)}, runs {of_all['runs']}, failed {of_all['failed']}, rows lost "
        f"{of_all['lost']}, rows doubled {of_all['doubled']}, wrong order "
        f"{of_all['wrong_order']}, left behind {of_all['left_behind']}"
    )


if __name__ == "__main__":
    main()
