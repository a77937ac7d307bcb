"""GeoParquet: the box and the coordinate system of the shapes of several files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dlsort.errors import SchemaMismatchError

__all__ = ["GEO", "chosen_geo", "unite_geo"]

GEO = b"geo"
# What nobody says: longitude and latitude.
_WGS_84 = "OGC:CRS84"
_SAME = {"EPSG:4326": _WGS_84}  # coordinates are x, y whatever the system's own order


def unite_geo(told: Sequence[tuple[str, bytes | None, Sequence[str]]]) -> bytes | None:
    """Return what all files say of their shapes, with boxes that hold all of them.

    Parameters
    ----------
    told : sequence of (path, bytes or None, sequence of str)
        Each file, what it says under ``geo``, and the names of its columns.

    Returns
    -------
    bytes or None
        None if a file that has one of the columns says nothing of it, or what can't be read.

    Raises
    ------
    SchemaMismatchError
        If two files have other coordinate systems.
    """
    try:
        read = [(path, _read(one), names) for path, one, names in told]
        columns: dict[str, tuple[str, dict[str, Any]]] = {}
        for path, one, _ in read:
            if one is None:
                continue
            for name, mine in one["columns"].items():
                if name in columns:
                    columns[name] = path, _unite(name, *columns[name], path, mine)
                else:
                    columns[name] = path, dict(mine)
        for _, one, names in read:
            columns = {
                name: both
                for name, both in columns.items()
                if name not in names or (one is not None and name in one["columns"])
            }
        first = next(one for _, one, _ in read if one is not None)
        if first["primary_column"] not in columns:
            return None
    except SchemaMismatchError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return None
    united = {**first, "columns": {name: one for name, (_, one) in columns.items()}}
    return json.dumps(united).encode()


def _read(told: bytes | None) -> dict[str, Any] | None:
    return None if told is None else dict(json.loads(told))


def _unite(
    name: str, path: str, left: dict[str, Any], other_path: str, right: dict[str, Any]
) -> dict[str, Any]:
    for what, mine, theirs in (
        ("coordinate system", _system(left), _system(right)),
        ("edges", left.get("edges", "planar"), right.get("edges", "planar")),
        ("epoch", left.get("epoch"), right.get("epoch")),
        ("encoding", left.get("encoding"), right.get("encoding")),
    ):
        if mine != theirs:
            msg = (
                f"the files disagree on the {what} of column {name!r}: it is {_short(mine)} in "
                f"{path} and {_short(theirs)} in {other_path}. Bring them to one, or sort them "
                "apart."
            )
            raise SchemaMismatchError(msg)
    found = {key: value for key, value in left.items() if right.get(key) == value}
    if "crs" in left:
        found["crs"] = left["crs"]
    kinds = left.get("geometry_types", []), right.get("geometry_types", [])
    found["geometry_types"] = sorted({*kinds[0], *kinds[1]}) if all(kinds) else []
    found["encoding"] = left.get("encoding")
    found.pop("bbox", None)
    box = _box(left.get("bbox"), right.get("bbox"))
    return found if box is None else {**found, "bbox": box}


def _system(column: dict[str, Any]) -> Any:
    """Return a coordinate system by its name, if it has one."""
    system = column.get("crs", _WGS_84)
    if isinstance(system, dict) and isinstance(system.get("id"), dict):
        system = f"{system['id'].get('authority')}:{system['id'].get('code')}"
    return _SAME.get(system, system) if isinstance(system, str) else system


def _short(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else value
    return "unknown" if name is None else str(name)


def _box(left: Sequence[float] | None, right: Sequence[float] | None) -> list[float] | None:
    """Return the box of two, without heights unless both have them; None if one is unknown."""
    if left is None or right is None:
        return None
    if len(left) != len(right):
        left, right = (box if len(box) == 4 else [*box[:2], *box[3:5]] for box in (left, right))
    n = len(left) // 2
    if left[0] > left[n] or right[0] > right[n]:  # over the antimeridian
        return None
    low = [min(pair) for pair in zip(left[:n], right[:n], strict=True)]
    return low + [max(pair) for pair in zip(left[n:], right[n:], strict=True)]


def chosen_geo(told: bytes, names: Mapping[str, str]) -> bytes | None:
    """Return what a file says of some of its shapes; None if the first of them is not kept.

    Parameters
    ----------
    told : bytes
        What it says of all of them.
    names : mapping of str to str
        What the columns are called that are kept, by the names that they had.
    """
    try:
        found = dict(json.loads(told))
        kept = {names[old]: dict(one) for old, one in found["columns"].items() if old in names}
        primary = names[found["primary_column"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    for one in kept.values():
        one.pop("covering", None)  # names other columns
    return json.dumps({**found, "columns": kept, "primary_column": primary}).encode()
