"""What is told of memory, caches and disks, also by systems that tell little."""

from __future__ import annotations

import os

from dlsort.planner import hardware


def test_caches_are_read_from_the_system(tmp_path, monkeypatch):
    for i, (level, kind, size) in enumerate(
        [
            ("1", "Data", "48K"),
            ("1", "Instruction", "32K"),
            ("2", "Unified", "2M"),
            ("3", "", "x"),
        ]
    ):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(hardware, "_CACHES", tmp_path)
    monkeypatch.setattr(os, "sysconf", lambda name: 3 * 2**20 if "3" in name else 1)
    assert hardware.caches() == {
        "l1d_bytes": 48.0 * 2**10,
        "l2_bytes": 2.0**21,
        "l3_bytes": 3.0 * 2**20,
    }


def test_caches_that_nobody_tells_are_left_out(tmp_path, monkeypatch):
    def unknown(_):
        raise ValueError

    monkeypatch.setattr(hardware, "_CACHES", tmp_path)
    monkeypatch.setattr(os, "sysconf", unknown)
    assert hardware.caches() == {}


def test_a_disk_is_measured_and_left_as_it_was(tmp_path, monkeypatch):
    found = hardware.disk(str(tmp_path), 3 * 2**20 + 5)
    assert all(speed > 0 for speed in found.values())
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert list(hardware.disk(str(tmp_path), 1)) == ["disk_write_bytes_per_s"]
    assert not list(tmp_path.iterdir())


def test_memory_is_measured():
    found = hardware.memory(2**16)
    assert len(found) == 3
    assert all(speed > 0 for speed in found.values())
