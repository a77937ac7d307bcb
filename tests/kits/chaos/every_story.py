"""Every story, by name; importing this module has them all told of."""

from __future__ import annotations

from chaos import disks, lost_clients, lost_workers, sources, versions
from chaos.story import STORIES, Story, play

__all__ = ["STORIES", "Story", "disks", "lost_clients", "lost_workers", "play", "sources"]
__all__ += ["versions"]
