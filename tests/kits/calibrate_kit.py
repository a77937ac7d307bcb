"""A calibration that takes no time: tiny inputs, and a planner that knows a step or two."""

from __future__ import annotations

import pytest

import dlsort.calibrate

PRIOR = {
    "read": {"stored": 2e-9, "chunks": 4e-5},
    "sort": {"rows": 1e-7},
    "spill": {"bytes": 1e-9},
}


def work_of(source, keys, n_parts, n_threads, plan_name):
    """Return a job's work as the planner does."""
    assert [key.column for key in keys] == ["k"]
    assert n_threads >= 1
    assert plan_name in ("exchange", "move")
    n_chunks = len(source.row_groups) * len(source.schema)
    return {
        "read": {"stored": float(source.stored_bytes), "chunks": float(n_chunks)},
        "sort": {"rows": float(source.n_rows)},
    }


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Have calibrations take tiny inputs, and a home folder of their own, which is given."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("DLSORT_HISTORY", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(dlsort.calibrate, "SCALE", 0.002)
    found = {"BUILT_IN": PRIOR, "work_of": work_of}
    monkeypatch.setattr(dlsort.calibrate, "_of_planner", lambda _, name: found[name])
    return home
