"""Memory comes in small pages where huge ones are dear, for as long as a job goes on."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pyarrow as pa
import pytest

import dlsort
from dlsort_cluster import pages
from dlsort_cluster.pages import cheap_pages, hold_small_pages, release_small_pages

BALLOON, NETWORK = "0x0005\n", "0x0001\n"
REPORTS, ASKED = "0110010" + "0" * 57 + "\n", "0110000" + "0" * 57 + "\n"
MIB = 1 << 20

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")


def holds_small() -> bool:
    return pages._prctl(pages._GET_THP_DISABLE) == 1


@pytest.fixture
def dear(monkeypatch):
    """A machine whose huge pages are dear."""
    if holds_small():
        pytest.skip("these tests are run without huge pages")
    monkeypatch.setattr(pages, "_huge_are_dear", lambda: True)
    yield
    assert not holds_small()


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ([(NETWORK, REPORTS), (BALLOON, REPORTS)], True),
        ([(BALLOON, ASKED)], False),
        ([(NETWORK, REPORTS)], False),
        ([(BALLOON, "01")], False),
        ([], False),
        (None, False),
    ],
)
def test_huge_pages_are_dear_on_a_machine_that_reports_free_ones(
    monkeypatch, tmp_path, devices, says
):
    folder = tmp_path / "devices"
    if devices is not None:
        folder.mkdir()
    for number, (kind, features) in enumerate(devices or ()):
        (folder / f"virtio{number}").mkdir()
        (folder / f"virtio{number}" / "device").write_text(kind)
        (folder / f"virtio{number}" / "features").write_text(features)
    monkeypatch.setattr(pages, "_DEVICES", folder)
    assert pages._huge_are_dear.__wrapped__() is says


def test_nothing_is_chosen_where_they_are_not_dear(monkeypatch):
    monkeypatch.setattr(pages, "_huge_are_dear", lambda: False)
    before = holds_small()
    with cheap_pages(100 * MIB):
        assert holds_small() == before
    hold_small_pages("job")
    assert holds_small() == before


def test_small_pages_are_held_until_the_last_job_ends(dear):
    with cheap_pages(100 * MIB):
        with cheap_pages(100 * MIB):
            assert holds_small()
        assert holds_small()
        hold_small_pages("worker")
    assert holds_small()
    release_small_pages("worker")
    release_small_pages("worker")


def test_an_error_gives_them_back(dear):
    with pytest.raises(ZeroDivisionError), cheap_pages(100 * MIB):
        raise ZeroDivisionError


def test_little_memory_is_left_as_it_is(dear):
    with cheap_pages(MIB):
        assert not holds_small()


def test_what_somebody_else_has_chosen_stays(dear):
    pages._prctl(pages._SET_THP_DISABLE, 1)
    try:
        with cheap_pages(100 * MIB):
            assert holds_small()
        assert holds_small()
    finally:
        pages._prctl(pages._SET_THP_DISABLE)


def test_a_system_that_lets_nobody_choose_is_left_alone(monkeypatch):
    monkeypatch.setattr(pages, "_huge_are_dear", lambda: True)
    monkeypatch.setattr(pages, "_prctl", lambda option, value=0: -1)
    with cheap_pages(100 * MIB):
        assert not pages._is_ours


def test_jobs_in_threads_hold_them_together(dear):
    both = Barrier(2)

    def job(_: int) -> bool:
        with cheap_pages(100 * MIB):
            both.wait()
            return holds_small()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(job, range(2))) == [True, True]


def test_a_sort_holds_them_while_it_goes_on(dear, monkeypatch):
    seen = []
    choose = pages._prctl  # the real one
    monkeypatch.setattr(pages, "_prctl", lambda *args: (seen.append(args), choose(*args))[1])
    table = pa.table({"x": np.arange(1_000_000)[::-1].copy()})
    assert dlsort.sort_table(table, "x")["x"][0].as_py() == 0
    dlsort.argsort(table["x"])
    held, released = (pages._SET_THP_DISABLE, 1), (pages._SET_THP_DISABLE,)
    assert [each for each in seen if each[0] == held[0]] == [held, released] * 2


def test_a_child_holds_nothing_of_its_parents(dear):
    with cheap_pages(100 * MIB):
        child = os.fork()
        if not child:
            os._exit(int(holds_small() or pages._is_ours or bool(pages._holders)))
        assert os.waitpid(child, 0)[1] == 0
        assert holds_small()


def test_an_interrupt_while_they_are_chosen_is_made_good(dear, monkeypatch):
    def interrupted(option: int, value: int = 0) -> int:
        if value:
            raise KeyboardInterrupt
        return choose(option, value)

    choose = pages._prctl
    with monkeypatch.context() as patch:
        patch.setattr(pages, "_prctl", interrupted)
        with pytest.raises(KeyboardInterrupt), cheap_pages(100 * MIB):
            pass
    assert not pages._is_ours
    assert not pages._holders
    with cheap_pages(100 * MIB):
        assert holds_small()
