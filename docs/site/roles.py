"""Docstrings as the site shows them: roles of reStructuredText as code, nothing private."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod):`~?([^`]+)`")


class Roles(griffe.Extension):
    """Rewrites what griffe has read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Show what a role, such as ``:func:`argsort```, names as code."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Leave out parameters for tests."""
        for parameter in [each.name for each in func.parameters if each.name.startswith("_")]:
            del func.parameters[parameter]
