"""Patches: what is made anew, and how many parts it makes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dlsort.upkeep.patches import Patch, n_cuts, patches_of_append, patches_of_compact

USUAL = 100
rows_of_parts = st.lists(st.integers(0, 350), min_size=1, max_size=12)


def appended(rows: list[int], before: int, within: list[int], after: list[int]) -> list[Patch]:
    return patches_of_append(rows, before, within, after, USUAL)


def test_what_falls_into_a_part_is_merged_with_it():
    assert appended([100, 100], 0, [0, 3], [0, 0]) == [Patch((1,), 0, 0, 3)]


def test_much_between_parts_makes_its_own():
    assert appended([100, 100], 70, [0, 0], [60, 90]) == [
        Patch((), -1, 0, 70),
        Patch((), 0, 70, 130),
        Patch((), 1, 130, 220),
    ]


def test_a_little_beside_a_part_that_is_written_anyway_goes_there():
    assert appended([100, 100], 1, [5, 0], [2, 0]) == [Patch((0,), -1, 0, 8)]


def test_a_small_part_takes_what_comes_beside_it():
    assert appended([100, 20], 0, [0, 0], [0, 90]) == [Patch((1,), 0, 0, 90)]
    assert appended([20, 100], 0, [0, 0], [4, 0]) == [Patch((0,), -1, 0, 4)]
    assert appended([100, 20], 0, [0, 0], [4, 0]) == [Patch((1,), 0, 0, 4)]


@given(st.data(), rows_of_parts)
def test_each_row_of_a_batch_is_in_one_unit_in_order(data, rows):
    counts = st.lists(st.integers(0, 150), min_size=len(rows), max_size=len(rows))
    within = [n if rows[i] else 0 for i, n in enumerate(data.draw(counts))]
    before, after = data.draw(st.integers(0, 150)), data.draw(counts)
    patches = appended(rows, before, within, after)
    at, part = 0, -1
    for patch in patches:
        assert patch.begin == at
        assert patch.end > patch.begin
        assert patch.after >= part
        at, part = patch.end, max(patch.after, *patch.parts, -1)
    assert at == before + sum(within) + sum(after)
    touched = {part for patch in patches for part in patch.parts}
    assert {part for part, n in enumerate(within) if n} <= touched


@given(rows_of_parts)
def test_a_compaction_leaves_no_run_of_small_parts_and_no_large_one(rows):
    patches = patches_of_compact(rows, USUAL)
    left, new = [], 0
    of_patch = {part: patch for patch in patches for part in patch.parts}
    for part, n in enumerate(rows):
        patch = of_patch.get(part)
        if patch is None:
            left.append(n)
        elif patch.parts[0] == part:
            whole, cuts = patch.n_rows(rows), n_cuts(patch, rows, USUAL, 10**9)
            assert len(patch.parts) > 1 or cuts > 1
            left += [whole // cuts] * cuts
            new += whole
    assert new == sum(rows[part] for part in of_patch)
    assert max(left) <= 2 * USUAL
    assert not any(a < 50 and b < 50 for a, b in pairwise(left))
    assert patches_of_compact([150, 100, 60], USUAL) == []


def test_parts_that_do_not_fit_the_memory_are_cut():
    grown = Patch((0,), -1, 0, 50)
    assert n_cuts(grown, [100], USUAL, 10**9) == 1
    assert n_cuts(grown, [151], USUAL, 10**9) == 2
    assert n_cuts(grown, [100], USUAL, 40) == 4
