"""A Dask cluster in containers: dlsort's image, a private network, and what runs on it.

Every container and network of a `Containers` has a name that begins with its own, and the
label of this run of the tests, so that several may run at once and what one has left behind can
be told.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
# Of this process: containers and networks carry it as a label, and the image as a tag, which
# keeps it though another checkout's may become "dlsort" meanwhile.
RUN = uuid.uuid4().hex[:12]
LABEL = f"dlsort.tests={RUN}"
IMAGE = f"dlsort:tests-{RUN}"
BASE = f"dlsort-base:{sys.version_info.major}.{sys.version_info.minor}"
SCHEDULER = "tcp://scheduler:8786"


class DockerError(Exception):
    """A docker command failed."""


@functools.cache
def engine_answers() -> bool:
    """Return whether there is a Docker engine that this user may use."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, timeout=PATIENCE_S)
    return asked.returncode == 0


def docker(*args: object, timeout_s: float = PATIENCE_S) -> str:
    """Run a docker command and return what it says."""
    return run("docker", *args, timeout_s=timeout_s)


def logs(container: str, n_lines: int) -> str:
    """Return the last lines that a container has printed, on either stream."""
    command = ["docker", "logs", "--tail", str(n_lines), container]
    said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    return said.stdout + said.stderr


@functools.cache
def why_no_base() -> str | None:
    """Make the image that dlsort's is built on; return why none can be had here, else None.

    The first time there needs a registry or a Debian mirror, and minutes.
    """
    if not engine_answers():
        return "no Docker engine answers here"
    try:
        run(ROOT / "docker/base.sh", BASE.partition(":")[2], BASE, timeout_s=1200)
    except (DockerError, subprocess.TimeoutExpired) as error:
        return f"no base image can be had here: {error}"
    return None


@functools.cache
def build_image() -> str:
    """Build the image of this checkout, from wheels, without network; return this run's tag.

    Wheels, base image and layers are kept: where nothing has changed this takes a second
    or two. The first time there needs a package index.

    Raises
    ------
    DockerError
        No base image can be had here, or the image can't be built on it.
    """
    if why_no_base() is not None:
        raise DockerError(why_no_base())
    run(sys.executable, ROOT / "docker/wheels.py", timeout_s=1200)
    run(ROOT / "docker/image.sh", BASE, IMAGE, timeout_s=1200)
    return IMAGE


def left_behind() -> list[str]:
    """Return this run's containers and networks that are still there."""
    return [f"{kind} {name}" for kind, name in _left()]


def remove_left() -> None:
    """Remove them, and this run's tag of the image; with its last tag an image goes."""
    for kind, name in _left():
        options = ("--force", "--volumes") if kind == "container" else ()
        docker(kind, "rm", *options, name)
    if build_image.cache_info().currsize:
        docker("rmi", IMAGE)


