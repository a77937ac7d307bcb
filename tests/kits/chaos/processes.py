"""A chaos cluster of processes: ``dask scheduler``, and ``dask worker`` with its nanny."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from distributed import Client

from chaos.cluster import NAMES, Cluster, Setup
from chaos.holds import Holds, until
from chaos.probe import CONTROL, VERSIONS
from chaos.proxy import Proxy
from patience import PATIENCE_S

TESTS = Path(__file__).resolve().parents[1]
_LONGEST_END_S = 10.0
# What Dask keeps in a worker's folder by itself.
OF_DASK = (".dirlock", "global.lock", "purge.lock")


class ProcessCluster(Cluster):
    """Scheduler and workers as processes of this machine."""

    def __init__(self, folder: Path | None = None) -> None:
        with ExitStack() as stack:
            if folder is None:
                made = tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)
                folder = Path(stack.enter_context(made))
            self.folder = folder
            self._logs = folder / "logs"
            self._control = folder / "control"
            for made_folder in (self._logs, self._control, folder / "temp"):
                made_folder.mkdir()
            self.holds = Holds(self._control)
            self._workers: dict[str, subprocess.Popen[bytes]] = {}
            self._setups: dict[str, Setup] = {}
            self._proxies: dict[str, Proxy] = {}
            self._temp_dirs: dict[str, Path] = {}
            stack.callback(self._end_all)
            self._start_scheduler("tcp://127.0.0.1:0")
            for name in NAMES:
                self._spawn(name, Setup())
            self._wait_for(*NAMES)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def _end_all(self) -> None:
        with suppress(AttributeError):
            self.client.close()
        for name in list(self._workers):
            self.remove_worker(name)
        with suppress(AttributeError):
            self._scheduler.kill()
            self._scheduler.wait()

    # ------------------------------------------------------------ scheduler

    def _start_scheduler(self, address: str) -> None:
        told = self.folder / "scheduler.json"
        told.unlink(missing_ok=True)
        host, port = address.removeprefix("tcp://").split(":")
        self._scheduler = self._process(
            "scheduler",
            ["scheduler", "--host", host, "--port", port, "--scheduler-file", str(told)],
            {},
        )

        def read() -> str:
            with suppress(OSError, ValueError):
                return json.loads(told.read_text())["address"]
            return ""

        self.address = until(read, "the scheduler's address")
        self.client = Client(self.address, timeout=PATIENCE_S)

    def kill_scheduler(self) -> None:
        self.client.close()
        self._scheduler.kill()
        self._scheduler.wait()

    def start_scheduler(self) -> None:
        self._start_scheduler(self.address)
        # A worker ends without its scheduler, when it is done with what it was at.
        for name in self.names():
            with suppress(subprocess.TimeoutExpired):
                self._workers[name].wait(_LONGEST_END_S)
            setup = self._setups[name]
            self.remove_worker(name)
            self._spawn(name, setup)
        self._wait_for(*self.names())

    # ------------------------------------------------------------ workers

    def names(self) -> list[str]:
        return list(self._workers)

    def start_worker(self, name: str, setup: Setup | None = None) -> None:
        self._spawn(name, setup or Setup())
        self._wait_for(name)

    def _wait_for(self, *names: str) -> None:
        def are_there() -> bool:
            for name in names:
                if self._workers[name].poll() is not None:
                    msg = f"{name} could not be started:\n{self.log()}"
                    raise RuntimeError(msg)
            return set(names) <= set(self.workers())

        until(are_there, f"{', '.join(names)} have come")

    def _spawn(self, name: str, setup: Setup) -> None:
        temp_dir = setup.temp_dir or self.folder / "temp" / name
        temp_dir.mkdir(exist_ok=True)
        self._temp_dirs[name] = temp_dir
        (self._control / f"worker-{name}").unlink(missing_ok=True)
        options = [
            "worker", self.address, "--nanny", "--nworkers", "1", "--nthreads", "1",
            "--name", name, "--no-dashboard",
            "--memory-limit", str(setup.memory_bytes),
            "--local-directory", str(temp_dir), "--preload", "chaos.probe",
        ]  # fmt: skip
        if setup.may_be_cut_off:
            self._proxies[name] = Proxy(lambda: self._listens(name))
            options += ["--listen-address", "tcp://127.0.0.1:0"]
            options += ["--contact-address", self._proxies[name].address]
        else:
            options += ["--host", "127.0.0.1"]
        env = {VERSIONS: " ".join(f"{k}={v}" for k, v in setup.versions.items())}
        self._setups[name] = setup
        self._workers[name] = self._process(name, options, env, read_only=setup.read_only)

    def _listens(self, name: str) -> tuple[str, int]:
        address = self.holds.worker(name).get("listens")
        if address is None:
            raise ConnectionRefusedError
        host, port = address.removeprefix("tcp://").split(":")
        return host, int(port)

    def _process(
        self, name: str, options: list[str], env: dict[str, str], read_only: Path | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *options]
        if read_only is not None:
            # Root may write anywhere, but not to what is mounted for reading.
            mount = 'mount -o bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, str(read_only), *command]
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        with (self._logs / name).open("ab") as log:
            return subprocess.Popen(
                command,
                env={
                    **os.environ,
                    CONTROL: str(self._control),
                    "PYTHONPATH": path.rstrip(os.pathsep),
                    **env,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def remove_worker(self, name: str) -> None:
        _end_group(self._workers.pop(name))
        del self._setups[name]
        if name in self._proxies:
            self._proxies.pop(name).close()
        shutil.rmtree(self._temp_dirs[name], ignore_errors=True)

    def _pid(self, name: str) -> int:
        return self.holds.worker(name)["pid"]

    def kill(self, name: str) -> None:
        os.kill(self._pid(name), signal.SIGKILL)

    def pause(self, name: str) -> None:
        os.kill(self._pid(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self._pid(name), signal.SIGCONT)

    def cut_off(self, name: str) -> None:
        self._proxies[name].shut()

    def reconnect(self, name: str) -> None:
        self._proxies[name].open()

    @contextmanager
    def slow(self, name: str, share: float) -> Iterator[None]:
        period_s = 0.1
        ended = threading.Event()

        def hold_back() -> None:
            while not ended.is_set():
                self.pause(name)
                ended.wait((1 - share) * period_s)
                self.resume(name)
                ended.wait(share * period_s)

        thread = threading.Thread(target=hold_back)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    # ------------------------------------------------------------ what is left

    def left_in_temp(self) -> list[str]:
        return [
            f"{name}: {path.relative_to(self._temp_dirs[name])}"
            for name in self.names()
            for path in sorted(self._temp_dirs[name].rglob("*"))
            if path.is_file() and not path.name.endswith(OF_DASK)
        ]

    def log(self) -> str:
        lines = []
        for path in sorted(self._logs.iterdir()):
            told = [line for line in path.read_text().splitlines() if "out-of-band" not in line]
            lines += [f"{path.name}: {line}" for line in told[-15:]]
        return "\n".join(lines)


def _end_group(nanny: subprocess.Popen[bytes]) -> None:
    """Kill a nanny and its worker, and wait for what then removes their semaphores."""
    nanny.kill()
    nanny.wait()

    def is_gone() -> bool:
        left = [pid for pid in psutil.pids() if _group_of(pid) == nanny.pid]
        for pid in left:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                # It ends by itself, with the last of those that it serves.
                if "multiprocessing.resource_tracker" not in " ".join(process.cmdline()):
                    process.kill()
        return not left

    until(is_gone, f"the processes of {nanny.pid} have ended")


def _group_of(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return None
