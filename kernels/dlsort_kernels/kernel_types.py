"""The types of kernels' arguments and results, by which their machine code is chosen.

``reads(uint64)`` takes any C-contiguous array, read-only ones too (Arrow buffers are), wherever
it lies (what comes over an encrypted connection lies anywhere), and ``writes(uint64)`` a
writable one. A number called with arguments is a signature: ``int64(reads(uint64), uint64)``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Array",
    "Number",
    "Result",
    "Signature",
    "UniTuple",
    "boolean",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "reads",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "void",
    "writes",
]


@dataclass(frozen=True)
class Result:
    """What a kernel returns: so many numbers of a kind, as a tuple if they are not one."""

    number: Number | None
    count: int

    def __call__(self, *arguments: Number | Array) -> Signature:
        """Return the signature of a kernel with this result."""
        return Signature(self, arguments)


@dataclass(frozen=True)
class Number:
    """A number.

    Parameters
    ----------
    name : str
        As the compiler names it.
    kind : str
        NumPy's letter for it.
    size : int
        Bytes.
    """

    name: str
    kind: str
    size: int

    def __call__(self, *arguments: Number | Array) -> Signature:
        """Return the signature of a kernel that returns such a number."""
        return Signature(Result(self, 1), arguments)


@dataclass(frozen=True)
class Array:
    """A C-contiguous array."""

    number: Number
    ndim: int
    written: bool


@dataclass(frozen=True)
class Signature:
    """What a kernel takes and returns."""

    result: Result
    arguments: tuple[Number | Array, ...]


void = Result(None, 0)
boolean = Number("boolean", "b", 1)
int8, int16, int32, int64 = (Number(f"int{8 * n}", "i", n) for n in (1, 2, 4, 8))
uint8, uint16, uint32, uint64 = (Number(f"uint{8 * n}", "u", n) for n in (1, 2, 4, 8))
float32, float64 = (Number(f"float{8 * n}", "f", n) for n in (4, 8))


def UniTuple(number: Number, count: int) -> Result:
    """Return the type of a tuple of numbers of one kind."""
    return Result(number, count)


def reads(number: Number, ndim: int = 1) -> Array:
    """Return the type of an array argument that the kernel only reads."""
    return Array(number, ndim, written=False)


def writes(number: Number, ndim: int = 1) -> Array:
    """Return the type of an array argument that the kernel writes into."""
    return Array(number, ndim, written=True)
