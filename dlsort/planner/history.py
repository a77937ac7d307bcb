"""History: what each job was predicted to take, and took, in a file of SQLite's.

It holds sizes and speeds, and nothing of the data: no value, path or name of a column. It is
help and no duty: whatever is wrong with it, a job goes on without, and waits for no lock for
longer than it takes to blink. Each call opens the file anew, so that nothing is left open, in
a forked process neither.

Changes are not forced to the disk. A process that is killed leaves the file whole; a machine
that loses its power may leave a damaged one, which is set aside.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dlsort.errors import DlsortWarning
from dlsort.planner.cache_folder import cache_folder
from dlsort.planner.speeds import Work

if TYPE_CHECKING:
    import sqlite3

__all__ = ["HISTORY", "History", "Run"]

#: Environment variable: the file's path, or ``off``.
HISTORY = "DLSORT_HISTORY"

_log = logging.getLogger(__name__)

_KEPT_RUNS = 2000  # what fits by the latest 200 has them for ten kinds of machines: 3 MB
_REMOVE_EVERY = 64  # appended runs
# For a lock to be had, and again for readers to leave: an append waits twice that at the most.
_WAIT_S = 0.1
_MOST_BYTES = 1 << 16  # of a run; a usual one has 1 KB
_MOST_AMOUNT = 1e18
_MOST_S = 1e10  # three hundred years
_MOST_SET_ASIDE = 9

# In SQLite's header: whose the file is, and which form the table has.
_OURS = 0x646C7372  # "dlsr"
_VERSION = 1
_TABLE = """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, at REAL, machine TEXT, job TEXT, names TEXT, numbers BLOB
    );
    CREATE INDEX by_machine ON runs (machine, id);
    CREATE INDEX by_job ON runs (job, machine, id);
