"""Stories, and how one is told: on a cluster in good health, to its end, with nothing left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chaos.scene import Scene, Stage, scene_on

__all__ = ["ENGINES", "STORIES", "Story", "play", "story"]

ENGINES = ("processes", "docker")


@dataclass(frozen=True)
class Story:
    """One case.

    Attributes
    ----------
    name : str
        Its name, with dashes.
    tell : callable
        What happens.
    quick : bool
        It takes seconds, so that ``make test`` can have it.
    engines : tuple of str
        Where it can be told.
    needs : callable or None
        Returns whether it can be told here.
    """

    name: str
    tell: Callable[[Scene], None]
    quick: bool
    engines: tuple[str, ...]
    needs: Callable[[], bool] | None


STORIES: dict[str, Story] = {}


def story(
    *,
    quick: bool = True,
    engines: tuple[str, ...] = ENGINES,
    needs: Callable[[], bool] | None = None,
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Have a function be a story of its name."""

    def add(tell: Callable[[Scene], None]) -> Callable[[Scene], None]:
        name = tell.__name__.replace("_", "-")
        STORIES[name] = Story(name, tell, quick, engines, needs)
        return tell

    return add


def play(told: Story, stage: Stage) -> None:
    """Tell a story, and look at what it leaves."""
    with scene_on(stage) as scene:
        told.tell(scene)
        scene.expect_nothing_left()
