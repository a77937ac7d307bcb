"""Settings: what a user has set for options of a sort, where a caller does not give them.

From the highest::

    argument      of the function, or the command's flag; None is none
    environment   DLSORT_<OPTION>
    Dask          dlsort.<option> of Dask's configuration, by Dask's own rules: dask.config.set,
                  DASK_DLSORT__<OPTION>, YAML files such as ~/.config/dask/dlsort.yaml
    built in      :mod:`dlsort.options.sort_options`

Dask is imported for it only where something of it may be set: that takes longer than a small
sort.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from dlsort.errors import BadOptionError, shown
from dlsort.options.arguments import DISPLAY, FLAG_OR_FORCE, is_dasks, read_flag
from dlsort.options.doors import DOORS, EXCLUDE, KEY_FLAGS
from dlsort.options.option import SortOption
from dlsort.wording import did_you_mean

__all__ = [
    "SETTABLE",
    "Setting",
    "env_name",
    "find_settings",
    "origin_in_dask",
    "settings_for",
    "with_settings",
]

P = ParamSpec("P")
R = TypeVar("R")

# What is sorted, by what, and where to: a setting would change results that look like others.
_OF_ONE_SORT = {
    *("src", "dst", "by", "columns", "rename", "where"),
    *("unique", "unique_by", "limit", "offset", "merge"),
    *(flag.name for flag in KEY_FLAGS),
}
#: Which options can be set, by name.
SETTABLE: Mapping[str, SortOption] = {
    option.name: option for option in DOORS["sort_dataset"] if option.name not in _OF_ONE_SORT
}
_NAMESPACE = "dlsort"
# Of these an argument sets aside what is set for the other.
_ASIDE = (*EXCLUDE, ("if_exists", "overwrite"), ("if_exists", "resume"))
_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_SUFFIXES = (".json", ".yaml", ".yml")
_INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"


class Setting(NamedTuple):
    """What is set for an option.

    Attributes
    ----------
    value : object
        In its normal form.
    origin : str
        ``environment`` or ``dask``.
    name : str
        What to call it: ``DLSORT_MEMORY``, or ``dlsort.memory``.
    """

    value: Any
    origin: str
    name: str


def env_name(option: str) -> str:
    """Return the environment variable of an option.

    Examples
    --------
    >>> env_name("temp_dir")
    'DLSORT_TEMP_DIR'
    """
    return f"DLSORT_{option.upper()}"


def find_settings(options: Iterable[SortOption]) -> dict[str, Setting]:
    """Return what is set for some options, by name.

    Raises
    ------
    BadOptionError
        If a value is not what it should be, or Dask's configuration names no option.
    """
    wanted = [option for option in options if option.name in SETTABLE]
    found: dict[str, Setting] = {}
    of_dask = _of_dask() if wanted else {}
    for option in wanted:
        name = env_name(option.name)
        text = os.environ.get(name, "")
        if text:
            found[option.name] = _read(option, _of_text(option, text), "environment", name)
        elif of_dask.get(option.name) is not None:
            name = f"{_NAMESPACE}.{option.name}"
            found[option.name] = _read(option, of_dask[option.name], "dask", name)
    return found


def settings_for(options: Iterable[SortOption], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are set for the options that a caller does not give.

    Parameters
    ----------
    options : iterable of SortOption
        A door's.
    given : mapping
        What the caller gives; None is nothing.

    Raises
    ------
    BadOptionError
        As of :func:`find_settings`.
    """
    is_given = {name for name, value in given.items() if value is not None}
    found = find_settings(option for option in options if option.name not in is_given)
    for pair in _ASIDE:
        for one, other in (pair, pair[::-1]):
            if one in is_given or _outranks(found.get(one), found.get(other)):
                found.pop(other, None)
    return {name: setting.value for name, setting in found.items()}


def _outranks(one: Setting | None, other: Setting | None) -> bool:
    if one is None or other is None:
        return False
    return (one.origin, other.origin) == ("environment", "dask")


