"""Engines of the reader matrix: which are here, and in which version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil

__all__ = ["PACKAGES", "READERS", "WRITERS", "version", "why_not"]

#: Distributions by the engines' names.
PACKAGES = {
    "Spark": "pyspark",
    "DuckDB": "duckdb",
    "Polars": "polars",
    "DataFusion": "datafusion",
    "pyarrow": "pyarrow",
    "pandas": "pandas",
    "fastparquet": "fastparquet",
}
WRITERS = tuple(PACKAGES)
#: fastparquet reads some encodings wrong, whoever wrote them (docs/readers.md).
READERS = tuple(name for name in PACKAGES if name != "fastparquet")


def why_not(engine: str) -> str | None:
    """Return why an engine can't run here, None if it can."""
    package = PACKAGES[engine]
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed (`make readers` installs all)"
    if engine == "Spark" and shutil.which("java") is None:
        return "Spark needs Java, and there is no java in the path"
    return None


def version(engine: str) -> str:
    """Return an engine's version: its first two numbers, by which its types may change."""
    return ".".join(importlib.metadata.version(PACKAGES[engine]).split(".")[:2])
