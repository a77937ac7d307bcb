"""What a run of the tests leaves behind on the machine: told, to be mended, and removed.

Several runs may share a machine, so only what can be told to be this run's counts: all of its
processes have its name in their environment, all of its containers and networks have it as a
label, and files count where only its own are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

import docker_kit
from dlsort_cluster.scratch import make_scratch
from patience import PATIENCE_S

# Dask makes this one below the folder for temporary files, and leaves it there, empty or not.
_OF_DASK = "dask-scratch-space"
# So do Dask's own shuffles through the disk, under any scheduler but distributed's.
_OF_PARTD = ".partd"
# Environment variable of the run's processes: tests give some another TMPDIR.
_MARK = "DLSORT_TESTS_RUN"
# It outlives the process that started it, and removes its semaphores.
_TRACKER = "multiprocessing.resource_tracker"


class Run:
    """One run of the tests, which has a folder of its own for temporary files.

    Parameters
    ----------
    tests : Path
        Where the tests' own folders are (``tmp_path``); pytest sees to their end.
    """

    def __init__(self, tests: Path) -> None:
        self._tests = tests
        self._before = os.environ.get("TMPDIR"), tempfile.tempdir
        self.folder = Path(tempfile.mkdtemp(prefix="dlsort-tests-"))
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.folder)
        os.environ[_MARK] = docker_kit.RUN

    def left_behind(self, patience_s: float = PATIENCE_S) -> list[str]:
        """Return what there still is of processes, mounts, files, containers and networks."""
        # Those that were told to end may need a moment.
        _, alive = psutil.wait_procs(self._processes(), timeout=patience_s)
        found = [f"process {each.pid}: {_command(each)}" for each in alive]
        found += [f"mount {place}" for place in self._mounts()]
        # What killed processes have left is removed by whoever comes next: here nobody may.
        with make_scratch(None):
            pass
        files = [
            path
            for path in self.folder.iterdir()
            if path.name != _OF_DASK and path.suffix != _OF_PARTD
        ]
        found += [f"file {path}" for path in sorted(files)]
        return found + docker_kit.left_behind()

    def remove(self) -> None:
        """Remove it all."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for place in self._mounts():
            docker_kit.run("umount", "--lazy", place)
        docker_kit.remove_left()
        shutil.rmtree(self.folder, ignore_errors=True)
        named, tempfile.tempdir = self._before
        del os.environ["TMPDIR"], os.environ[_MARK]
        if named is not None:
            os.environ["TMPDIR"] = named

    def _processes(self) -> list[psutil.Process]:
        """Return the run's processes but this one, also those whose parent is gone."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_ours = process.environ().get(_MARK) == docker_kit.RUN
                if is_ours and process.pid != os.getpid() and _TRACKER not in _command(process):
                    found.append(process)
        return found

    def _mounts(self) -> list[str]:
        with suppress(FileNotFoundError):
            lines = Path("/proc/self/mounts").read_text().splitlines()
            places = [Path(line.split()[1]) for line in lines]
            ours = (self._tests, self.folder)
            return [str(p) for p in reversed(places) if any(map(p.is_relative_to, ours))]
        return []


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
