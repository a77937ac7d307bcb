"""Expressions that a scheduler in this process may read while the client drops them."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["Singleton"]


class Singleton:
    """An expression of which there is one a name, as of all that Dask has.

    Dask looks whether it has one of the name, and then for it, and holds it weakly. The thread
    of a scheduler may look while the client's drops the last one, and the graph is refused
    (Dask 2026.8: ``KeyError`` in ``SingletonExpr.__new__``). Then one is made.
    """

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Return the expression of this name."""
        make: Any = super().__new__
        try:
            return make(cls, *args, **kwargs)
        except KeyError:
            return make(cls, *args, **kwargs)
