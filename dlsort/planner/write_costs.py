"""Write costs: what this machine's pyarrow takes for a value in one encoding or another.

The figures of :class:`dlsort.tuning.WriteCosts` that are nanoseconds, each the difference of
two writes to memory, as its comments there say.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dlsort.tuning import WriteCosts

__all__ = ["costs_of", "measure_costs"]

N_VALUES = 1 << 18  # a row group
TRIES = 3
#: A measured cost stays within this factor of the built-in one: whatever a busy machine shows.
BOUND = 4.0
# What stands for a profile's facts that are costs.
PREFIX = "write_"
_NS = 1e9


def measure_costs(n_values: int = N_VALUES, seed: int = 0) -> dict[str, float]:
    """Return what values take to be written here, in nanoseconds, by names of facts.

    Parameters
    ----------
    n_values : int
        Values of each column that is written.
    seed : int
        Of what is in them.
    """
    rng = np.random.default_rng(seed)
    n = n_values
    few, many = 100, max(2, n // 9)
    whole = rng.integers(-(2**62), 2**62, n)
    floats = rng.random(n)
    letters = pa.array(rng.integers(97, 123, (n, 12), np.uint8).view("S12").ravel()).cast(
        "string"
    )
    numbers = pa.array(rng.integers(0, n, n)).cast("string")
    words = pc.binary_join_element_wise("the same words", numbers, " ")

    def ns(values: Any, encoding: str, codec: str = "none") -> float:
        table = pa.table({"x": values})
        how: dict[str, Any] = {"use_dictionary": encoding == "dictionary"}
        if encoding != "dictionary":
            how["column_encoding"] = {"x": encoding}
        best = float("inf")
        for _ in range(TRIES):
            sink = pa.BufferOutputStream()
            began = time.perf_counter()
            pq.write_table(table, sink, compression=codec, write_statistics=False, **how)
            best = min(best, time.perf_counter() - began)
        return best / n * _NS

    plain = ns(whole, "PLAIN")
    of_few = ns(rng.integers(0, few, n) << 40, "dictionary")
    of_many = ns(rng.integers(0, many, n) << 40, "dictionary")
    text_few = ns(pa.array(rng.integers(0, few, n)).cast("string"), "dictionary")
    text_many = ns(pa.array(rng.integers(0, many, n)).cast("string"), "dictionary")
    in_order = ns(np.arange(n), "DELTA_BINARY_PACKED")
    packable = rng.integers(0, 1000, n) << 20
    share = (many - few) / n
    found = {
        "dictionary_ns": of_few - plain,
        "dictionary_share_ns": (of_many - of_few) / share,
        "text_dictionary_share_ns": (text_many - text_few) / share,
        "delta_ns": in_order - plain,
        "delta_byte_ns": (ns(whole, "DELTA_BINARY_PACKED") - in_order) / 8,
        "split_ns": ns(floats, "BYTE_STREAM_SPLIT") - ns(floats, "PLAIN"),
        "hopeless_byte_ns": (
            ns(letters, "PLAIN", "snappy") - ns(letters, "DELTA_LENGTH_BYTE_ARRAY", "snappy")
        )
        / 12,
    }
    for name, codec in (("light", "snappy"), ("thorough", "zstd")):
        text = ns(words, "PLAIN", codec)
        found |= {
            f"packing_byte_ns_{name}": (ns(packable, "PLAIN", codec) - plain) / 8,
            f"delta_length_ns_{name}": ns(words, "DELTA_LENGTH_BYTE_ARRAY", codec) - text,
            f"delta_text_ns_{name}": ns(words, "DELTA_BYTE_ARRAY", codec) - text,
        }
    return {f"{PREFIX}{name}": max(0.0, value) for name, value in found.items()}


def costs_of(facts: Mapping[str, float], usual: WriteCosts) -> WriteCosts:
    """Return the costs that a profile's facts tell, each near to the usual one.

    Parameters
    ----------
    facts : mapping of str to float
        Those of :func:`measure_costs`, and others.
    usual : WriteCosts
        What holds where nothing is told.
    """

    def near(name: str, value: float) -> float:
        told = facts.get(f"{PREFIX}{name}", value)
        return min(max(told, value / BOUND), value * BOUND)

    found: dict[str, Any] = {}
    for each in fields(usual):
        value = getattr(usual, each.name)
        if each.name.endswith("_ns") and isinstance(value, tuple):
            light, thorough = value
            found[each.name] = (
                near(f"{each.name}_light", light),
                near(f"{each.name}_thorough", thorough),
            )
        elif each.name.endswith("_ns") and f"{PREFIX}{each.name}" in facts:
            found[each.name] = near(each.name, value)
    return replace(usual, **found)
