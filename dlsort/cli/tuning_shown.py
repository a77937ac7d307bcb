"""What ``dlsort tune`` shows: a machine's profile, and what its jobs have taught since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from dlsort.calibrate import tune_hosts
from dlsort.errors import ClusterError
from dlsort.planner.fit import fit
from dlsort.planner.history import History
from dlsort.planner.profile import Profile, load, machine_key, profile_files
from dlsort.planner.speeds import BUILT_IN
from dlsort.sizes import format_bytes
from dlsort.wording import count

__all__ = ["remove_all", "shown", "tuned_hosts"]

_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def tuned_hosts(scheduler: str, scratch: str | None) -> Iterator[str]:
    """Measure each host of a cluster; give a line for each.

    Raises
    ------
    ClusterError
        If one could not be measured, once the others are.
    """
    failed = []
    for host, outcome in tune_hosts(scheduler, scratch).items():
        if isinstance(outcome, BaseException):
            failed.append(f"{host}: {str(outcome) or type(outcome).__name__}")
        else:
            profile, path = outcome
            took_s = profile.facts["took_s"]
            yield f"{host}  {profile.machine}: measured in {took_s:.1f} s, kept in {path}"
    if failed:
        msg = f"{count(len(failed), 'host')} could not be measured: {'; '.join(failed)}"
        raise ClusterError(msg)


def shown() -> str:
    """Return what is known of this machine, as lines for people."""
    usual = BUILT_IN
    profile, history = load(), History.open()
    runs = history.recent(machine_key())
    prior = usual if profile is None else profile.speeds
    fitted = fit(prior, runs)
    lines = [f"machine    {machine_key()}", *_facts(profile)]
    if history.path is None:
        lines.append("history    off")
    else:
        lines.append(f"history    {count(len(runs), 'run')} of this machine in {history.path}")
    head = ["step", "unit", "built in", "measured", "by runs"]
    rows = [
        [step, unit, _speed(usual, step, unit), _speed(measured, step, unit),
         _speed(fitted if runs else {}, step, unit)]
        for measured in [profile.speeds if profile else {}]
        for step, units in prior.items() for unit in units
    ]  # fmt: skip
    return "\n".join([*lines, "", *_table([head, *rows])])


def remove_all() -> Iterator[str]:
    """Remove the profiles and the history; give a line for each file, before it goes.

    Raises
    ------
    OSError
        If a file can't be removed.
    """
    for path in [*profile_files(), *History.open().files()]:
        yield f"removing   {path}"
        path.unlink(missing_ok=True)


def _facts(profile: Profile | None) -> Iterator[str]:
    if profile is None:
        yield "profile    none: figures that are built in are used; dlsort tune measures"
        return
    facts = profile.facts
    at = datetime.fromtimestamp(profile.at).astimezone()
    yield f"profile    of {at:%Y-%m-%d %H:%M}, in {facts.get('took_s', 0.0):.1f} s"
    names = {
        "caches": {"l1d_bytes": "first level", "l2_bytes": "second", "l3_bytes": "third"},
        "memory": {
            "fresh_bytes_per_s": "written when new",
            "again_bytes_per_s": "again",
            "copy_bytes_per_s": "copied",
        },
        "disk": {"disk_write_bytes_per_s": "written", "disk_read_bytes_per_s": "read"},
    }
    for what, of_what in names.items():
        told = [
            f"{format_bytes(facts[name])}{'/s' if name.endswith('_s') else ''} {words}"
            for name, words in of_what.items()
            if name in facts
        ]
        if told:
            yield f"{what:<11}{', '.join(told)}"


def _speed(speeds: Mapping[str, Mapping[str, float]], step: str, unit: str) -> str:
    """Return the time a unit takes, in three digits."""
    seconds = speeds.get(step, {}).get(unit)
    if seconds is None:
        return "–"
    scale, name = next((pair for pair in _SCALES if seconds >= pair[0]), _SCALES[-1])
    return f"{seconds / scale:.3g} {name}"


def _table(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(words).rstrip()
