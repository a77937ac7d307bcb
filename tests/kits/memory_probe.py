"""How much memory `argsort` takes beside its keys and its result, case by case.

Run by test_arrays_memory.py in a process of its own, whose peak the system can be told to
forget; prints a JSON object of case → [bytes beside keys and result, bytes of the keys].
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import dlsort
from patterns import nested_clusters, tight_clusters, zipf

N = 1 << 21

Make = Callable[[np.random.Generator, int], Any]


def pairs(rng: np.random.Generator, n: int, apart: int) -> np.ndarray:
    """Return words that lie far from each other but in twos, less than ``apart``."""
    first = rng.integers(0, 2**63, n // 2, dtype=np.uint64)
    return rng.permutation(
        np.concatenate([first, first + rng.integers(0, apart, n // 2, dtype=np.uint64)])
    )


def some_runs(rng: np.random.Generator, n: int, count: int, kind: type) -> np.ndarray:
    limits = np.iinfo(kind)
    runs = rng.integers(limits.min, limits.max, (count, n // count)).astype(kind)
    return np.sort(runs).ravel()


def texts(rng: np.random.Generator, n: int, most: int) -> pa.Array:
    """Return strings of 1 to ``most`` letters, without a Python object each."""
    lengths = rng.integers(1, most + 1, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    letters = rng.integers(97, 123, int(offsets[-1]), dtype=np.uint8)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
    return pa.Array.from_buffers(pa.string(), n, buffers)


def with_nulls(rng: np.random.Generator, n: int) -> pa.Array:
    return pa.array(rng.integers(-(2**62), 2**62, n), mask=rng.random(n) < 0.3)


CASES: dict[str, Make] = {
    "int64": lambda rng, n: rng.integers(-(2**63), 2**63 - 1, n),
    "int64 in two runs": lambda rng, n: some_runs(rng, n, 2, np.int64),
    "int64 of a zipf law": lambda rng, n: zipf(rng, n).view(np.int64),
    "int64 with nulls": with_nulls,
    "uint64 in clusters that tie": tight_clusters,
    "uint64 in nested clusters": nested_clusters,
    "uint64 in pairs that tie": lambda rng, n: pairs(rng, n, 1000),
    "uint64 in equal pairs": lambda rng, n: pairs(rng, n, 1),
    "uint64 of few values": lambda rng, n: rng.integers(0, 2**64 - 1, 50, dtype=np.uint64)[
        rng.integers(0, 50, n)
    ],
    "float64": lambda rng, n: rng.normal(size=n),
    "float64 of few values": lambda rng, n: rng.normal(size=50)[rng.integers(0, 50, n)],
    "float64 in clusters that tie": lambda rng, n: (
        rng.normal(size=n // 500)[rng.integers(0, n // 500, n)] + rng.random(n) * 1e-12
    ),
    "float64 in equal pairs": lambda rng, n: rng.permutation(
        np.repeat(rng.normal(size=n // 2), 2)
    ),
    "float64 with NaN": lambda rng, n: np.where(
        rng.random(n) < 0.5, np.nan, rng.normal(size=n)
    ),
    "timestamp": lambda rng, n: rng.integers(0, 2**60, n).view("M8[ns]"),
    "int32": lambda rng, n: rng.integers(-(2**31), 2**31, n).astype(np.int32),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "int32 in two runs": lambda rng, n: some_runs(rng, n, 2, np.int32),
    "int16": lambda rng, n: rng.integers(-(2**15), 2**15, 2 * n).astype(np.int16),
    "int8": lambda rng, n: rng.integers(-128, 128, 4 * n).astype(np.int8),
    "int16 in three runs": lambda rng, n: some_runs(rng, 2 * n, 3, np.int16),
    "int8 in two runs": lambda rng, n: some_runs(rng, 4 * n, 2, np.int8),
    "int8 in four runs": lambda rng, n: some_runs(rng, 4 * n, 4, np.int8),
    "booleans": lambda rng, n: rng.random(4 * n) < 0.5,
    "int8 with nulls": lambda rng, n: pa.array(
        rng.integers(-128, 128, 4 * n).astype(np.int8), mask=rng.random(4 * n) < 0.3
    ),
    "short strings": lambda rng, n: texts(rng, n, 8),
    "short strings in equal pairs": lambda rng, n: pa.concat_arrays(
        [texts(rng, n // 2, 8)] * 2
    ),
    "strings": lambda rng, n: texts(rng, n, 24),
    "strings of a letter": lambda rng, n: texts(rng, n, 1),
    "strings of few values": lambda rng, n: pa.array(
        ["one of a few values", "one of a few others", "x"]
    ).take(rng.integers(0, 3, n)),
    "int32 and float64": lambda rng, n: [
        rng.integers(0, 50, n).astype(np.int32),
        rng.normal(size=n),
    ],
    "two int64": lambda rng, n: [rng.integers(0, 2**40, n), rng.integers(0, 2**40, n)],
    "int64 of few values and int64": lambda rng, n: [
        rng.integers(-(2**63), 2**63 - 1, 50)[rng.integers(0, 50, n)],
        rng.integers(-(2**63), 2**63 - 1, n),
    ],
    "int64 in equal pairs and int64": lambda rng, n: [
        rng.integers(-(2**63), 2**63 - 1, n // 2).repeat(2),
        rng.integers(-(2**63), 2**63 - 1, n),
    ],
    "strings of few values and int64": lambda rng, n: [
        pa.array(["of a few values", "of others", "x"]).take(rng.integers(0, 3, n)),
        rng.integers(-(2**63), 2**63 - 1, n),
    ],
    "int8 and int8": lambda rng, n: [rng.integers(-9, 9, n).astype(np.int8)] * 2,
    "decimals": lambda rng, n: pa.array(rng.integers(0, 2**60, n)).cast(pa.decimal128(30)),
}


def n_bytes(keys: Any) -> int:
    return sum(n_bytes(each) for each in keys) if isinstance(keys, list) else keys.nbytes


def status(field: str) -> int:
    """Return a figure of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def measure(keys: Any) -> int:
    """Return the peak while keys are sorted, less what was there before and the result."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status("VmRSS")
    order = dlsort.argsort(keys)
    return status("VmHWM") - before - order.nbytes


def main(names: list[str]) -> None:
    found = {}
    for name, make in CASES.items():
        if names and name not in names:
            continue
        # Whatever is loaded or set up once is not counted.
        dlsort.argsort(make(np.random.default_rng(0), 1 << 15))
        keys = make(np.random.default_rng(1), N)
        found[name] = [measure(keys), n_bytes(keys)]
        del keys
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
