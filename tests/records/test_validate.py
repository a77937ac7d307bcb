"""Records are validated: every fault is found, wherever files, tasks and blocks meet."""

from __future__ import annotations

import io
import sys
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlsort
from dlsort.errors import CorruptSourceError, SourceChangedError, SourceNotFoundError
from dlsort.records import validate
from dlsort.records.summary import RecordsSummary
from sort_records import cut, in_order, records

SORTED = in_order(records(100))


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """Let few records make many blocks and tasks."""
    monkeypatch.setattr(validate, "BLOCK_RECORDS", 7)
    monkeypatch.setattr(validate, "TASK_RECORDS", 30)


def expected(found: list[bytes]) -> RecordsSummary:
    down = [i for i in range(1, len(found)) if found[i][:10] < found[i - 1][:10]]
    same = sum(found[i][:10] == found[i - 1][:10] for i in range(1, len(found)))
    return RecordsSummary(
        len(found),
        sum(map(zlib.crc32, found)),
        same,
        len(down),
        down[0] if down else None,
        found[0],
        found[-1],
    )


def validated(tmp_path, data: bytes, **how) -> RecordsSummary:
    (tmp_path / "records").write_bytes(data)
    return dlsort.validate_records(str(tmp_path / "records"), threads=2, **how)


@given(keys=st.lists(st.sampled_from("abc"), min_size=1, max_size=80))
def test_it_is_what_python_says(tmp_path_factory, keys):
    some = [(key * 10).encode() + str(i).encode().rjust(90) for i, key in enumerate(keys)]
    folder = tmp_path_factory.mktemp("some", numbered=True)
    assert validated(folder, b"".join(some)) == expected(some)


# ---------------------------------------------------------------- the five faults

# Inside of a block, at a block's and at a task's edge, at both ends.
PLACES = [0, 3, 6, 13, 29, 50, 98]


@pytest.mark.parametrize("at", PLACES)
def test_two_records_swapped(tmp_path, at):
    some = cut(SORTED)
    some[at], some[at + 1] = some[at + 1], some[at]
    found = validated(tmp_path, b"".join(some))
    assert (found.ok, found.n_unordered, found.first_unordered) == (False, 1, at + 1)
    assert found.checksum == validated(tmp_path, SORTED).checksum


@pytest.mark.parametrize("at", PLACES)
def test_one_record_lost_doubled_or_with_a_flipped_bit(tmp_path, at):
    whole = validated(tmp_path, SORTED)
    some = cut(SORTED)
    lost = validated(tmp_path, b"".join(some[:at] + some[at + 1 :]))
    doubled = validated(tmp_path, b"".join(some[: at + 1] + some[at:]))
    flipped = bytearray(SORTED)
    flipped[100 * at + 57] ^= 4
    other = validated(tmp_path, bytes(flipped))
    assert whole.ok
    assert (lost.ok, lost.n_records) == (True, 99)
    assert (doubled.ok, doubled.n_records, doubled.n_duplicates) == (True, 101, 1)
    assert (other.ok, other.n_records) == (True, 100)
    assert len({each.checksum for each in (whole, lost, doubled, other)}) == 4


# ---------------------------------------------------------------- files


def test_files_of_a_folder_and_several_are_one_after_the_other(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(12):  # part.2 before part.10
        (folder / f"part.{i}").write_bytes(SORTED[1000 * i : 1000 * (i + 1)])
    (folder / "_SUCCESS").touch()
    (folder / "part.11").write_bytes(b"")
    whole = expected(cut(SORTED))
    assert dlsort.validate_records(str(folder)) == whole
    parts = [str(folder / f"part.{i}") for i in range(10)]
    assert dlsort.validate_records(parts) == whole
    swapped = dlsort.validate_records(parts[::-1])
    assert (swapped.n_unordered, swapped.first_unordered) == (9, 10)
    (folder / "part.3").write_bytes(SORTED[3000:4000][::-1])
    assert not dlsort.validate_records(str(folder)).ok


def test_standard_input(tmp_path, monkeypatch):
    class Pipe(io.BytesIO):
        """Gives few bytes at once, as pipes do."""

        def readinto(self, memory):
            return super().readinto(memory[:130])

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(SORTED[5000:])))
    (tmp_path / "first").write_bytes(SORTED[:5000])
    assert dlsort.validate_records([str(tmp_path / "first"), "-"]) == expected(cut(SORTED))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(SORTED[:150])))
    with pytest.raises(CorruptSourceError, match="150 bytes; expected a multiple of 100"):
        dlsort.validate_records("-")


def test_sources_that_are_none(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    for name, match in (
        ("empty", "holds no record"),
        ("folder", "holds no file"),
        ("gone", "does not exist"),
    ):
        with pytest.raises(SourceNotFoundError, match=match):
            dlsort.validate_records(str(tmp_path / name))
    with pytest.raises(CorruptSourceError, match=r"records has 9,999 bytes.*truncated"):
        validated(tmp_path, SORTED[:-1])


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path, monkeypatch):
    count = validate.count_records
    monkeypatch.setattr(validate, "count_records", lambda path: count(path) + 1)
    with pytest.raises(SourceChangedError, match="was changed"):
        validated(tmp_path, SORTED)


# ---------------------------------------------------------------- summaries


def test_summaries_of_parts_are_that_of_the_whole(tmp_path):
    some = cut(records(100))
    for edges in ([0, 40, 41, 100], [0, 1, 2, 3, 100], [0, 100]):
        parts = [
            validated(tmp_path, b"".join(some[a:b])).to_bytes() for a, b in pairwise(edges)
        ]
        found = validated(tmp_path, b"".join(parts), summaries=True)
        assert found == expected(some)
    with pytest.raises(CorruptSourceError, match="multiple of 280"):
        validated(tmp_path, parts[0][:-1], summaries=True)


# The first 80 bytes that `valsort -o` of valsort 1.5, as it is published, compiled by gcc on
# x86-64, wrote of 1,000 records, and of 1,002: two swapped, and one key three times.
OF_VALSORT = (
    "000000000000000002000000000000000000000000000000e3010000000000000000000000000000"
    "e80300000000000000000000000000000000000000000000000000000000000055b97063ea010000",
    "00000000000000000b00000000000000000000000000000001000000000000000000000000000000"
    "ea03000000000000000000000000000002000000000000000000000000000000757c270af3010000",
)


def test_a_summary_is_what_valsort_writes(tmp_path):
    plain = records(1000)
    some = cut(in_order(records(1000, 2**40)))
    some[500:500] = 2 * [some[499]]
    some[10], some[11] = some[11], some[10]
    for data, want in zip((plain, b"".join(some)), OF_VALSORT, strict=True):
        found = validated(tmp_path, data).to_bytes()
        assert found == bytes.fromhex(want) + data[:100] + data[-100:]


def test_sums_of_more_than_64_bits():
    many = RecordsSummary(2**70, 2**90, 2**65, 0, None, b"a" * 100, b"b" * 100)
    whole = many.followed_by(many)
    assert RecordsSummary.from_bytes(whole.to_bytes()) == whole
    assert (whole.checksum, whole.first_unordered) == (2**91, 2**70)
