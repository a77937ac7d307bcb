"""The tunables: frozen, reasoned, small where they travel."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re

import pytest
from dask.base import tokenize

from dlsort import tuning
from dlsort.tuning import TUNING, OrderTuning, Tuning
from dlsort_cluster.tuning import MEMORY

PACKAGES = [getattr(TUNING, field.name) for field in dataclasses.fields(TUNING)]


@pytest.mark.parametrize("values", [TUNING, TUNING.io.costs, *PACKAGES, MEMORY], ids=type)
def test_they_cannot_be_changed_by_accident(values):
    for field in dataclasses.fields(values):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(values, field.name, 2)


def test_each_has_its_reason():
    """On its line, or above: for itself, or for a few that follow one another."""
    lines = inspect.getsource(tuning).split("class Tuning(")[0].split("\n")
    values = [i for i, line in enumerate(lines) if re.match(r"    \w+: .* = ", line)]
    assert len(values) > 60
    for i in values:
        above = next(
            j for j in range(i - 1, 0, -1) if not re.match(r"    \w+: [^#]+$", lines[j])
        )
        assert "# " in lines[i] or "# " in lines[above] or "MEMORY" in lines[i], lines[i]


def test_they_show_what_is_not_as_usual():
    assert repr(Tuning()) == "Tuning()"
    small = Tuning(order=OrderTuning(band_rows=5))
    assert repr(small) == "Tuning(order=OrderTuning(band_rows=5))"
    assert len({tokenize(TUNING), tokenize(small), tokenize(TUNING.order)}) == 3
    assert tokenize(Tuning()) == tokenize(TUNING)


def test_they_travel_whole_and_small():
    small = Tuning(order=OrderTuning(band_rows=5))
    assert pickle.loads(pickle.dumps(small)) == small
    assert len(pickle.dumps(small)) < 1_500


def test_datasets_and_frames_share_out_memory_alike():
    assert TUNING.budget.base_bytes == MEMORY.base_bytes
    assert TUNING.budget.store_share == MEMORY.store_share
