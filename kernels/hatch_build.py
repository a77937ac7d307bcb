"""Wheels hold the kernels compiled, so that no machine that installs one needs a compiler."""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledKernels(BuildHookInterface):  # type: ignore[type-arg]
    """Compile the kernels into a wheel that is not of a checkout in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the compiled kernels; any Python of this system can load them."""
        if version != "standard":
            return
        sys.path.insert(0, str(Path(__file__).parent))
        os.environ.pop("NUMBA_DISABLE_JIT", None)
        import dlsort_kernels
        from dlsort_kernels import declare, objects

        self._work = tempfile.TemporaryDirectory()
        for processor in objects.cpus() or [objects.cpu()]:
            (folder := Path(self._work.name) / processor).mkdir()
            objects.compile_into(folder, declare.KERNELS, processor)
            name = objects.name_of(dlsort_kernels.__name__, processor)
            build_data["force_include"][str(folder)] = f"dlsort_kernels/{objects.WHEEL}/{name}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel by now."""
        if version == "standard":
            self._work.cleanup()
