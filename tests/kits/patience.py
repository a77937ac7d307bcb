"""How long a test waits for what has to come: against hanging for good, no measure of speed.

Each wait ends with what it waits for, so a machine that is busy with other things only makes
the tests slow. pytest's faulthandler_timeout in pyproject.toml is several times as long.
"""

from __future__ import annotations

__all__ = ["PATIENCE_S"]

PATIENCE_S = 300.0