def _left() -> list[tuple[str, str]]:
    if not engine_answers.cache_info().currsize or not engine_answers():
        return []  # none was ever asked for
    label = f"label={LABEL}"
    containers = docker("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()
    networks = docker("network", "ls", "--filter", label, "--format", "{{.Name}}").split()
    return [("container", name) for name in containers] + [("network", n) for n in networks]


class Containers:
    """A private network with a scheduler, workers and clients that share one folder.

    Parameters
    ----------
    shared : Path
        Folder of this machine that all containers see as ``/data``.

    Notes
    -----
    `remove` takes everything away again; as a context manager it does so on leaving. The
    network has no way out: nobody else reaches the cluster, and it reaches nobody else.
    """

    def __init__(self, shared: Path) -> None:
        self.shared = shared
        self.name = f"dlsort-test-{uuid.uuid4().hex[:8]}"
        self.workers: list[str] = []
        docker("network", "create", "--internal", "--label", LABEL, self.name)

    def __enter__(self) -> Containers:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def start_scheduler(self, *args: object) -> str:
        """Start the scheduler, with more arguments of ``docker run``; return its container."""
        command = ["dask", "scheduler", "--host", "0.0.0.0", "--port", "8786"]
        options = ["--network-alias", "scheduler", *args]
        return self._start("scheduler", options, command)

    def start_worker(
        self, *args: object, threads: int = 1, memory: str = "1g", options: tuple[str, ...] = ()
    ) -> str:
        """Start one more worker; return its container, whose name Dask knows it by too.

        Parameters
        ----------
        *args : object
            More arguments of ``docker run``, such as ``"--tmpfs", "/scratch:size=8m"``.
        threads : int
            Threads of the worker.
        memory : str
            Limit of the container's memory, which is the worker's.
        options : tuple of str
            More options of ``dask worker``.
        """
        name = f"worker-{len(self.workers)}"
        command = ["dask", "worker", SCHEDULER, "--nthreads", str(threads)]
        # A worker would take only its threads' share of the machine's memory by itself.
        command += ["--no-nanny", "--memory-limit", memory, "--local-directory", "/scratch"]
        command += [
            "--preload",
            "dlsort.strategies.exchange",
            "--name",
            f"{self.name}-{name}",
            *options,
        ]
        mounts = [] if "--tmpfs" in args else ["--volume", "/scratch"]
        container = self._start(name, [*mounts, "--memory", memory, *args], command)
        self.workers.append(container)
        return container

    def wait_for_workers(self, n_workers: int) -> None:
        """Wait until as many workers have come to the scheduler."""
        code = f"""if True:
            from distributed import Client
            with Client("tcp://localhost:8786", timeout={PATIENCE_S}) as client:
                client.wait_for_workers({n_workers}, timeout={PATIENCE_S})
            """
        try:
            docker(
                *("exec", f"{self.name}-scheduler", "python", "-c", code),
                timeout_s=3 * PATIENCE_S,
            )
        except DockerError as error:
            raise DockerError(f"{error}\n{self.logs()}") from None

    def client(self, *command: object) -> list[str]:
        """Return the command line that runs one command in a container that then goes."""
        name = f"{self.name}-client-{uuid.uuid4().hex[:8]}"
        run = ["docker", "run", "--rm", "--name", name, *self._common()]
        return [*run, IMAGE, *map(str, command)]

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run one command in a container of its own, to its end."""
        return subprocess.run(
            self.client(*command), capture_output=True, text=True, timeout=PATIENCE_S
        )

    def sort(self, *args: object) -> subprocess.CompletedProcess[str]:
        """Run ``dlsort sort`` on the cluster, from a container; paths are below ``/data``."""
        return self.run("dlsort", "sort", *args, "--scheduler", SCHEDULER)

    def logs(self) -> str:
        """Return what the containers that still exist have printed."""
        told = []
        for container in self._containers():
            said = subprocess.run(["docker", "logs", container], capture_output=True, text=True)
            told.append(f"-- {container}\n{said.stdout}{said.stderr}")
        return "\n".join(told)

    def address(self, container: str) -> str:
        """Return a container's address in the network, which this machine can reach."""
        (found,) = json.loads(docker("inspect", container))
        return found["NetworkSettings"]["Networks"][self.name]["IPAddress"]

    def scratch(self) -> list[str]:
        """Return every file that workers hold in their scratch space."""
        found = []
        for container in self.workers:
            said = docker("exec", container, "find", "/scratch", "-type", "f")
            found += [f"{container}:{line}" for line in said.splitlines()]
        return found

    def volumes(self) -> list[str]:
        """Return the volumes that the containers have."""
        containers = self._containers()
        told = json.loads(docker("inspect", *containers)) if containers else []
        mounts = [mount for each in told for mount in each["Mounts"]]
        return [mount["Name"] for mount in mounts if mount["Type"] == "volume"]

    def left_behind(self) -> list[str]:
        """Return what there still is of containers and networks with our name."""
        networks = docker("network", "ls", "--quiet", "--filter", f"name={self.name}")
        return [*self._containers(), *networks.split()]

    def remove(self) -> None:
        """Remove containers, running or not, with their volumes, and the network."""
        containers = self._containers()
        if containers:
            docker("rm", "--force", "--volumes", *containers)
        docker("network", "rm", self.name)
        self.workers.clear()

    def _containers(self) -> list[str]:
        names = docker(
            "ps", "--all", "--filter", f"name={self.name}-", "--format", "{{.Names}}"
        )
        return sorted(names.split())

    def _common(self) -> list[str]:
        """Return what all containers have: the network, the folder, and our rights to it."""
        user = f"{os.getuid()}:{os.getgid()}"
        mount = f"type=bind,source={self.shared},target=/data"
        options = ["--init", "--network", self.name, "--user", user, "--mount", mount]
        return [*options, "--label", LABEL]

    def _start(self, name: str, options: list[object], command: list[str]) -> str:
        container = f"{self.name}-{name}"
        docker(
            *("run", "--detach", "--name", container, "--hostname", name),
            *(*self._common(), *options, IMAGE, *command),
        )
        return container


def run(*command: object, timeout_s: float = PATIENCE_S) -> str:
    """Run a command and return what it says."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode != 0:
        msg = f"{' '.join(words)} failed ({done.returncode}):\n{done.stdout}{done.stderr}"
        raise DockerError(msg)
    return done.stdout


if __name__ == "__main__":
    # Ahead of the tests: the first time takes longer than any test may.
    if why_no_base() is None:
        build_image()
        remove_left()
    else:
        print(f"== tests: without containers: {why_no_base()}")
