"""Mutated Parquet files for ``sort`` and ``check``: refused, or sorted as pyarrow reads them.

Not collected by pytest (a few files are, by test_fuzz_parquet.py). Children do the work, each
with one embedded cluster for all of its files, so that a crash or a hang is seen from outside::

    python tests/kits/fuzz_parquet.py --files 10000 --seed 1
    python tests/kits/fuzz_parquet.py --seed 1 --file 1234  # one file again; it is kept here

A child sorts the file and, if that is not refused, reads it with pyarrow, sorts that, and
compares; then dlsort checks the result against the file, and the file itself. So a crash of
pyarrow alone, over a file that dlsort refuses, is never met.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from patience import PATIENCE_S

MIB = 2**20
MEMORY_BYTES = 640 * MIB  # what each sort may use, with all that its process has loaded
ADDRESS_BYTES = 12 * 1024 * MIB  # what a child may map: far more than it may use

REFUSED, SORTED, WRONG, BUG, CRASH, HANG, TOO_LARGE = (
    "refused",
    "sorted",
    "wrong answers",
    "bugs",
    "crashes",
    "hangs",
    "above the budget",
)
FAILURES = (WRONG, BUG, CRASH, HANG, TOO_LARGE)


class Outcome(NamedTuple):
    """What became of a file."""

    number: int
    what: str
    told: str
    peak_bytes: int


# ---------------------------------------------------------------- a child


def serve(connection: Connection, seed: int, folder: str) -> None:
    """Take numbers of files and send what became of them, until there are none."""
    from dlsort_cluster.clusters.connect import connect

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    warnings.simplefilter("error")
    work = Path(folder)
    with connect(threads=2, memory_bytes=MEMORY_BYTES, temp_dir=folder) as client:
        address = client.scheduler.address
        connection.send(None)  # ready
        while (number := connection.recv()) is not None:
            connection.send(judge(seed, number, address, work))


def judge(seed: int, number: int, address: str, work: Path) -> Outcome:
    """Sort and check one file, and tell whether that was right."""
    from dlsort.errors import DlsortError, NotProvedError
    from parquet_mutations import mutated

    _, by, data = mutated(seed, number)
    source, out = work / "in.parquet", work / "out"
    source.write_bytes(data)
    forget_peak()
    try:
        what, told = SORTED, _sort_and_compare(source, out, by, address, number)
        if told:
            what = WRONG
    except NotProvedError as error:
        what, told = BUG, str(error)
    except DlsortError as error:
        what, told = REFUSED, str(error)
        if "\n" in told:
            what, told = BUG, f"a message of several lines: {told!r}"
        elif _left_behind(work):
            what, told = BUG, f"{told} Left behind: {_left_behind(work)}"
    except Exception:
        what, told = BUG, traceback.format_exc()
    peak = peak_bytes()
    if peak > MEMORY_BYTES and what in (REFUSED, SORTED):
        what, told = TOO_LARGE, f"{peak / MIB:.0f} MiB: {told}"
    shutil.rmtree(out, ignore_errors=True)
    return Outcome(number, what, told, peak)


def _left_behind(work: Path) -> list[str]:
    return [path.name for path in work.iterdir() if path.name.startswith((".out", "out"))]


def _sort_and_compare(source: Path, out: Path, by: str, address: str, number: int) -> str:
    """Return what is wrong, or nothing."""
    from dlsort.check import check_dataset
    from dlsort.dataset import sort_dataset
    from dlsort.errors import DlsortError

    try:
        sort_dataset(
            source,
            out,
            by=by,
            scheduler=address,
            partitions=1 + number % 3,
            memory=MEMORY_BYTES,
        )
    except DlsortError:
        check_refused_or_told(source, by)
        raise
    table = pq.ParquetFile(source).read()
    order = stable_order(table, by)
    found = pa.concat_tables([pq.ParquetFile(part).read() for part in sorted(out.iterdir())])
    if found.schema != table.schema:
        return f"by {by}: not the columns of the source, but {found.schema}"
    if not same_table(without_views(found), without_views(table).take(order)):
        return f"by {by}: not the rows of the source in order"
    checked = check_dataset(out, by=by, against=source, threads=1)
    if not checked.ok:
        return f"check does not take what sort has made: {checked.to_text()}"
    is_sorted = bool((np.asarray(order) == np.arange(len(order))).all())
    told = check_dataset(source, by=by, threads=1)
    if told.ok != is_sorted:
        return f"check says of the source: {told.to_text()}"
    return ""


def check_refused_or_told(source: Path, by: str) -> None:
    """Check a file whose sort was refused: what it tells may differ, if it is no bug."""
    from dlsort.check import check_dataset
    from dlsort.errors import DlsortError

    with suppress(DlsortError):
        check_dataset(source, by=by, threads=1)


def forget_peak() -> None:
    """Let the system forget how much memory this process has had."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most memory that this process has had since."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise KeyError("VmHWM")


