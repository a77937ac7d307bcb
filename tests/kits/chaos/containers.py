"""A chaos cluster of containers: the image's scheduler and workers on a private network.

All containers see the cluster's folder under the path that it has on this machine, with what is
mounted in it later, and share its process numbers, so that a worker can be killed as the kernel
does. The engine starts it again.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from distributed import Client
from distributed.versions import VersionMismatchWarning

from chaos.cluster import NAMES, Cluster, Setup
from chaos.holds import Holds, until
from chaos.mounts import can_mount
from chaos.probe import CONTROL, VERSIONS
from chaos.processes import OF_DASK, TESTS
from docker_kit import LABEL, build_image, docker, logs

_PERIOD_US = 100_000


class ContainerCluster(Cluster):
    """Scheduler and workers in containers."""

    def __init__(self, folder: Path | None = None) -> None:
        with ExitStack() as stack:
            if folder is None:
                made = tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)
                folder = Path(stack.enter_context(made))
            self._image = build_image()
            self.folder = folder
            self._propagation = ""
            if can_mount():
                stack.enter_context(_sharing_mounts(folder))
                self._propagation = ":rslave"
            self._control = folder / "control"
            for made_folder in (self._control, folder / "temp"):
                made_folder.mkdir()
            self.holds = Holds(self._control)
            self._name = f"dlsort-chaos-{uuid.uuid4().hex[:8]}"
            self._temp_dirs: dict[str, Path] = {}
            self._away: dict[str, str] = {}  # address of each worker that is cut off
            self._network = _make_network(self._name)
            stack.callback(docker, "network", "rm", self._name)
            stack.callback(self._end_all)
            # Other addresses are given from below.
            self._host = str(self._network[-2])
            self._run("scheduler", ["--ip", self._host], ["scheduler", "--port", "8786"], {})
            self._reach()
            for name in NAMES:
                self._spawn(name, Setup())
            self._wait_for(*NAMES)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def _end_all(self) -> None:
        with suppress(AttributeError):
            self.client.close()
        told = docker("ps", "--all", "--quiet", "--filter", f"name={self._name}-")
        if told.split():
            docker("rm", "--force", "--volumes", *told.split())

    def _run(
        self, name: str, options: list[str], command: list[str], env: dict[str, str]
    ) -> None:
        env = {CONTROL: str(self._control), "PYTHONPATH": str(TESTS), **env}
        docker(
            *("run", "--detach", "--name", f"{self._name}-{name}", "--hostname", name),
            *("--label", LABEL, "--network", self._name, "--pid", "host"),
            *("--restart", "always"),
            *("--user", f"{os.getuid()}:{os.getgid()}"),
            *("--volume", f"{self.folder}:{self.folder}{self._propagation}"),
            *("--volume", f"{TESTS}:{TESTS}:ro"),
            *(word for key, value in env.items() for word in ("--env", f"{key}={value}")),
            *(*options, self._image, "dask", *command),
        )

    # ------------------------------------------------------------ scheduler

    def _reach(self) -> None:
        self.address = f"tcp://{self._host}:8786"

        def reach() -> bool:
            # The image may have another patch release of Python, which makes no difference.
            with suppress(OSError), warnings.catch_warnings():
                warnings.simplefilter("ignore", VersionMismatchWarning)
                self.client = Client(self.address, timeout=30)
                return True
            return False

        until(reach, "the scheduler answers")

    def kill_scheduler(self) -> None:
        self.client.close()
        docker("kill", f"{self._name}-scheduler")

    def start_scheduler(self) -> None:
        docker("start", f"{self._name}-scheduler")
        self._reach()
        self._wait_for(*self.names())

    # ------------------------------------------------------------ workers

    def names(self) -> list[str]:
        return list(self._temp_dirs)

    def start_worker(self, name: str, setup: Setup | None = None) -> None:
        self._spawn(name, setup or Setup())
        self._wait_for(name)

    def _wait_for(self, *names: str) -> None:
        until(lambda: set(names) <= set(self.workers()), f"{', '.join(names)} have come")

    def _spawn(self, name: str, setup: Setup) -> None:
        temp_dir = setup.temp_dir or self.folder / "temp" / name
        temp_dir.mkdir(exist_ok=True)
        (self._control / f"worker-{name}").unlink(missing_ok=True)
        limit = str(setup.memory_bytes)
        options = ["--memory", limit, "--memory-swap", limit]
        if setup.read_only is not None:
            options += ["--volume", f"{setup.read_only}:{setup.read_only}:ro"]
        command = [
            "worker", self.address, "--no-nanny", "--nthreads", "1", "--name", name,
            "--no-dashboard", "--memory-limit", limit, "--local-directory", str(temp_dir),
            "--preload", "chaos.probe",
        ]  # fmt: skip
        env = {VERSIONS: " ".join(f"{k}={v}" for k, v in setup.versions.items())}
        self._run(name, options, command, env)
        self._temp_dirs[name] = temp_dir

    def remove_worker(self, name: str) -> None:
        docker("rm", "--force", "--volumes", f"{self._name}-{name}")
        self._away.pop(name, None)
        shutil.rmtree(self._temp_dirs.pop(name), ignore_errors=True)

    def kill(self, name: str) -> None:
        os.kill(self.holds.worker(name)["pid"], signal.SIGKILL)

    def pause(self, name: str) -> None:
        docker("pause", f"{self._name}-{name}")

    def resume(self, name: str) -> None:
        docker("unpause", f"{self._name}-{name}")

    def cut_off(self, name: str) -> None:
        (told,) = json.loads(docker("inspect", f"{self._name}-{name}"))
        self._away[name] = told["NetworkSettings"]["Networks"][self._name]["IPAddress"]
        docker("network", "disconnect", self._name, f"{self._name}-{name}")

    def reconnect(self, name: str) -> None:
        address = self._away.pop(name)
        docker("network", "connect", "--ip", address, self._name, f"{self._name}-{name}")

    @contextmanager
    def slow(self, name: str, share: float) -> Iterator[None]:
        container = f"{self._name}-{name}"
        quota = int(share * _PERIOD_US)
        period = ("--cpu-period", str(_PERIOD_US))
        docker("update", *period, "--cpu-quota", str(quota), container)
        try:
            yield
        finally:
            docker("update", *period, "--cpu-quota", "-1", container)

    # ------------------------------------------------------------ what is left

    def left_in_temp(self) -> list[str]:
        return [
            f"{name}: {path.relative_to(temp_dir)}"
            for name, temp_dir in self._temp_dirs.items()
            for path in sorted(temp_dir.rglob("*"))
            if path.is_file() and not path.name.endswith(OF_DASK)
        ]

    def log(self) -> str:
        lines = []
        for name in ("scheduler", *self.names()):
            told = logs(f"{self._name}-{name}", 15)
            lines += [f"{name}: {line}" for line in told.splitlines()]
        return "\n".join(lines)


@contextmanager
def _sharing_mounts(folder: Path) -> Iterator[None]:
    """Make a folder one whose later mounts are seen wherever it is mounted."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "--make-shared", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _make_network(name: str) -> ipaddress.IPv4Network:
    """Make a network without a way out, of a range of its own.

    Only in a range that was asked for may a container that comes back have its address again:
    so the engine is asked which one is free first.
    """
    create = ("network", "create", "--internal", "--label", LABEL)
    docker(*create, name)
    (told,) = json.loads(docker("network", "inspect", name))
    subnet = told["IPAM"]["Config"][0]["Subnet"]
    docker("network", "rm", name)
    docker(*create, "--subnet", subnet, name)
    return ipaddress.IPv4Network(subnet)
