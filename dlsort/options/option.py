"""An option: its name, what values it takes, its default and its help."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import Parameter
from typing import Any

from dlsort.options.arguments import Kind

__all__ = ["REQUIRED", "SortOption"]

REQUIRED: Any = Parameter.empty


@dataclass(frozen=True)
class SortOption:
    """An option.

    Parameters
    ----------
    name : str
        As in Python; the command's flag follows from it.
    kind : Kind
        What values it takes.
    help : str
        What it does. Names of other options stand in double backquotes.
    default : object
        ``REQUIRED`` if there is none.
    otherwise : str
        What is done where the default is None.
    unit : str
        What a number counts.
    flag_help : str
        Of what is on by default: what the command's flag does, which turns it off.
    flag_more : str
        What else the command's help says.
    metavar : str
        In the place of the kind's.
    short : str
        A second flag, of one letter.
    """

    name: str
    kind: Kind
    help: str
    default: Any = None
    otherwise: str = ""
    unit: str = ""
    flag_help: str = ""
    flag_more: str = ""
    metavar: str = ""
    short: str = ""

    @property
    def flag(self) -> str:
        """The command's spelling; ``--no-…`` of what is on by default."""
        return f"--{'no-' if self.flag_help else ''}{self.name.replace('_', '-')}"

    def read(self, value: Any) -> Any:
        """Return a value in its normal form; None where that is the default.

        Raises
        ------
        BadKeyError, BadOptionError
            If it is not what it should be.
        """
        is_default = value is None and self.default is None
        return None if is_default else self.kind.read(value, self.name)
