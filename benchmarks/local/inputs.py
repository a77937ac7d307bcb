"""Keys and tables for the local sorts: patterns by types by sizes, always the same."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Rng = np.random.Generator
Make = Callable[[Rng, int], Any]

SEED = 20260301
DAY_US = 86_400_000_000


class Case(NamedTuple):
    """One thing to sort.

    Parameters
    ----------
    group : str
        ``pattern``, ``type``, ``size``, ``keys`` or ``table``.
    name : str
        What is sorted.
    columns : dict
        Column name to NumPy or Arrow values, the key columns first.
    by : dict
        Key column name to whether it is descending.
    """

    group: str
    name: str
    columns: dict[str, Any]
    by: dict[str, bool]

    @property
    def n_rows(self) -> int:
        """Rows of the case."""
        return len(next(iter(self.columns.values())))


def _uniform(rng: Rng, n: int) -> Any:
    return rng.integers(-(2**63), 2**63 - 1, n)


def _normal(rng: Rng, n: int) -> Any:
    return rng.normal(size=n)


def _lognormal(rng: Rng, n: int) -> Any:
    return (rng.lognormal(0, 2, n) * 1e6).astype(np.int64)


def _timestamps(rng: Rng, n: int) -> Any:
    """Return events in bursts: microseconds of a year, in 1,000 clusters."""
    centres = rng.integers(0, 365 * DAY_US, 1000)
    spread = rng.exponential(DAY_US / 24, n).astype(np.int64)
    at = centres[rng.integers(0, 1000, n)] + spread
    return (at + 1_700_000_000_000_000).view("M8[us]")


def _outliers(rng: Rng, n: int) -> Any:
    values = rng.integers(0, 2**30, n)
    values[rng.integers(0, n, 100)] = 2**62
    return values


def _moved(rng: Rng, n: int) -> Any:
    values = np.sort(_uniform(rng, n))
    values[rng.integers(0, n, n // 100)] = _uniform(rng, n // 100)
    return values


def _saws(rng: Rng, n: int) -> Any:
    return np.arange(n) % max(n // 100, 1)


def _pipe_organ(rng: Rng, n: int) -> Any:
    return np.minimum(np.arange(n), np.arange(n, 0, -1))


def _organ_of_runs(rng: Rng, n: int) -> Any:
    """Return 16 sorted runs of random values, every other one descending."""
    runs = np.array_split(_uniform(rng, n), 16)
    return np.concatenate(
        [np.sort(r)[::-1] if i % 2 else np.sort(r) for i, r in enumerate(runs)]
    )


def _two_runs(rng: Rng, n: int) -> Any:
    return np.concatenate([np.sort(run) for run in np.array_split(_uniform(rng, n), 2)])


def _nan_heavy(rng: Rng, n: int) -> Any:
    values = rng.normal(size=n)
    values[rng.random(n) < 0.5] = np.nan
    return values


def _null_heavy(rng: Rng, n: int) -> Any:
    return pa.array(_uniform(rng, n), mask=rng.random(n) < 0.5)


def _unseen(rng: Rng, n: int) -> Any:
    """Return a wide spread, with one row in 1,000 in a range too narrow for a sample to see."""
    values = _uniform(rng, n)
    at = rng.integers(0, n, n // 1000)
    values[at] = 2**40 + rng.integers(0, 2**16, len(at))
    return values


PATTERNS: dict[str, Make] = {
    "uniform": _uniform,
    "normal": _normal,
    "lognormal": _lognormal,
    "timestamps": _timestamps,
    "Zipf": lambda rng, n: rng.zipf(1.2, n),
    "outliers": _outliers,
    "few distinct": lambda rng, n: _uniform(rng, 100)[rng.integers(0, 100, n)],
    "few distinct floats": lambda rng, n: rng.normal(size=5000)[rng.integers(0, 5000, n)],
    "constant": lambda rng, n: np.full(n, 42),
    "sorted": lambda rng, n: np.sort(_uniform(rng, n)),
    "reversed": lambda rng, n: np.sort(_uniform(rng, n))[::-1].copy(),
    "1 % moved": _moved,
    "saws": _saws,
    "pipe organ": _pipe_organ,
    "organ of runs": _organ_of_runs,
    "two runs": _two_runs,
    "NaN-heavy": _nan_heavy,
    "null-heavy": _null_heavy,
    "unseen range": _unseen,
}


def _integers(dtype: npt.DTypeLike) -> Make:
    info = np.iinfo(np.dtype(dtype))

    def make(rng: Rng, n: int) -> Any:
        return rng.integers(info.min, info.max, n, dtype=info.dtype, endpoint=True)

    return make


def _fixed_text(letters: Any) -> Any:
    n, width = letters.shape
    offsets = np.arange(0, width * n + 1, width, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(letters))


def _short_strings(rng: Rng, n: int) -> Any:
    return _fixed_text(rng.integers(ord("a"), ord("z") + 1, (n, 12), dtype=np.uint8))


def _urls(rng: Rng, n: int) -> Any:
    """Return URLs of 2,000 hosts by popularity, with paths that share their first words."""
    hosts = [
        f"https://www.{name}.example/"
        for name in _short_strings(np.random.default_rng(SEED), 2000).to_pylist()
    ]
    paths = [f"{a}/{b}/" for a in ("products", "articles", "users") for b in range(200)]
    parts = [
        pa.array(hosts).take(pa.array(np.minimum(rng.zipf(1.3, n), 2000) - 1)),
        pa.array(paths).take(pa.array(rng.integers(0, len(paths), n))),
        pa.array(rng.integers(0, 10**9, n)).cast(pa.string()),
        ".html",
    ]
    return pc.binary_join_element_wise(*parts, "")


def _codes(rng: Rng, n: int, distinct: int) -> Any:
    """Return strings of 12 letters, ``distinct`` different ones."""
    return _short_strings(rng, distinct).take(pa.array(rng.integers(0, distinct, n)))


def _decimals(rng: Rng, n: int) -> Any:
    """Return prices of decimal128(15, 2), as most databases give them."""
    limbs = np.zeros((n, 2), np.int64)
    limbs[:, 0] = rng.integers(90_000, 10_500_000, n)
    return pa.Array.from_buffers(pa.decimal128(15, 2), n, [None, pa.py_buffer(limbs)])


TYPES: dict[str, Make] = {
    **{
        name: _integers(name)
        for name in ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")
    },
    "bool": lambda rng, n: rng.random(n) < 0.5,
    "float16": lambda rng, n: rng.normal(size=n).astype(np.float16),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
    "decimal128": _decimals,
    "short strings": _short_strings,
    "URLs": _urls,
    "dictionary": lambda rng, n: _codes(rng, n, 1000).dictionary_encode(),
}


def _dates(rng: Rng, n: int) -> Any:
    return pa.array(rng.integers(8000, 10600, n, dtype=np.int32), pa.date32())


KEYS: dict[str, tuple[Callable[[Rng, int], dict[str, Any]], dict[str, bool]]] = {
    "string of 100 K, int64": (
        lambda rng, n: {"s": _codes(rng, n, 100_000), "i": _uniform(rng, n)},
        {"s": False, "i": False},
    ),
    "date, int64 desc, int32": (
        lambda rng, n: {
            "d": _dates(rng, n),
            "i": rng.integers(0, 1_000_000_000, n),
            "j": rng.integers(0, 1000, n, dtype=np.int32),
        },
        {"d": False, "i": True, "j": False},
    ),
    "float64, string": (
        lambda rng, n: {"f": rng.normal(size=1000)[rng.integers(0, 1000, n)].round(2),
                        "s": _short_strings(rng, n)},
        {"f": False, "s": False},
    ),
}  # fmt: skip

SIZES = (10_000, 30_000, 100_000, 1_000_000, 20_000_000)
SIZED = ("uniform", "normal", "lognormal", "timestamps")


def _rng(name: str, n: int) -> Rng:
    return np.random.default_rng([SEED, zlib.crc32(name.encode()), n])


def names(n_rows: int) -> list[tuple[str, str, int]]:
    """Return (group, name, rows) of each case of the benchmark at a main size."""
    return [
        *(("pattern", name, n_rows) for name in PATTERNS),
        *(("type", name, n_rows) for name in TYPES),
        *(("keys", name, n_rows) for name in KEYS),
        ("table", "int64, float64, int32, string", n_rows),
        *(("size", name, n) for n in SIZES for name in SIZED if n <= 2 * n_rows),
    ]


def make(group: str, name: str, n: int) -> Case:
    """Return one case."""
    rng = _rng(name, n)
    if group == "keys":
        columns, by = KEYS[name]
        return Case(group, name, columns(rng, n), by)
    if group == "table":
        table = {
            "key": _uniform(rng, n),
            "value": rng.normal(size=n),
            "count": rng.integers(0, 1_000_000, n, dtype=np.int32),
            "name": _short_strings(rng, n),
        }
        return Case(group, name, table, {"key": False})
    values = (TYPES if group == "type" else PATTERNS)[name](rng, n)
    return Case(group, name, {"key": values}, {"key": False})
