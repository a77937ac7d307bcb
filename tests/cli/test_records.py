"""The commands gensort and valsort: flags, words and exit codes of the public tools."""

from __future__ import annotations

import subprocess

import pytest

from commands import COMMAND, process
from commands import dlsort as command
from sort_records import cut, in_order, records


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(*args: object) -> tuple[int, str]:
    result = command(*args)
    assert result.stdout == ""
    return result.exit_code, result.stderr


def test_the_flags_of_gensort(here):
    assert told("gensort", "-a", "-s", "-b50", "-t2", "-c", 1000, "one")[0] == 0
    assert (here / "one").read_bytes() == records(1000, 50, ascii=True, skew=True)
    assert told("gensort", "-c", "1K", "two") == (0, "1ea6370b955\n")
    assert told("gensort", "1e3", "parts", "--files", 4) == (0, "")
    assert len(list((here / "parts").iterdir())) == 4


def test_valsort_says_what_the_public_tool_says(here):
    (here / "plain").write_bytes(records(1000))
    assert told("valsort", "plain") == (
        1,
        "First unordered record is record 2\nRecords: 1000\nChecksum: 1ea6370b955\n"
        "ERROR - there are 483 unordered records\n",
    )
    (here / "sorted").write_bytes(in_order(records(1000)))
    assert told("valsort", "sorted") == (
        0,
        "Records: 1000\nChecksum: 1ea6370b955\nDuplicate keys: 0\n"
        "SUCCESS - all records are in order\n",
    )
    assert told("valsort", "-q", "plain") == (1, "")
    assert told("valsort", "-q", "-t1", "sorted") == (0, "")


def test_summaries_are_written_and_put_together(here):
    some = cut(in_order(records(1000)))
    (here / "a").write_bytes(b"".join(some[:300]))
    (here / "b").write_bytes(b"".join(some[300:]))
    for part in "ab":
        assert told("valsort", "-q", "-o", f"{part}.sum", part) == (0, "")
    (here / "all").write_bytes((here / "a.sum").read_bytes() + (here / "b.sum").read_bytes())
    whole = told("valsort", "a", "b")
    assert told("valsort", "-s", "all") == told("valsort", "-s", "a.sum", "b.sum") == whole
    assert told("valsort", "-s", "b.sum", "a.sum")[0] == 1
    assert told("valsort", "a", "-o", "gone/x")[0] == 2


def test_a_pipe_between_them(here):
    make = subprocess.Popen([*COMMAND, "gensort", "20K", "-"], stdout=subprocess.PIPE)
    found = process("valsort", "-", stdin=make.stdout)
    make.stdout.close()
    assert make.wait() == 0
    assert (found.returncode, "Records: 20000\n" in found.stderr) == (1, True)


def test_a_reader_that_goes_away_ends_it(here):
    make = subprocess.Popen(
        [*COMMAND, "gensort", "1M", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert make.stdout.read(10) == b"JimGrayRIP"
    make.stdout.close()
    assert make.stderr.read() == b""
    make.stderr.close()
    assert make.wait() == 141


def test_what_is_wrong_is_told_in_a_sentence(here):
    (here / "cut").write_bytes(b"x" * 99)
    for args, words in (
        (("gensort", "many", "x"), "Error: n is 'many'; expected a whole number"),
        (("gensort", 1, "cut"), "Error: cut is there. Pass --overwrite to replace it."),
        (("gensort", 1, "x", "--start=-1"), "--start is '-1'"),
        (("valsort", "cut"), "has 99 bytes; expected a multiple of 100"),
        (("valsort", "gone"), "gone does not exist; expected a file of records"),
    ):
        code, text = told(*args)
        assert (code, words in text, text.count("\n")) == (2, True, 1), text
    assert [path.name for path in here.iterdir()] == ["cut"]
