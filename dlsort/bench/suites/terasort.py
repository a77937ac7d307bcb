"""The suite ``terasort``: the records of sortbenchmark.org, made, sorted and validated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dlsort.bench.engines import Engine, Share, Work
from dlsort.bench.figures import Size
from dlsort.bench.inputs import FILES, make_once
from dlsort.bench.rounds import Take, children, sort_and_check
from dlsort.bench.suites.race import Asked, Race
from dlsort.bench.suites.sort import read_once
from dlsort.bench.suites.usage import with_usage
from dlsort.records.format import RECORD_BYTES

__all__ = ["RECORD_ENGINES", "terasort_suite"]

NOTES = (
    "terasort: dlsort makes the records (as gensort does), sorts them by their first 10 bytes, "
    "proving the result within the time, and validates the result (as valsort does) outside of "
    "it: order, number of records, and their checksum. Of the others none sorts such records; "
    "copy, which copies the files, is the floor. MB are those of the records.",
)
_KINDS = {
    "Indy": (False, "Records with uniform keys, as for the category Indy"),
    "Daytona": (True, "Records with skewed keys, as for the category Daytona"),
}


class SortRecords:
    """dlsort's sort of records."""

    report: dict[str, Any] | None = None

    def __init__(self, share: Share) -> None:
        from dlsort.records.sort import sort_records

        self._sort = sort_records
        self._options: dict[str, Any] = {"temp_dir": share.temp_dir}
        if share.scheduler is None:
            self._options.update(threads=share.threads, memory=share.memory_bytes)
        else:
            self._options.update(scheduler=share.scheduler, temp_dir=None)

    def sort(self, work: Work, dst: Path) -> float:
        """Sort into a folder of files."""
        done = self._sort(work.src, dst, overwrite=True, **self._options)
        self.report = done.to_dict()
        return done.balance

    def close(self) -> None:
        """Keep nothing."""


class CopyRecords:
    """The floor: each file copied, n at a time."""

    report: dict[str, Any] | None = None

    def __init__(self, share: Share) -> None:
        self._pool = ThreadPoolExecutor(share.threads)

    def sort(self, work: Work, dst: Path) -> None:
        """Copy."""
        targets = [dst / Path(path).name for path in work.files]
        list(self._pool.map(shutil.copyfile, work.files, targets))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


RECORD_ENGINES: dict[str, type[Engine]] = {"dlsort": SortRecords, "copy": CopyRecords}


def terasort_suite(asked: Asked) -> Iterator[Race]:
    """Give the races of the suite.

    Raises
    ------
    DlsortError
        If the records can't be made.
    """
    for title, (skew, about) in _KINDS.items():
        folder = make_once(
            asked.inputs / f"{title.lower()}-{asked.rows}",
            partial(_make, n_records=asked.rows, skew=skew, threads=asked.share.threads),
        )
        work = Work(str(folder), tuple(map(str, sorted(folder.iterdir()))), ())
        n_bytes = asked.rows * RECORD_BYTES
        yield Race(
            title,
            f"{about}; {len(work.files)} files.",
            Size(asked.rows, n_bytes, n_bytes),
            {"dlsort": asked.cluster, "copy": asked.here},
            _takers(asked, work),
            NOTES,
            ("dlsort",),
        )


def _make(folder: Path, *, n_records: int, skew: bool, threads: int) -> None:
    from dlsort.records.generate import generate_records

    files = min(FILES, max(n_records, 1))
    generate_records(n_records, folder, skew=skew, files=files, threads=threads)


@contextmanager
def _takers(asked: Asked, work: Work) -> Iterator[Mapping[str, Take]]:
    from dlsort.records.validate import validate_records

    read_once(work)
    source = validate_records(work.src, threads=asked.share.threads)
    expected = source.n_records, source.checksum
    with (
        children(RECORD_ENGINES, asked.share) as started,
        with_usage(asked.share.scheduler) as asking,
    ):
        takers: dict[str, Take] = {}
        for name, child in started.items():
            check = partial(_verdict, expected=expected, ordered=name != "copy")
            out = asked.scratch / "out"
            take: Take = partial(sort_and_check, child, work=work, out=out, check=check)
            takers[name] = asking(take) if name == "dlsort" else take
        yield takers


def _verdict(work: Work, dst: Path, *, expected: tuple[int, int], ordered: bool) -> str:
    """Return "ok", or what valsort finds wrong with a result."""
    from dlsort.records.validate import validate_records

    found = validate_records(dst)
    if found.n_records != expected[0]:
        return f"{found.n_records:,} records of {expected[0]:,}"
    if found.checksum != expected[1]:
        return "other records"
    if ordered and not found.ok:
        return f"out of order at record {found.first_unordered:,}"
    return "ok"
