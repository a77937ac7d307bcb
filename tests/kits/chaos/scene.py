"""Where a story plays: a cluster, a folder of its own, and what has to hold at its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from chaos.cluster import Cluster
from chaos.holds import Holds
from chaos.rows import BY, N_PARTS, N_ROWS, Source, Tally, contents, count, make_source, read
from patience import PATIENCE_S


class LeftBehindError(AssertionError):
    """Something is left after a sort."""


class WrongRowsError(AssertionError):
    """Rows are lost, doubled or out of order."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(str(tally))
        self.tally = tally


@dataclass
class Ended:
    """How a command has ended."""

    code: int
    out: str
    err: str


class Sorting:
    """``dlsort sort`` in a process of its own."""

    def __init__(self, command: list[str], destination: Path) -> None:
        self.destination = destination
        self._ended: Ended | None = None
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_running(self) -> bool:
        """Return whether it goes on."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it as it stands."""
        self._process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> Ended:
        """Wait for its end."""
        if self._ended is not None:
            return self._ended
        try:
            out, err = self._process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
            msg = f"the sort did not end within {PATIENCE_S:.0f} s: {err}"
            raise AssertionError(msg) from None
        self._ended = Ended(self._process.returncode, out, err)
        return self._ended


@dataclass
class Stage:
    """What stories on one cluster share: the cluster, sources, and undisturbed results."""

    cluster: Cluster
    sources: dict[str, Source] = field(default_factory=dict)
    undisturbed: dict[str, dict[str, bytes | None]] = field(default_factory=dict)

    def source(self, kind: str) -> Source:
        """Return a dataset: "mixed", "ranges" or "large"."""
        if kind not in self.sources:
            folder = self.cluster.folder / f"source-{kind}"
            n_rows = 10 * N_ROWS if kind == "large" else N_ROWS
            self.sources[kind] = make_source(folder, in_ranges=kind == "ranges", n_rows=n_rows)
        return self.sources[kind]


class Scene:
    """One story's.

    Attributes
    ----------
    cluster : Cluster
        Three workers, w0 to w2, and what the story adds.
    holds : Holds
        Where workers wait.
    folder : Path
        Empty at the beginning; destinations lie in it.
    published : list of Path
        The destinations of sorts that ended well.
    source : Source
        What is sorted. A story that spoils it asks for :meth:`own_source`.
    """

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.cluster = stage.cluster
        self.holds: Holds = stage.cluster.holds
        self.folder = folder
        self.kind = "mixed"
        self.source = stage.source(self.kind)
        self.published: list[Path] = []
        self._stack = ExitStack()

    def use_ranges(self) -> None:
        """Sort files that have key ranges of their own."""
        self.kind = "ranges"
        self.source = self.stage.source(self.kind)

    def use_large(self) -> None:
        """Sort ten times as many rows."""
        self.kind = "large"
        self.source = self.stage.source(self.kind)

    def own_source(self) -> Path:
        """Sort a copy, which may be spoiled."""
        folder = Path(tempfile.mkdtemp(prefix="source-", dir=self.cluster.folder))
        self._stack.callback(shutil.rmtree, folder)
        shutil.copytree(self.source.folder, folder, dirs_exist_ok=True)
        self.source = Source(folder, self.source.expected)
        return folder

    @contextmanager
    def small_disk(self, n_bytes: int) -> Iterator[Path]:
        """Yield a folder that holds no more than so much."""
        disk = Path(tempfile.mkdtemp(prefix="disk-", dir=self.cluster.folder))
        try:
            size = f"size={n_bytes}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True)
            try:
                yield disk
            finally:
                subprocess.run(["umount", "-l", disk], check=True)
        finally:
            with suppress(OSError):
                disk.rmdir()

    # ------------------------------------------------------------ what is done

    def sort(self, *options: str, to: Path | None = None) -> Sorting:
        """Begin a sort on the cluster, into ``out`` unless told otherwise."""
        destination = to or self.folder / "out"
        command = [
            sys.executable, "-m", "dlsort", "sort", str(self.source.folder),
            str(destination), "--by", BY, "--scheduler", self.cluster.address,
            "--partitions", str(N_PARTS), "--no-progress", *options,
        ]  # fmt: skip
        command += ["--strategy", "range"] if self.kind == "ranges" else []
        sorting = Sorting(command, destination)
        self._stack.callback(self._end, sorting)
        return sorting

    @staticmethod
    def _end(sorting: Sorting) -> None:
        if sorting.is_running():
            sorting.kill()

    # ------------------------------------------------------------ what has to hold

    def expect_sorted(self, sorting: Sorting) -> Ended:
        """Wait for the end of a sort, which has to be a good one, and look at the result."""
        ended = sorting.end()
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err, ended.err
        tally = count(read(sorting.destination), self.source.expected)
        if any(tally):
            raise WrongRowsError(tally)
        self._check(sorting.destination)
        self.published.append(sorting.destination)
        return ended

    def expect_undisturbed(self, sorting: Sorting) -> Ended:
        """As :meth:`expect_sorted`; and byte for byte what an undisturbed sort gives."""
        ended = self.expect_sorted(sorting)
        found = contents(sorting.destination)
        if self.kind not in self.stage.undisturbed:
            self.expect_sorted(other := self.sort(to=self.folder / "undisturbed"))
            self.stage.undisturbed[self.kind] = contents(other.destination)
            shutil.rmtree(self.published.pop())
        assert found == self.stage.undisturbed[self.kind], "other bytes than undisturbed"
        return ended

    def expect_failure(
        self, sorting: Sorting, *says: str, before: dict[str, bytes | None] | None = None
    ) -> str:
        """Wait for the end of a sort, which has to fail with one clear sentence.

        Parameters
        ----------
        sorting : Sorting
            The sort.
        *says : str
            What the sentence has in it.
        before : dict, optional
            What the destination held before; else it was not there.
        """
        ended = sorting.end()
        assert ended.code == 2, (ended.code, ended.out, ended.err)
        lines = [line for line in ended.err.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, ended.err
        assert "Traceback" not in ended.err, ended.err
        for what in says:
            assert what in lines[0], (what, ended.err)
        found = contents(sorting.destination) if sorting.destination.exists() else None
        assert found == before, "the destination is not as it was"
        return lines[0]

    def expect_nothing_left(self) -> None:
        """Fail if there is anything but what was published, or anything in the cluster."""
        left = [
            str(path)
            for path in sorted(self.folder.rglob("*"))
            if not any(path.is_relative_to(other) for other in self.published)
        ]
        left += self.cluster.left()
        if left:
            raise LeftBehindError("; ".join(left[:20]))

    def _check(self, destination: Path) -> None:
        """Have dlsort check it too: rows, checksum and order, against the source."""
        from commands import dlsort

        told = dlsort("check", destination, "--by", BY, "--against", self.source.folder)
        assert told.exit_code == 0, told.output

    def close(self) -> None:
        """End what the story has begun."""
        self._stack.close()


@contextmanager
def scene_on(stage: Stage) -> Iterator[Scene]:
    """Yield a fresh scene on a cluster in good health."""
    stage.cluster.recover()
    stage.cluster.holds.forget()
    folder = Path(tempfile.mkdtemp(prefix="story-", dir=stage.cluster.folder))
    os.chmod(folder, 0o755)  # noqa: PTH101
    scene = Scene(stage, folder)
    try:
        yield scene
    finally:
        scene.close()
        stage.cluster.holds.forget()
        shutil.rmtree(folder)
