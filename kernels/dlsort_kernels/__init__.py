"""Numpy in, numpy out: the compiled loops of dlsort."""

import importlib
import importlib.util

from dlsort_kernels.jit import compiled, loading

__all__ = ["compiled"]

with loading():
    for _name in ("words", "lead", "sort", "refine_bytes", "classify", "gather", "hash", "disorder"):
        if importlib.util.find_spec(f"dlsort_kernels.{_name}"):
            _module = importlib.import_module(f"dlsort_kernels.{_name}")
            for _public in _module.__all__:
                globals()[_public] = getattr(_module, _public)
                __all__.append(_public)