"""


@dataclass(frozen=True)
class Run:
    """A job that is done.

    Parameters
    ----------
    at : float
        When, as ``time.time()``.
    machine : str
        Its key: see :func:`dlsort.planner.profile.machine_key`.
    job : str
        A digest of source, schema and key.
    work : mapping
        What there was to do: amounts by step and unit.
    predicted, measured : mapping
        Thread seconds by step.
    figures : mapping
        Whatever else is a number, not below zero: seconds of wall time, bytes at the peak.
    """

    at: float
    machine: str
    job: str
    work: Work
    predicted: Mapping[str, float]
    measured: Mapping[str, float]
    figures: Mapping[str, float]


class _NotOursError(Exception):
    """The file is of another program, or of a later dlsort."""


class _DamagedError(Exception):
    """The file is no history, though it should be."""


class History:
    """The runs of a file; of none, if ``path`` is None.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> history = History.open(folder.name + "/history.sqlite")
    >>> work = {"sort": {"rows": 1e6}}
    >>> history.append(Run(0.0, "mine", "job", work, {"sort": 1.0}, {"sort": 1.2}, {}))
    True
    >>> [run.measured for run in history.recent("mine")]
    [{'sort': 1.2}]
    >>> folder.cleanup()
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @classmethod
    def open(cls, place: str | None = None) -> History:
        """Return the history at a place, which need not be there yet.

        Parameters
        ----------
        place : str, optional
            A path, or ``off``; by default what ``DLSORT_HISTORY`` says, else
            ``history.sqlite`` in the user's cache folder.
        """
        place = place or os.environ.get(HISTORY)
        if place is None or not place.strip():
            folder = cache_folder()
            return cls(None if folder is None else folder / "history.sqlite")
        if place.strip().lower() == "off":
            return cls(None)
        path = Path(place)
        with suppress(RuntimeError):  # a ~ of nobody's
            path = path.expanduser()
        return cls(path)

    def append(self, run: Run) -> bool:
        """Add a run; return whether it was kept. Time O(log n), and at most some 0.2 s."""
        if self.path is None or not _has_sqlite():
            return False
        names, numbers = _packed(run)
        row = run.at, run.machine, run.job, names, numbers
        read = run.at, run.machine.encode(), run.job.encode(), names, numbers
        if len(names) + len(numbers) > _MOST_BYTES or _run_of(read, {}) is None:
            _log.debug("a run is not kept that can't be right: %s", run)
            return False
        is_kept = False
        for _ in range(2):  # once more where a damaged file was set aside
            with self._no_failure() as failed:
                with suppress(FileExistsError):
                    self.path.parent.mkdir(mode=0o700, parents=True)
                with self._opened("rwc") as db, _transaction(db):
                    _make_table(db)
                    added = db.execute(
                        "INSERT INTO runs (at, machine, job, names, numbers) "
                        "VALUES (?, ?, ?, ?, ?)",
                        row,
                    ).lastrowid
                    if added is not None and added % _REMOVE_EVERY == 0:
                        db.execute(
                            "DELETE FROM runs WHERE id < "
                            "(SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?)",
                            (_KEPT_RUNS - 1,),
                        )
                is_kept = True
            if not failed:
                break
        return is_kept

    def recent(self, machine: str, most: int = 200) -> list[Run]:
        """Return the latest runs on a machine, the newest last; none where that fails."""
        return self._read("machine = ?", (machine,), most)

    def of_job(self, job: str, machine: str, most: int = 20) -> list[Run]:
        """Return the latest runs of a job on a machine, the newest last."""
        return self._read("job = ? AND machine = ?", (job, machine), most)

    def files(self) -> list[Path]:
        """Return the files that there are of it, those that were set aside too."""
        if self.path is None:
            return []
        with suppress(OSError, ValueError):
            beside = [*self.path.parent.glob(f"{_escaped(self.path.name)}.damaged-*")]
            mine = [self.path, _journal(self.path)]
            return [each for each in [*mine, *sorted(beside)] if each.is_file()]
        return []

    def _read(self, where: str, of: tuple[str, ...], most: int) -> list[Run]:
        if self.path is None or not _has_sqlite():
            return []
        rows: list[Any] = []
        with self._no_failure(), self._opened("rw") as db:
            if _is_empty(db):
                return []
            db.text_factory = bytes  # what is damaged is no text
            rows = db.execute(
                f"SELECT at, machine, job, names, numbers FROM runs WHERE {where} "
                f"AND length(names) + length(numbers) <= {_MOST_BYTES} "
                "ORDER BY id DESC LIMIT ?",
                (*of, max(0, most)),
            ).fetchall()
        forms: dict[Any, _Form | None] = {}
        runs = (_run_of(row, forms) for row in reversed(rows))
        return [run for run in runs if run is not None]

    @contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        import sqlite3

        assert self.path is not None
        path = self.path.absolute()
        if path.exists() and not path.is_file():  # a folder; a pipe, that would be waited for
            msg = "no file"
            raise OSError(msg)
        number = path.stat().st_ino if path.exists() else None
        uri = f"{path.as_uri()}?mode={mode}"
        try:
            with closing(
                sqlite3.connect(uri, timeout=_WAIT_S, isolation_level=None, uri=True)
            ) as db:
                db.execute("PRAGMA synchronous = OFF")
                yield db
        except (_DamagedError, sqlite3.Error) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            wrong = sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR
            if code not in wrong and not isinstance(error, _DamagedError):
                raise
            # Another process may have set it aside meanwhile, and begun anew.
            if number is not None and path.stat().st_ino == number:
                self._set_aside(path)
            raise _DamagedError(str(error)) from error

    @contextmanager
    def _no_failure(self) -> Iterator[list[Exception]]:
        """Go on whatever is wrong; tell in what is yielded if another try may help."""
        import sqlite3

        retry: list[Exception] = []
        try:
            yield retry
        except _DamagedError as error:
            retry.append(error)
        except (OSError, ValueError, _NotOursError, sqlite3.Error) as error:
            _log.debug("the history %s is not used: %s", self.path, error)

    def _set_aside(self, path: Path) -> None:
        """Rename a damaged file, and tell once; what can't be renamed is passed over."""
        for n in range(1, _MOST_SET_ASIDE + 1):
            to = path.with_name(f"{path.name}.damaged-{n}")
            if not to.exists():
                break
        path.replace(to)
        # What was to be undone in it must not be undone in the next one.
        _journal(path).unlink(missing_ok=True)
        msg = (
            f"the history of runs {path} is damaged. It is now {to.name}, and a new one begins."
        )
        # To those who have warnings raised too, a history is no reason to fail.
        with suppress(DlsortWarning):
            warnings.warn(msg, DlsortWarning, stacklevel=2)


