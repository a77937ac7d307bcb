"""Fill docker/wheels/ with all that the image installs, so that it builds without network.

::

    docker/wheels/dependencies    what dlsort and Dask's dashboards need
    docker/wheels/dlsort          this checkout
    docker/wheels/build           what builds the wheel of the checkout

Each is made anew only if something has changed: the requirements or this Python for the
dependencies, any source for dlsort. Only for the first does pip need an index, and pip's own
settings say which. The wheels are for the Python that runs this.

    python docker/wheels.py
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHEELS = ROOT / "docker" / "wheels"
SOURCES = ["dlsort", "kernels/dlsort_kernels", "cluster/dlsort_cluster"]
ALSO_IN_WHEEL = ["kernels/hatch_build.py", "pyproject.toml", "README.md", "LICENSE"]


def main() -> None:
    """Bring all three folders up to date; one process at a time."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    with (WHEELS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fill()


def _fill() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    # As in the tests: the exchange is of the versions that have been tried with it.
    dashboard = project["project"]["optional-dependencies"]["dashboard"]
    needs = [*project["project"]["dependencies"], *_tried(project), *dashboard]
    _keep("dependencies", needs, ["download", "--only-binary=:all:", *needs])
    builds = project["build-system"]["requires"]
    _keep("build", builds, ["download", "--only-binary=:all:", *builds])
    # The build's own environment is made of the wheels that are here.
    alone = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS / "build")}
    make = ["wheel", "--no-deps", "--wheel-dir", ".", str(ROOT)]
    _keep("dlsort", [_digest(_sources())], make, **alone)


def _tried(project: dict[str, dict[str, dict[str, list[str]]]]) -> list[str]:
    """Return the cap on Dask's version under which dlsort is tested."""
    tests = project["project"]["optional-dependencies"]["test"]
    return [each for each in tests if each.startswith("dask")]


def _sources() -> list[Path]:
    """Return every file that goes into the wheel of dlsort."""
    modules = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    return sorted([*modules, *(ROOT / name for name in ALSO_IN_WHEEL)])


def _digest(paths: list[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _keep(name: str, asked: list[str], pip: list[str], **environ: str) -> None:
    """Fill one folder with what pip makes, unless it holds that already."""
    folder = WHEELS / name
    key = "\n".join([sysconfig.get_platform(), sysconfig.get_python_version(), *asked])
    made_for = WHEELS / f"{name}.made-for"
    if made_for.exists() and made_for.read_text() == key and folder.is_dir():
        return
    print(f"== wheels: filling {folder.relative_to(ROOT)}", flush=True)
    made_for.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", *pip],
        cwd=folder,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ},
        check=True,
    )
    made_for.write_text(key)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"docker/wheels.py: pip could not make the wheels (exit {error.returncode}).")
