"""Import one module as soon as another is there.

So that ``import dlsort`` alone gives Dask's collections their accessor, in
whatever order the two are imported, and costs those nothing who use no Dask
DataFrame.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["import_after"]


def import_after(module: str, name: str) -> None:
    """Import ``name`` right after ``module``; now if that is imported already.

    Examples
    --------
    >>> import json, sys
    >>> import_after("json", "sched")
    >>> "sched" in sys.modules
    True
    """
    if module in sys.modules:
        import_module(name)
    else:
        sys.meta_path.insert(0, _Finder(module, name))


class _Finder(MetaPathFinder):
    """Finds one module as others do, but for its loader."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec, or None for any other module."""
        if fullname != self.module:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads as another does, then imports what was waiting, and leaves no trace."""

    def __init__(self, loader: Loader, finder: _Finder) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as its own loader does."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module; being looked up alone does not end the wait."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        import_module(self.finder.name)