# ---------------------------------------------------------------- what is right


def stable_order(table: pa.Table, by: str) -> pa.Array:
    """Return the order of rows, as pyarrow sorts them: nulls and NaN last."""
    keys = {}
    orders = []
    for i, each in enumerate(by.split(",")):
        name, _, direction = each.partition(":")
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64())
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        if column.type in (pa.string_view(), pa.string(), pa.large_string()):
            column = column.cast(pa.large_binary())
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        # nulls are last whatever the direction
        keys[f"n{i}"] = pc.is_null(column).cast(pa.int8())
        keys[f"k{i}"] = column
        orders.append((f"n{i}", "ascending"))
        orders.append((f"k{i}", "descending" if direction == "desc" else "ascending"))
    keys["row"] = pa.chunked_array([np.arange(table.num_rows)])
    orders.append(("row", "ascending"))
    return pc.sort_indices(pa.table(keys), sort_keys=orders)


def without_views(table: pa.Table) -> pa.Table:
    """Return a table that pyarrow can take rows of."""
    for i, name in enumerate(table.column_names):
        if table.schema.field(i).type == pa.string_view():
            table = table.set_column(i, name, table[name].cast(pa.large_string()))
        elif table.schema.field(i).type == pa.binary_view():
            table = table.set_column(i, name, table[name].cast(pa.large_binary()))
    return table


