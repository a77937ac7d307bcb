"""Manifest: what each part says of itself and of its job, in its own footer.

Together the footers of a sorted dataset are its list of parts and the distribution of its keys:
each has the key, the part's place among the others, and evenly spaced keys of its sorted rows.
It stands there, as no file may stand beside the parts: Polars reads whatever it finds.

See ``dlsort/publish/README.md`` for the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.kinds import is_binary, is_bytes, is_text, narrow
from dlsort.arrow.paths import field_at
from dlsort.arrow.transport import combine, concat_rows
from dlsort.io.parts import MANIFEST, Growth
from dlsort.keys import SortKey
from dlsort.proof.checksum import Proof

__all__ = [
    "Manifest",
    "quantile_rows",
    "read_manifest",
    "value_type",
]

FORMAT, VERSION = "dlsort part", 1

# Keys in a part's footer: ends, and every hundredth of its rows, so that a key's rank is known
# to 1 % of a part. With a key of one integer they take some 1 KB.
N_QUANTILES = 101

# Text and bytes are cut to this, so that a footer stays small whatever the keys.
MOST_BYTES = 64
MOST_ELEMENTS = 16

_KEY_FORMS = [str, bool, bool], [str, bool, bool, bool]

# What only some tell: parts that were put among those of an earlier job, or that are several
# files, or files of folders.
_USUAL: dict[str, Any] = {
    "generation": 0,
    "part_rows": 0,
    "members": [],
    "first_row": 0,
    "is_last": True,
    "partition_by": [],
    "places": [],
    "chosen": [],
}

_SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


@dataclass(frozen=True)
class Manifest:
    """What a part says.

    Parameters
    ----------
    job : str
        The same for all parts of a job, and for no other's.
    keys : list of (str, bool, bool) or (str, bool, bool, bool)
        The key: column, whether descending, whether nulls come first; and whether NaN does,
        if it has a place of its own. None of it, where the rows have not got its first column.
    part, n_parts : int
        Its number, from 0, and how many there are.
    rows : int
        Rows of the part.
    checksum : str
        128-bit checksum of its rows, order-independent.
    key_types : list of str
        Arrow's names of the key columns' types.
    quantiles : list of lists
        A list for each key column, of its values in rows ``i * (rows - 1) // (n - 1)`` for
        ``i < n``: the first, the last, and those between. None is null; times are whole
        numbers of the type's unit; decimals are text; bytes are hexadecimal; text and bytes
        are cut to 64 bytes. A struct is the list of its fields, a list that of its first 16
        elements, a map that of its entries.
    source : list of str
        Marks of the files that the job's rows came from; in its first file only.
    generation : int
        How many times the dataset was appended to, or evened, before and by this job.
    part_rows : int
        Rows of a part of the usual size, from generation 1 on.
    members : list of (str, int, int)
        All parts of the dataset, in order, as runs of (job, first part, last part): in the
        first part that a later generation has written (:mod:`dlsort.publish.places`).
    first_row : int
        Rows of the part that are in files before this one.
    is_last : bool
        No rows of the part are in files after it.
    partition_by : list of str
        Columns that the file's folders tell; only within them it is sorted.
    places : list of int
        The rows whose keys ``quantiles`` are, where they are others.
    chosen : list of str
        Options by which the source's rows were left out, or files cut: "unique", "where" ….
    """

    job: str
    keys: list[list[Any]]
    part: int
    n_parts: int
    rows: int
    checksum: str
    key_types: list[str]
    quantiles: list[list[Any]]
    source: list[str] = field(default_factory=list)
    generation: int = 0
    part_rows: int = 0
    members: list[list[Any]] = field(default_factory=list)
    first_row: int = 0
    is_last: bool = True
    partition_by: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)

    def to_json(self) -> bytes:
        """Return it as the footer has it, without what most have not to tell."""
        told = {n: v for n, v in asdict(self).items() if n not in _USUAL or v != _USUAL[n]}
        content = {"format": FORMAT, "version": VERSION, **told}
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def of(
        cls,
        job: str,
        keys: Sequence[SortKey],
        part: int,
        n_parts: int,
        proof: Proof,
        schema: pa.Schema,
        picked: Sequence[pa.Table],
        source: Sequence[str] = (),
        growth: Growth | None = None,
        *,
        places: Sequence[int] = (),
        first_row: int = 0,
        is_last: bool = True,
        partition_by: Sequence[str] = (),
        chosen: Sequence[str] = (),
    ) -> Manifest:
        """Return the manifest of a part.

        Parameters
        ----------
        proof : Proof
            Of its rows.
        schema : pyarrow.Schema
            The dataset's.
        picked : sequence of pyarrow.Table
            The key columns of some rows, in order.
        source : sequence of str
            Marks of the source's files.
        growth : Growth, optional
            What the part is put among; None: the job has made all parts.
        places : sequence of int
            The rows' numbers, if they are not those that :func:`quantile_rows` names.
        first_row, is_last, partition_by, chosen
            As of a manifest.
        """
        is_lead = part == (growth.lead if growth else 0) and first_row == 0
        later = (growth.generation, growth.part_rows) if growth else (0, 0)
        members = [list(run) for run in growth.members] if growth and is_lead else []
        is_usual = list(places) == quantile_rows(proof.rows)
        return cls(
            job,
            [_key_told(key) for key in keys],
            part,
            n_parts,
            proof.rows,
            proof.checksum,
            [str(field_at(schema, key.column).type) for key in keys],
            [_to_plain(column) for column in concat_rows(picked).columns] if keys else [],
            list(source) if is_lead else [],
            *later,
            members,
            first_row,
            is_last,
            list(partition_by),
            [] if is_usual else list(places),
            list(chosen),
        )

    @property
    def by(self) -> tuple[SortKey, ...]:
        """The key."""
        return tuple(SortKey(*key) for key in self.keys)

    @property
    def told_rows(self) -> list[int]:
        """The numbers of the rows whose keys it tells."""
        return self.places or quantile_rows(self.rows)

    def values(self, kinds: Sequence[pa.DataType]) -> list[pa.Array]:
        """Return the quantiles of the first key columns, which have these types."""
        both = zip(self.quantiles, kinds, strict=False)
        return [_from_plain(values, value_type(kind)) for values, kind in both]

    def table(self, schema: pa.Schema, n_columns: int | None = None) -> pa.Table:
        """Return the quantiles of the first key columns, in their types in the dataset."""
        names = [key.column for key in self.by[:n_columns]]
        kinds = [value_type(field_at(schema, name).type) for name in names]
        both = zip(self.quantiles, kinds, strict=False)
        return pa.Table.from_arrays([_from_plain(*each) for each in both], names=names)


def _key_told(key: SortKey) -> list[Any]:
    told = [key.column, key.descending, key.nulls_first]
    return told if key.nan_first is None else [*told, key.nan_first]


def quantile_rows(n_rows: int) -> list[int]:
    """Return the numbers of the rows whose keys are in the footer of a part of so many rows.

    Examples
    --------
    >>> quantile_rows(3), len(quantile_rows(10**6)), quantile_rows(10**6)[-1]
    ([0, 1, 2], 101, 999999)
    """
    n = min(n_rows, N_QUANTILES)
    return [i * (n_rows - 1) // max(n - 1, 1) for i in range(n)]


def read_manifest(
    metadata: Mapping[bytes, bytes] | None, *, of_key: bool = True
) -> Manifest | None:
    """Return the manifest in a file's metadata; None if it has none that can be read.

    Nor one that tells no key, unless ``of_key`` is false.
    """
    try:
        content = json.loads((metadata or {})[MANIFEST])
        if content.pop("format") != FORMAT or content.pop("version") != VERSION:
            return None
        told = {f.name for f in fields(Manifest) if f.name in content or _is_needed(f)}
        manifest = Manifest(**{name: content[name] for name in told})
        keys = manifest.by
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    job: object = manifest.job
    members: object = manifest.members
    is_last: object = manifest.is_last
    sound = (
        isinstance(job, str)
        and all(type(n) is int and n >= 0 for n in (manifest.part, manifest.rows))
        and type(manifest.n_parts) is int
        and manifest.part < manifest.n_parts
        and type(manifest.first_row) is int
        and manifest.first_row >= 0
        and isinstance(is_last, bool)
        and _are_places(manifest.places, manifest.rows)
        and all(isinstance(name, str) for name in (*manifest.partition_by, *manifest.chosen))
        and all([type(v) for v in key] in _KEY_FORMS for key in manifest.keys)
        and all(type(n) is int and n >= 0 for n in (manifest.generation, manifest.part_rows))
        and isinstance(members, list)
        and all(map(_is_run, members))
    )
    return manifest if sound and (keys or not of_key) else None


def _is_needed(one: Any) -> bool:
    return one.default_factory is MISSING and one.default is MISSING  # older parts lack others


def _is_run(run: object) -> bool:
    """Return whether something is a job, and its first and last part."""
    if not isinstance(run, list) or [type(v) for v in run] != [str, int, int]:
        return False
    return 0 <= run[1] <= run[2]


def _are_places(places: Sequence[Any], n_rows: int) -> bool:
    whole = all(type(place) is int and 0 <= place < n_rows for place in places)
    return whole and all(one < other for one, other in pairwise(places))


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which a key column's values stand in a manifest's table."""
    if isinstance(kind, pa.BaseExtensionType):
        return value_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return value_type(kind.value_type)
    if pt.is_struct(kind):
        return pa.struct([(field.name, value_type(field.type)) for field in kind])
    if pt.is_map(kind):
        entry = [("key", value_type(kind.key_type)), ("value", value_type(kind.item_type))]
        return pa.list_(pa.struct(entry))
    if pt.is_nested(kind):
        return pa.list_(value_type(kind.value_type))
    return narrow(kind)


