"""Run Dask's and pandas' own tests of sorting through dlsort.

They are the files that Dask's and pandas' wheels bring, as they are; what
stands between them and dlsort is in ``plugin.py`` and ``pandas_calls.py``, and
what is known to differ in ``differences.py``.

    python tests/kits/upstream/run.py [options of pytest]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from upstream import plugin  # noqa: E402

CACHE = HERE.parents[2] / "build" / "pytest-upstream"

if __name__ == "__main__":
    options = ["-c", str(HERE / "upstream.toml"), f"--rootdir={plugin.SITE}", "-o"]
    options += [f"cache_dir={CACHE}", *map(str, plugin.FILES)]
    sys.exit(pytest.main([*options, *sys.argv[1:]], plugins=[plugin]))