def same_table(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two tables have the same rows, bit by bit."""
    if one.num_rows != other.num_rows:
        return False
    columns = zip(one.columns, other.columns, strict=True)
    return all(same(_one_chunk(a), _one_chunk(b)) for a, b in columns)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(column.type):  # each part has its own
        column = column.cast(column.type.value_type)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def same(one: pa.Array, other: pa.Array) -> bool:
    """Return whether two arrays are equal; NaN is NaN if it has the same bits."""
    if one.equals(other):
        return True
    if len(one) != len(other) or not one.is_null().equals(other.is_null()):
        return False
    kind = one.type
    if pa.types.is_floating(kind):
        whole = pa.int64() if kind == pa.float64() else pa.int32()
        if kind == pa.float16():
            whole = pa.int16()
        return one.drop_null().view(whole).equals(other.drop_null().view(whole))
    if pa.types.is_struct(kind):
        one, other = one.drop_null(), other.drop_null()
        pairs = zip(one.flatten(), other.flatten(), strict=True)
        return all(same(a, b) for a, b in pairs)
    if pa.types.is_list(kind):
        lengths = pc.list_value_length(one).equals(pc.list_value_length(other))
        return lengths and same(one.flatten(), other.flatten())
    return False


# ---------------------------------------------------------------- the parent


@dataclass
class Child:
    """A process that judges files, and the one it is at."""

    process: Any
    connection: Connection
    folder: str
    number: int | None = None
    deadline: float = field(default_factory=lambda: time.monotonic() + PATIENCE_S)


def start_child(seed: int) -> Child:
    """Start a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    folder = tempfile.mkdtemp(prefix="fuzz-parquet-")
    process = context.Process(target=serve, args=(theirs, seed, folder))
    process.start()
    theirs.close()
    return Child(process, ours, folder)


def end_child(child: Child) -> int | None:
    """End a child, by force if it must be, and return how it ended."""
    child.connection.close()
    child.process.join(10)
    if child.process.is_alive():
        child.process.kill()
        child.process.join()
    shutil.rmtree(child.folder, ignore_errors=True)
    return child.process.exitcode


@contextmanager
def children(seed: int, count: int) -> Iterator[list[Child]]:
    """Give some children, who don't outlive the block."""
    started: list[Child] = []
    try:
        started += [start_child(seed) for _ in range(count)]
        yield started
    finally:
        for child in started:
            if child.number is not None:
                child.process.kill()
            elif child.process.is_alive():
                child.connection.send(None)
            end_child(child)


def outcomes(seed: int, numbers: range, n_processes: int) -> Iterator[Outcome]:
    """Yield what becomes of each file, as it is known."""
    waiting = iter(numbers)
    with children(seed, n_processes) as at_work:
        idle = 0
        while idle < len(at_work):
            wait([child.connection for child in at_work], timeout=1)
            idle = 0
            for i, child in enumerate(at_work):
                what, told = "", ""
                try:
                    if child.connection.poll():
                        found = child.connection.recv()
                        if found is not None:
                            yield found
                        child.number = next(waiting, None)
                        if child.number is None:
                            child.deadline = float("inf")
                        else:
                            child.deadline = time.monotonic() + PATIENCE_S
                            child.connection.send(child.number)
                    elif time.monotonic() > child.deadline:
                        what, told = HANG, f"no answer in {PATIENCE_S:.0f} s"
                        child.process.kill()
                except (EOFError, ConnectionError):
                    what = CRASH
                if what:
                    number, child.number = child.number, None
                    code = end_child(child)
                    at_work[i] = start_child(seed)
                    if number is None:
                        raise RuntimeError(f"a child can't start: it ended with {code}")
                    yield Outcome(number, what, told or f"it ended with {code}", 0)
                idle += at_work[i].deadline == float("inf")


def run(seed: int, numbers: range, n_processes: int, *, show_refused: bool) -> int:
    """Judge files, print the tally, and return how many went wrong."""
    began = time.monotonic()
    tally: Counter[str] = Counter()
    peak = 0
    for outcome in outcomes(seed, numbers, n_processes):
        tally[outcome.what] += 1
        peak = max(peak, outcome.peak_bytes)
        if outcome.what in FAILURES:
            print(f"file {outcome.number}: {outcome.what}: {outcome.told}")
            print(f"  again: python {sys.argv[0]} --seed {seed} --file {outcome.number}")
        elif show_refused:
            print(f"file {outcome.number}: {outcome.what} {outcome.told}")
        n_done = sum(tally.values())
        if n_done % 1000 == 0:
            print(f"{n_done:,} files, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{sum(tally.values()):,} files of seed {seed} in {time.monotonic() - began:.0f} s")
    for what in (REFUSED, SORTED, *FAILURES):
        print(f"{tally[what]:>8,} {what}")
    print(f"{peak / MIB:>8,.0f} MiB at the most, of {MEMORY_BYTES / MIB:,.0f}")
    return sum(tally[what] for what in FAILURES)


def main() -> int:
    """Judge as many files as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--file", type=int, help="this one only; it is kept in this folder")
    parser.add_argument("--show-refused", action="store_true", help="print every outcome")
    options = parser.parse_args()
    faulthandler.enable()
    if options.file is None:
        numbers = range(options.files)
        return min(
            1, run(options.seed, numbers, options.processes, show_refused=options.show_refused)
        )
    from parquet_mutations import mutated

    base, by, data = mutated(options.seed, options.file)
    kept = Path(f"fuzz-{options.seed}-{options.file}.parquet")
    kept.write_bytes(data)
    print(f"{kept}: {base.name}, by {by}")
    numbers = range(options.file, options.file + 1)
    return min(1, run(options.seed, numbers, 1, show_refused=True))


if __name__ == "__main__":
    raise SystemExit(main())
