"""How single columns are written, as a caller says it, in the place of what is chosen."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike, fspath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dlsort.errors import BadOptionError, shown
from dlsort.io.parquet.encodings import (
    DELTA,
    DELTA_LENGTH,
    DELTA_TEXT,
    DICTIONARY,
    PLAIN,
    SPLIT,
    Encodings,
)
from dlsort.io.parquet.leaves import leaf_paths
from dlsort.io.parquet.profiles import PROFILES
from dlsort.io.value_file import read_values
from dlsort.options.arguments import CODEC, FLAG
from dlsort.wording import did_you_mean

__all__ = ["NO_OPTIONS", "ColumnOption", "ColumnOptions", "read_column_options"]

_ENCODINGS = (PLAIN, DICTIONARY, DELTA, DELTA_LENGTH, DELTA_TEXT, SPLIT)
_EXAMPLE = "expected columns with their options, as in {l_comment: {compression: 'zstd:7'}}"
_NAMES = ("encoding", "compression", "statistics", "bloom_filter")


@dataclass(frozen=True)
class ColumnOption:
    """How a column is written; what is not given is as for the others.

    Parameters
    ----------
    encoding : str
        Parquet's name of it, or DICTIONARY; empty: as the rows suggest.
    compression : str
        Codec, perhaps with a level.
    statistics : bool
        Whether row groups and pages tell the least and the greatest value.
    bloom_filter : float
        Share of values that are not there, but that a Bloom filter lets pass; 0: no filter.
    """

    encoding: str = ""
    compression: str = ""
    statistics: bool = True
    bloom_filter: float = 0.0


@dataclass(frozen=True)
class ColumnOptions:
    """How some columns are written, by their names or the paths of their leaves.

    Parameters
    ----------
    columns : dict of str to ColumnOption
        The leaves of a nested column have what is said of it, unless they are named.
    """

    columns: dict[str, ColumnOption] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.columns)

    def told(self) -> str:
        """Return what differs from the usual, as text, which :meth:`of_told` reads."""
        usual = vars(ColumnOption())
        given = {
            name: {n: v for n, v in vars(option).items() if v != usual[n]}
            for name, option in sorted(self.columns.items())
        }
        return json.dumps(given) if given else ""

    @classmethod
    def of_told(cls, told: str) -> ColumnOptions:
        """Return what :meth:`told` told."""
        return read_column_options(json.loads(told) if told else None)

    def of_leaves(self, leaves: Mapping[str, str]) -> dict[str, ColumnOption]:
        """Return the options of leaves: of ``leaves``, by path, whose columns these are."""
        given = (
            (path, self.columns.get(path) or self.columns.get(c)) for path, c in leaves.items()
        )
        return {path: option for path, option in given if option is not None}

    def encodings(self, leaves: Mapping[str, str], chosen: Encodings) -> Encodings:
        """Return encodings, in the place of the chosen ones."""
        given = {p: o.encoding for p, o in self.of_leaves(leaves).items() if o.encoding}
        dictionary = {*chosen.dictionary} - given.keys()
        other = {p: e for p, e in chosen.other.items() if p not in given}
        dictionary |= {path for path, encoding in given.items() if encoding == DICTIONARY}
        other |= {p: e for p, e in given.items() if e not in (DICTIONARY, PLAIN)}
        return Encodings(tuple(sorted(dictionary)), other)

    def arguments(
        self, leaves: Mapping[str, str], compression: str, n_rows: int
    ) -> dict[str, Any]:
        """Return arguments of pyarrow's writer.

        Parameters
        ----------
        leaves : mapping of str to str
            The column of each leaf, by its path.
        compression : str
            Of the others, perhaps with a level.
        n_rows : int
            Of a row group, none of whose values may be another's.
        """
        found = self.of_leaves(leaves)
        codecs = {
            p: (found[p].compression if p in found else "") or compression for p in leaves
        }
        levels = {p: int(level) for p, c in codecs.items() if (level := c.partition(":")[2])}
        filters = {
            path: {"ndv": max(1, n_rows), "fpp": option.bloom_filter}
            for path, option in found.items()
            if option.bloom_filter
        }
        untold = [path for path, option in found.items() if not option.statistics]
        return {
            "compression": {path: codec.partition(":")[0] for path, codec in codecs.items()},
            "compression_level": levels or None,
            **({"write_statistics": [p for p in leaves if p not in untold]} if untold else {}),
            **({"bloom_filter_options": filters} if filters else {}),
        }

    def check(self, schema: pa.Schema, profile: str) -> None:
        """Raise if a column is not there, or can't be written so.

        Parameters
        ----------
        schema : pyarrow.Schema
            Of the result.
        profile : str
            Whose encodings may be used.

        Raises
        ------
        BadOptionError
        """
        by_column = {each.name: list(leaf_paths(each, None)) for each in schema}
        leaves = {path: name for name, paths in by_column.items() for path in paths}
        for name, option in self.columns.items():
            if name not in by_column and name not in leaves:
                hint = did_you_mean(name, [*by_column, *leaves])
                raise _refused(name, f"which is no column of the result.{hint}")
            _check_profile(name, option, profile)
            _check_writable(schema.field(leaves.get(name, name)), name, option)


NO_OPTIONS = ColumnOptions()


def _check_profile(name: str, option: ColumnOption, profile: str) -> None:
    allowed = PROFILES[profile].encodings
    if allowed and option.encoding and option.encoding not in (*allowed, DICTIONARY):
        others = " or ".join((*allowed, DICTIONARY))
        raise _refused(
            name,
            f"whose encoding is {option.encoding}, but readers of the profile {profile!r} "
            f"expect {others}",
        )


def _check_writable(column: pa.Field, name: str, option: ColumnOption) -> None:
    """Write no value in that way, which pyarrow refuses as it does any."""
    asked = replace(option, compression="")
    kind = column.type
    row = pa.table({column.name: pa.nulls(1, kind)})
    leaves = dict.fromkeys(leaf_paths(column.with_nullable(True), None), column.name)
    only = ColumnOptions({name: asked})
    chosen = only.encodings(leaves, Encodings((), {}))
    try:
        with pq.ParquetWriter(
            pa.MockOutputStream(),
            row.schema,
            use_dictionary=list(chosen.dictionary) or False,
            column_encoding=chosen.other or None,
            use_compliant_nested_type=False,
            **only.arguments(leaves, "none", 1),
        ) as file:
            file.write_table(row)
    except (pa.ArrowException, OSError) as error:
        why = str(error).split("\n", 1)[0].rstrip(".")
        raise _refused(name, f"of type {kind}, which can't be written so: {why}") from error


def read_column_options(value: Any) -> ColumnOptions:
    """Return how single columns are written.

    Parameters
    ----------
    value : str, path-like, mapping or None
        A YAML or JSON file, or what is in one: options by column.

    Raises
    ------
    BadOptionError
        If it is none of these, or an option is not known or has a wrong value.

    Examples
    --------
    >>> read_column_options({"x": {"encoding": "plain", "bloom_filter": True}}).columns
    {'x': ColumnOption(encoding='PLAIN', compression='', statistics=True, bloom_filter=0.05)}
    """
    if value is None:
        return ColumnOptions()
    given = value
    if isinstance(value, str | PathLike):
        try:
            given = read_values(fspath(value))
        except ValueError as error:
            msg = f"column_options (--column-options) is {shown(value)}, {error}; {_EXAMPLE}."
            raise BadOptionError(msg) from error
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and isinstance(each, Mapping) for name, each in given.items()
    ):
        msg = f"column_options (--column-options) is {shown(value)}; {_EXAMPLE}."
        raise BadOptionError(msg)
    return ColumnOptions({name: _read_option(name, each) for name, each in given.items()})


def _read_option(column: str, given: Mapping[Any, Any]) -> ColumnOption:
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _NAMES:
            hint = did_you_mean(str(name), _NAMES)
            raise _refused(column, f"with {name!r}; expected {_listed(_NAMES)}.{hint}")
        try:
            read[name] = _READERS[name](value, f"{name} of column {column!r}")
        except BadOptionError as error:
            msg = f"column_options (--column-options): {error}"
            raise BadOptionError(msg) from error
    return ColumnOption(**read)


def _read_encoding(value: Any, name: str) -> str:
    encoding = value.upper() if isinstance(value, str) else value
    if encoding not in _ENCODINGS:
        msg = f"{name} is {shown(value)}; expected {_listed(_ENCODINGS)}."
        raise BadOptionError(msg)
    return str(encoding)


def _read_compression(value: Any, name: str) -> str:
    codec = str(CODEC.read("none" if value is False else value, name))
    if codec != "none" and not pa.Codec.is_available(codec.partition(":")[0]):
        msg = f"{name} is {shown(value)}, which this build of pyarrow has not got."
        raise BadOptionError(msg)
    return codec


def _read_bloom_filter(value: Any, name: str) -> float:
    share = value
    if isinstance(value, bool):
        share = _LET_PASS if value else 0.0
    if not isinstance(share, float) or not (0 < share < 1 or value is False):
        msg = f"{name} is {shown(value)}; expected true, false or a share such as 0.01."
        raise BadOptionError(msg)
    if share and not _has_bloom_filters():
        msg = f"{name} is given, but pyarrow {pa.__version__} writes none; install pyarrow 26."
        raise BadOptionError(msg)
    return share


_LET_PASS = 0.05  # pyarrow's own
_READERS = {
    "encoding": _read_encoding,
    "compression": _read_compression,
    "statistics": FLAG.read,
    "bloom_filter": _read_bloom_filter,
}


@cache
def _has_bloom_filters() -> bool:
    return "bloom_filter_options" in inspect.signature(pq.ParquetWriter.__init__).parameters


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _refused(column: str, why: str) -> BadOptionError:
    return BadOptionError(
        f"column_options (--column-options) names {column!r}, {why.rstrip('.')}."
    )
