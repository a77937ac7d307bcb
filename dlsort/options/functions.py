"""Functions that are named, so that every process can import them itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from dlsort.errors import BadOptionError, shown

__all__ = ["find_function", "read_function"]


def find_function(name: str) -> Callable[..., Any]:
    """Return the function that is named ``"module:function"``.

    Raises
    ------
    ImportError
        If there is none; and whatever its module raises.

    Examples
    --------
    >>> find_function("os.path:join").__name__
    'join'
    """
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        msg = f"module {module} has no function {path}"
        raise ImportError(msg)  # noqa: TRY004
    return found


def read_function(value: Any, name: str) -> str:
    """Return the name of a function that can be imported, given it or its name.

    Raises
    ------
    BadOptionError
        If it is none.
    """
    text = value
    if callable(value):
        text = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
    module, colon, path = text.partition(":") if isinstance(text, str) else ("", "", "")
    why = ""
    if module.strip() and not module.startswith(".") and colon and path.strip():
        try:
            found = find_function(text)
        except Exception as error:
            why = f" ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        else:
            if found is value or not callable(value):
                return str(text)
    msg = (
        f"{name} is {shown(value)}{why}; expected a function that can be imported, or its name "
        "as module:function."
    )
    raise BadOptionError(msg)
