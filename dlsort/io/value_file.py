"""Files of values: YAML or JSON in which names have values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlsort.io.storage import read_bytes, without_scheme

__all__ = ["read_values"]


def read_values(path: str) -> dict[Any, Any]:
    """Return the values that a file gives to names.

    Raises
    ------
    ValueError
        What is wrong with it, to be put behind its name.
    """
    import yaml  # of which JSON is a part

    try:
        found = yaml.safe_load(read_bytes(str(without_scheme(path))))
    except FileNotFoundError as error:
        msg = "and there is no such file"
        raise ValueError(msg) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        msg = f"which can't be read ({' '.join(str(error).split())})"
        raise ValueError(msg) from error
    if not isinstance(found, Mapping):
        msg = "which holds no names with values"
        raise ValueError(msg)  # noqa: TRY004 - of what is in it
    return dict(found)
