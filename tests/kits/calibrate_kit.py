"""A calibration that takes no time: of tiny inputs."""

from __future__ import annotations

import pytest

import dlsort.calibrate


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Have calibrations take tiny inputs, and a home folder of their own, which is given."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("DLSORT_HISTORY", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(dlsort.calibrate, "SCALE", 0.002)
    return home
