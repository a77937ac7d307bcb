"""What is to be compiled: every kernel, and every function that kernels call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dlsort_kernels.kernel_types import Signature

__all__ = ["INLINED", "KERNELS", "Declared", "inlined"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Declared:
    """A kernel.

    Parameters
    ----------
    function : callable
        What it does, in Python that the compiler knows.
    signatures : tuple of Signature
        What it can be called with.
    """

    function: Callable[..., Any]
    signatures: tuple[Signature, ...]

    @property
    def module(self) -> str:
        """The module that it is in."""
        return self.function.__module__

    @property
    def package(self) -> str:
        """The package of that module."""
        return self.module.partition(".")[0]

    @property
    def name(self) -> str:
        """What its module calls it."""
        return self.function.__name__

    @property
    def symbol(self) -> str:
        """What it is called in machine code."""
        return f"{self.module}.{self.name}"


# Those of this process, in the order in which they were declared.
KERNELS: list[Declared] = []
INLINED: list[Callable[..., Any]] = []


def inlined(function: F) -> F:
    """Make a small function callable from kernels, compiled into each of its callers."""
    INLINED.append(function)
    return function
