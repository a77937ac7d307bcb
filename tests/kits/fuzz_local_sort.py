"""Random sorts against NumPy's own, for as long as there is time.

Not collected by pytest. Each case draws key columns of any types and patterns, directions,
null places, threads, and tunables so small that a few rows reach every path; all doors must
find what ``numpy.lexsort`` finds::

    python tests/kits/fuzz_local_sort.py --seconds 600 --seed 0
    python tests/kits/fuzz_local_sort.py --seed 0 --case 1234      # one case again
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

import dlsort
from dlsort.tuning import OrderTuning
from dlsort_kernels import learned_groups as groups
from dlsort_kernels import natural_runs, sort
from dlsort_kernels import threads as kernel_threads
from patterns import MOST, PATTERNS, Words

Rng = np.random.Generator
Places = npt.NDArray[np.int64]

MOST_ROWS = 200_000


@dataclass
class KeyColumn:
    """Values as a library has them, and what the order depends on."""

    what: str
    values: Any
    codes: Places  # equal for equal values, ascending with them
    missing: npt.NDArray[np.bool]


# ---------------------------------------------------------------- columns


def words(rng: Rng, n: int) -> tuple[str, Words]:
    """Return words of a random pattern, often shuffled, or a few natural runs of them."""
    make = PATTERNS[rng.integers(len(PATTERNS))]
    found = make(rng, n)
    what = make.__name__
    if rng.random() < 0.3:
        found = rng.permutation(found)
        what += " shuffled"
    if n and rng.random() < 0.3:
        powers = np.uint64(1) << rng.integers(0, 64, 3, dtype=np.uint64)
        extremes = np.concatenate([powers, ~powers, np.array([0, MOST], np.uint64)])
        share = rng.choice([0.5, 5 / n])
        found = np.where(rng.random(n) < share, rng.choice(extremes, n), found)
        what += " with extremes"
    if n and rng.random() < 0.15:
        cuts = np.sort(rng.integers(0, n, rng.integers(0, 6)))
        runs = [np.sort(run) for run in np.split(found, cuts)]
        found = np.concatenate([run[::-1] if rng.random() < 0.4 else run for run in runs])
        what += " in runs"
    return what, found


def codes_of(values: np.ndarray) -> Places:
    if not len(values):
        return np.empty(0, np.int64)
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def integers(rng: Rng, n: int) -> KeyColumn:
    kind = np.dtype(rng.choice(["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", "?"]))
    what, found = words(rng, n)
    if kind.itemsize < 8 and rng.random() < 0.7:
        found = found >> np.uint64(64 - 8 * kind.itemsize)
    values = found.astype(kind)
    return KeyColumn(f"{kind} {what}", values, codes_of(values), np.zeros(n, np.bool))


def floats(rng: Rng, n: int) -> KeyColumn:
    kind = np.dtype(rng.choice(["f2", "f4", "f8", ">f8"]))
    way = rng.integers(4)
    what, found = words(rng, n)
    whole = np.dtype(f"u{kind.itemsize}")
    if way == 0:
        what = "any bits of " + what
        values = (
            (found >> np.uint64(64 - 8 * kind.itemsize))
            .astype(whole)
            .view(kind.newbyteorder("="))
        )
        values = values.astype(kind)
    else:
        scale = [2.0**-60, 1.0, 1e-3][way - 1]
        with np.errstate(over="ignore"):
            values = (found.view(np.int64) * scale).astype(kind)
    share = rng.choice([0.0, 0.01, 0.6])
    limits = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], kind)
    values = np.where(rng.random(n) < share, rng.choice(limits, n), values).astype(kind)
    missing = np.isnan(values)
    codes = codes_of(np.where(missing, 0, values))
    return KeyColumn(f"{kind} {what}", values, codes, missing)


def times(rng: Rng, n: int) -> KeyColumn:
    unit = rng.choice(["M8[s]", "M8[ns]", "M8[D]", "M8[h]", "M8[W]", "m8[us]", "m8"])
    what, found = words(rng, n)
    values = (found >> np.uint64(rng.integers(1, 40))).astype(np.int64).view(unit)
    values = np.where(
        rng.random(n) < rng.choice([0, 0.1, 0.9]), values.dtype.type("NaT"), values
    )
    values = values.astype(unit)
    return KeyColumn(
        f"{unit} {what}", values, codes_of(values.view(np.int64)), np.isnat(values)
    )


def arrow_numbers(rng: Rng, n: int) -> KeyColumn:
    column = integers(rng, n)
    native = column.values.astype(column.values.dtype.newbyteorder("="))
    missing = rng.random(n) < rng.choice([0.0, 0.001, 0.3, 0.99, 1.0])
    values = chunks(rng, pa.array(native, mask=missing))
    return KeyColumn(f"Arrow {column.what}", values, column.codes, missing)


def strings(rng: Rng, n: int) -> KeyColumn:
    """Return values out of a pool that Python has sorted."""
    size = int(rng.integers(1, 3_000))
    most = int(rng.integers(1, 25))
    shared = b"shared by all " if rng.random() < 0.3 else b""
    letters = int(rng.choice([1, 2, 26]))
    pool = {
        shared
        + (97 + rng.integers(0, letters, rng.integers(0, most + 1))).astype(np.uint8).tobytes()
        for _ in range(size)
    }
    kind = pa.string()
    if rng.random() < 0.3:
        pool = {value.replace(b"a", b"\0").replace(b"b", b"\xff") for value in pool}
        kind = pa.binary()
    kind = kind if rng.random() < 0.7 else {pa.string(): pa.large_string()}.get(kind, kind)
    return pooled(rng, n, kind, sorted(pool))


def decimals(rng: Rng, n: int) -> KeyColumn:
    size, digits = int(rng.integers(1, 500)), int(rng.integers(1, 38))
    numbers = {
        int("".join(map(str, rng.integers(0, 10, rng.integers(1, digits + 1)))))
        * (-1 if rng.random() < 0.5 else 1)
        for _ in range(size)
    }
    pool = [Decimal(number).scaleb(-3) for number in sorted(numbers)]
    return pooled(rng, n, pa.decimal128(38, 3), pool)


def pooled(rng: Rng, n: int, kind: pa.DataType, pool: list[Any]) -> KeyColumn:
    _, found = words(rng, n)
    codes = (found % np.uint64(len(pool))).astype(np.int64)
    missing = rng.random(n) < rng.choice([0.0, 0.01, 0.5])
    values = pa.array(pool, kind).take(pa.array(codes, mask=missing))
    what = str(kind)
    if rng.random() < 0.2 and not pa.types.is_decimal(kind):
        values, what = values.dictionary_encode(), f"dictionary of {what}"
    elif rng.random() < 0.1 and kind == pa.string():
        values, what = values.cast(pa.string_view()), "string_view"
    return KeyColumn(f"{what}, {len(pool)} values", chunks(rng, values), codes, missing)


def chunks(rng: Rng, values: pa.Array) -> pa.Array | pa.ChunkedArray:
    """Return the values in one piece, behind others, or in a few chunks."""
    n, way = len(values), rng.integers(3)
    if way == 0:
        return values
    if way == 1 and n:
        return pa.concat_arrays([values[: n // 2], values])[n // 2 :]
    cuts = [0, *np.sort(rng.integers(0, n + 1, 2)).tolist(), n]
    pieces = [values[a:b] for a, b in itertools.pairwise(cuts)]
    return pa.chunked_array(pieces, values.type)


MAKES: list[Callable[[Rng, int], KeyColumn]] = [
    integers,
    integers,
    floats,
    floats,
    times,
    arrow_numbers,
    strings,
    decimals,
]


# ---------------------------------------------------------------- one case


@contextmanager
def tunables(rng: Rng) -> Iterator[tuple[OrderTuning, str]]:
    """Draw some tunables smaller than they are; results do not depend on them."""
    small = [
        (groups, "GROUP_ROWS", [16, 300, 4096]),
        (groups, "MOST_GROUPS", [2, 60]),
        (kernel_threads, "THREAD_ROWS", [1, 1000]),
        (groups, "CROWD", [0, 2]),
        (groups, "REPEATED", [0.0, 2.0]),
        (sort, "SHORT", [2, 5]),
        (sort, "LONG_BITS", [3, 8]),
        (sort, "BATCH", [64, 4096]),
        (natural_runs, "MOST_RUNS", [2, 7]),
        (natural_runs, "MOST_MERGED", [1, 2]),
    ]
    of_order = [
        ("block_rows", [100, 3000]),
        ("numpy_rows", [0, 100]),
        ("arrow_rows", [0, 100]),
        ("lead_rows", [1, 500]),
        ("refined_rows", [10, 300]),
        ("ranked_rows", [1, 500]),
        ("ranked_share", [0.01, 0.3]),
        ("spread_bytes", [1, 10_000]),
    ]
    with ExitStack() as stack:
        drawn = []
        for where, name, choices in small:
            if rng.random() < 0.4:
                value = choices[rng.integers(len(choices))]
                stack.enter_context(mock.patch.object(where, name, value))
                drawn.append(f"{name} = {value}")
        changed = {
            name: choices[rng.integers(len(choices))]
            for name, choices in of_order
            if rng.random() < 0.4
        }
        drawn += [f"{name} = {value}" for name, value in changed.items()]
        yield OrderTuning(**changed), ", ".join(drawn)


def expected_order(columns: list[KeyColumn], up: list[bool], first: list[bool]) -> Places:
    levels = []
    for column, ascending, nulls_first in zip(columns, up, first, strict=True):
        at_end = ~column.missing if nulls_first else column.missing
        levels += [
            at_end,
            np.where(column.missing, 0, column.codes if ascending else -column.codes),
        ]
    return np.lexsort(levels[::-1])


def expect(found: Any, want: Any, what: str) -> None:
    """Raise if a door found something else."""
    if isinstance(want, bool):
        if found is not want:
            msg = f"{what}: {found}, expected {want}"
            raise AssertionError(msg)
        return
    if len(found) != len(want):
        msg = f"{what}: {len(found):,} rows, expected {len(want):,}"
        raise AssertionError(msg)
    differs = np.flatnonzero(np.asarray(found) != want)
    if len(differs):
        at = int(differs[0])
        msg = (
            f"{what}: {len(differs):,} of {len(want):,} places differ; "
            f"at {at:,} found {found[at]}, expected {want[at]}"
        )
        raise AssertionError(msg)


def check_case(seed: int, case: int) -> list[str]:
    """Run one case; raise at the first difference, with what was drawn as a note."""
    rng = np.random.default_rng([seed, case])
    drawn: list[str] = []
    try:
        _check_case(rng, drawn)
    except BaseException as error:
        error.add_note("drawn: " + "\n       ".join(drawn))
        raise
    return drawn


def _check_case(rng: Rng, drawn: list[str]) -> None:
    n = int(np.exp(rng.random() * np.log(MOST_ROWS + 1))) - 1
    count = int(rng.choice([1, 1, 1, 2, 3]))
    columns = [MAKES[rng.integers(len(MAKES))](rng, n) for _ in range(count)]
    up = [bool(rng.integers(2)) for _ in columns]
    first = [bool(rng.integers(2)) for _ in columns]
    threads = int(rng.choice([1, 1, 2, 3]))
    drawn.append(f"{n:,} rows, {threads} threads")
    drawn += [
        f"{column.what}, ascending={is_up}, nulls first={is_first}"
        for column, is_up, is_first in zip(columns, up, first, strict=True)
    ]
    how: dict[str, Any] = {
        "ascending": up,
        "na_position": ["first" if each else "last" for each in first],
    }
    keys = [column.values for column in columns]
    want = expected_order(columns, up, first)
    marks = np.stack([np.where(c.missing, -1, c.codes) for c in columns])[:, want]
    again = np.concatenate([np.zeros(min(n, 1), bool), (marks[:, 1:] == marks[:, :-1]).all(0)])
    number = np.cumsum(~again) - 1
    places = {
        "first": np.arange(n),
        "dense": number,
        "min": np.flatnonzero(~again)[number],
    }
    in_rows = np.empty(n, np.int64)
    in_rows[want] = number
    with tunables(rng) as (tuning, shrunken):
        drawn.append(shrunken)
        how["_tuning"] = tuning
        expect(dlsort.argsort(keys, threads=threads, **how), want, "argsort")
        method = str(rng.choice(list(places)))
        ranks = dlsort.rank(keys, method=method, threads=threads, **how)
        expect(ranks[want], places[method], f"rank {method}")
        expect(dlsort.is_sorted(keys, **how), bool((np.diff(in_rows) >= 0).all()), "is_sorted")
        check_table(rng, columns, up, first, want, {"threads": threads, "_tuning": tuning})


def check_table(
    rng: Rng,
    columns: list[KeyColumn],
    up: list[bool],
    first: list[bool],
    want: Places,
    how: dict[str, Any],
) -> None:
    """Compare the doors for tables, which keep every column of a row together."""
    if not all(storable(column.values) for column in columns):
        return
    table = pa.table(
        {
            **{f"k{i}": native(column.values) for i, column in enumerate(columns)},
            "id": np.arange(len(want)),
            "text": pa.array(np.arange(len(want)) % 1000).cast(pa.string()),
        }
    )
    by = [
        dlsort.SortKey(f"k{i}", not is_up, is_first)
        for i, (is_up, is_first) in enumerate(zip(up, first, strict=True))
    ]
    found = dlsort.sort_table(table, by, **how)
    expect(found["id"].to_numpy(), want, "sort_table")
    texts = pa.array(want % 1000).cast(pa.string())
    if (
        found["text"].combine_chunks()
        != pa.chunked_array([texts], pa.string()).combine_chunks()
    ):
        raise AssertionError("sort_table: a text is not in its row")
    k = int(rng.integers(0, len(want) + 2))
    best = dlsort.top_k(table, k, by, **how)
    expect(best["id"].to_numpy(), want[:k], f"top_k of {k:,}")
    if rng.random() < 0.2 and pa.string_view() not in table.schema.types:
        # No views, which pandas can't take rows of; in one piece, because pyarrow 26 can't
        # take in an empty slice that pandas hands over.
        frame = table.combine_chunks().to_pandas(types_mapper=pd.ArrowDtype)
        found = dlsort.sort_table(frame, by, **how)
        expect(found["id"].to_numpy(np.int64), want, "sort_table of a pandas frame")


def storable(values: Any) -> bool:
    """Return whether Arrow has all values: not of NumPy's own units, nor days past 2^31."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "mM":
        return True
    return values.dtype.str[1:] in ("M8[s]", "M8[ns]", "m8[us]")


def native(values: Any) -> Any:
    if not isinstance(values, np.ndarray):
        return values
    return values.astype(values.dtype.newbyteorder("="))


def main() -> int:
    """Run cases until the time is up or one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one only")
    options = parser.parse_args()
    warnings.simplefilter("error")
    end = time.monotonic() + options.seconds
    case = options.case or 0
    while time.monotonic() < end:
        try:
            drawn = check_case(options.seed, case)
        except Exception:
            traceback.print_exc()
            print(f"again: python {sys.argv[0]} --seed {options.seed} --case {case}")
            return 1
        if options.case is not None:
            print("\n".join(drawn))
            break
        case += 1
        if case % 500 == 0:
            print(f"{case:,} cases", flush=True)
    print(f"{case:,} cases of seed {options.seed}: no difference")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