@cache
def _has_sqlite() -> bool:
    """Return whether Python has it: a small one may not."""
    with suppress(ImportError):
        import sqlite3  # noqa: F401

        return True
    return False


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    yield
    db.execute("COMMIT")  # what fails before is undone as the connection closes


def _is_empty(db: sqlite3.Connection) -> bool:
    """Return whether a file has no table yet.

    Raises
    ------
    _NotOursError
        If it has others, or those of a later version, which are left as they are.
    _DamagedError, sqlite3.Error
        If it is damaged.
    """
    (whose,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if (whose, version) == (_OURS, _VERSION):
        return False
    if whose == version == 0 and not names:
        return True
    msg = f"it is of another program or version ({whose:x}, {version})"
    if version <= _VERSION and "runs" in names:  # no version is earlier than 1
        raise _DamagedError(msg)
    raise _NotOursError(msg)


def _make_table(db: sqlite3.Connection) -> None:
    if not _is_empty(db):
        return
    for command in filter(str.strip, _TABLE.split(";")):
        db.execute(command)
    db.execute(f"PRAGMA application_id = {_OURS}")
    db.execute(f"PRAGMA user_version = {_VERSION}")


def _packed(run: Run) -> tuple[str, bytes]:
    """Return a run's names, which most runs share, and its numbers."""
    parts = run.predicted, run.measured, run.figures
    names = [[[step, *units] for step, units in run.work.items()], *map(list, parts)]
    numbers = [n for units in run.work.values() for n in units.values()]
    numbers += [n for part in parts for n in part.values()]
    return json.dumps(names), struct.pack(f"<{len(numbers)}d", *numbers)


class _Form(NamedTuple):
    """A run's names, and where its seconds and figures begin among the numbers."""

    work: list[tuple[str, list[str]]]
    parts: tuple[list[str], list[str], list[str]]
    seconds_at: int
    figures_at: int
    n: int


def _form_of(names: Any) -> _Form | None:
    """Return the form that a text tells of; None where that is none."""
    try:
        steps, *parts = json.loads(names)
        work = [(step, units) for step, *units in steps]
        texts = [text for step, units in work for text in (step, *units)]
        predicted, measured, figures = map(list, parts)
    except (ValueError, TypeError, RecursionError):
        return None
    told = predicted, measured, figures
    if not all(isinstance(each, str) for each in itertools.chain(texts, *told)):
        return None
    seconds_at = sum(len(units) for _, units in work)
    figures_at = seconds_at + len(predicted) + len(measured)
    return _Form(work, told, seconds_at, figures_at, figures_at + len(figures))


def _run_of(row: tuple[Any, ...], forms: dict[Any, _Form | None]) -> Run | None:
    """Return the run that a row tells of; None where that is no run, or can't be right.

    ``forms`` are those of names that were read before.
    """
    at, machine, job, names, packed = row
    form = forms[names] if names in forms else forms.setdefault(names, _form_of(names))
    try:
        if form is None or len(packed) != 8 * form.n:
            return None
        numbers = struct.unpack(f"<{form.n}d", packed)
        seconds = (at, *numbers[form.seconds_at : form.figures_at])
        # A NaN makes the sum one, which is not below anything.
        if not (sum(numbers, at) < math.inf and min(numbers, default=0) >= 0 and at >= 0):
            return None
        if max(numbers, default=0) > _MOST_AMOUNT or max(seconds) > _MOST_S:
            return None
        whose, which = (str(each, "utf-8") for each in (machine, job))
    except (ValueError, TypeError):
        return None
    rest = iter(numbers)
    work = {step: dict(zip(units, rest, strict=False)) for step, units in form.work}
    return Run(
        at, whose, which, work, *(dict(zip(part, rest, strict=False)) for part in form.parts)
    )


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}-journal")


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