def with_settings(door: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return what has a door take from the settings what its caller does not give.

    Settings are of datasets: of Dask frames they say nothing.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not is_dasks(args[0] if args else kwargs.get("src")):
                kwargs.update(settings_for(DOORS[door], kwargs))
            return function(*args, **kwargs)

        return call

    return decorate


# ---------------------------------------------------------------- values


def _read(option: SortOption, value: Any, origin: str, name: str) -> Setting:
    told = name if origin == "environment" else f"{name} of Dask's configuration"
    if option.kind is DISPLAY:
        return Setting(read_flag(value, told), origin, name)
    return Setting(option.kind.read(value, told), origin, name)


def _of_text(option: SortOption, text: str) -> Any:
    """Return what a variable's text says."""
    if option.kind.is_flag or option.kind is FLAG_OR_FORCE:
        return _WORDS.get(text.strip().lower(), text)
    if option.kind.is_many:
        return [each for each in text.split(",") if each]
    return option.kind.of_text(text)


# ---------------------------------------------------------------- Dask's configuration


def _of_dask() -> Mapping[str, Any]:
    """Return what Dask's configuration says of options, by name."""
    if "dask.config" not in sys.modules and not _may_be_set():
        return {}
    try:
        import dask.config
    except ValueError as error:  # of a malformed file: it says which
        raise BadOptionError(" ".join(str(error).split())) from error
    found = dask.config.get(_NAMESPACE, None)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        msg = (
            f"{_NAMESPACE} of Dask's configuration is {shown(found)}; expected options by name."
        )
        raise BadOptionError(msg)
    by_name = {str(name).replace("-", "_"): value for name, value in found.items()}
    for name in by_name:
        if name not in SETTABLE:
            msg = (
                f"{_NAMESPACE}.{name} of Dask's configuration is no option that can be set."
                f"{did_you_mean(name, SETTABLE)} `dlsort config` tells all."
            )
            raise BadOptionError(msg)
    return by_name


def _may_be_set() -> bool:
    """Return whether a variable, or one of the files that Dask reads, names us."""
    begins = f"DASK_{_NAMESPACE.upper()}"
    if any(name.upper().startswith(begins) or name == _INHERITED for name in os.environ):
        return True
    where = os.environ.get("DASK_ROOT_CONFIG", "/etc/dask"), os.environ.get("DASK_CONFIG", "")
    return _do_files_name_us(*where, os.path.expanduser("~"))  # noqa: PTH111 - text


@cache  # Dask reads its files once, too
def _do_files_name_us(root: str, named: str, home: str) -> bool:
    return any(_names_us(path) for path in _files(root, named, home))


def _names_us(path: Path) -> bool:
    with suppress(OSError):
        return _NAMESPACE.encode() in path.read_bytes()
    return False


def _files(root: str, named: str, home: str) -> Iterator[Path]:
    """Yield the files that Dask reads: as of ``dask.config.paths``, which takes Dask."""
    prefixes: Sequence[str] = (sys.prefix, *site.PREFIXES)
    folders = [
        root,
        *(str(Path(prefix, "etc", "dask")) for prefix in prefixes),
        str(Path(home, ".config", "dask")),
        named,
    ]
    for folder in filter(None, dict.fromkeys(folders)):
        with suppress(OSError):
            with os.scandir(folder) as entries:
                found = [Path(entry.path) for entry in entries]
            yield from (path for path in found if path.suffix.lower() in _SUFFIXES)
            continue
        yield Path(folder)


def origin_in_dask(name: str) -> str:
    """Return where Dask's configuration has a value from: a variable, a file, or a program."""
    import dask.config

    key = f"{_NAMESPACE}.{name}"
    value = dask.config.get(key)
    variable = f"DASK_{_NAMESPACE.upper()}__{name.upper()}"
    if dask.config.interpret_value(os.environ.get(variable, "None")) == value:
        return variable
    for path in reversed(list(dask.config.paths_containing_key(key))):
        of_file = dict(dask.config.collect_yaml([str(path)], return_paths=True))
        if dask.config.get(key, config=of_file[path]) == value:
            return str(path)
    return "dask.config.set"