def _to_plain(array: pa.ChunkedArray) -> list[Any]:
    """Return values as JSON can hold them, exact but for text and bytes that are cut."""
    kind = value_type(array.type)
    array = combine(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pt.is_nested(kind):
        return _nested_to_plain(array)
    if is_bytes(kind):
        data = array.cast(pa.large_binary()).to_pylist()
        cut = [value if value is None else value[:MOST_BYTES] for value in data]
        if is_text(kind):
            return [v if v is None else v.decode("utf-8", "surrogateescape") for v in cut]
        return [v if v is None else v.hex() for v in cut]
    if pt.is_decimal(kind):
        return [v if v is None else str(v) for v in array.to_pylist()]
    if pt.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    values = array.to_pylist()
    if pt.is_floating(kind):
        return [v if v is None else _plain_float(float(v)) for v in values]
    return values


def _nested_to_plain(array: pa.Array) -> list[Any]:
    """Return structs and lists as lists of what is in them."""
    valid = array.is_valid().to_pylist()
    if pt.is_struct(array.type):
        fields = [_to_plain(array.field(i)) for i in range(array.type.num_fields)]
        rows = zip(*fields, strict=True) if fields else [()] * len(array)
        return [list(row) if v else None for row, v in zip(rows, valid, strict=True)]
    found: list[Any] = []
    for row, is_there in zip(array, valid, strict=True):
        found.append(_to_plain(row.values[:MOST_ELEMENTS]) if is_there else None)
    return found


def _plain_float(value: float) -> float | str:
    if np.isfinite(value):
        return value
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _from_plain(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    missing = [value is None for value in values]
    if pt.is_struct(kind):
        rows = [[None] * kind.num_fields if v is None else v for v in values]
        fields = [_from_plain([r[i] for r in rows], f.type) for i, f in enumerate(kind)]
        named = [pa.field(f.name, a.type) for f, a in zip(kind, fields, strict=True)]
        if not fields:
            return pa.array([None if m else {} for m in missing], kind)
        return pa.StructArray.from_arrays(fields, fields=named, mask=pa.array(missing))
    if pt.is_nested(kind):
        inside = _from_plain([e for v in values for e in v or ()], kind.value_type)
        ends = np.cumsum([0, *(len(v or ()) for v in values)])
        return pa.ListArray.from_arrays(
            pa.array(ends, pa.int32()), inside, mask=pa.array(missing)
        )
    if is_text(kind):
        data = [v if v is None else v.encode("utf-8", "surrogateescape") for v in values]
        return pa.array(data, pa.binary())  # a cut may go through a character
    if is_binary(kind) or pt.is_fixed_size_binary(kind):
        return pa.array([v if v is None else bytes.fromhex(v) for v in values], pa.binary())
    if pt.is_decimal(kind):
        return pa.array(values, pa.string()).cast(kind)
    if pt.is_temporal(kind):
        return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    if pt.is_floating(kind):
        dtype = np.dtype(f"f{kind.bit_width // 8}").type
        floats = [_SPECIAL.get(v, v) if isinstance(v, str) else v for v in values]
        return pa.array([v if v is None else dtype(v) for v in floats], kind)
    return pa.array(values, kind)
