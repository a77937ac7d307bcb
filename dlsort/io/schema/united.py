"""United: the one schema of a dataset's files, decided once a job from their footers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.layouts import with_null_fields
from dlsort.arrow.same_names import given_name, named
from dlsort.arrow.unite import UnlikeError, spelled, unite_all, unite_fields
from dlsort.errors import SchemaMismatchError, UnknownColumnError
from dlsort.io.schema.asked import check_asked, with_file_names
from dlsort.io.schema.fit import ASKED, Difference, Fit
from dlsort.io.schema.labels import PANDAS, Labels, find_labels, unite_pandas
from dlsort.io.schema.metadata import FileSchema, calendar_of, is_julian, unite_metadata
from dlsort.wording import did_you_mean

__all__ = ["ColumnTypes", "SchemaWanted", "United", "unite"]


class ColumnTypes(dict[str, pa.DataType]):
    """Types of some columns, by name; the others go by union."""

    def over(self, files: Sequence[FileSchema]) -> pa.Schema:
        """Return the schema that files are asked for.

        Raises
        ------
        UnknownColumnError
            If no file has one of the columns.
        """
        names = dict.fromkeys(name for file in files for name in file.schema.names)
        for name in self:
            if name not in names:
                msg = (
                    f"schema (--schema) gives a type for {name!r}, which no file has."
                    f"{did_you_mean(name, names)}"
                )
                raise UnknownColumnError(msg)
        typed = [replace(file, schema=self._typed(file.schema)) for file in files]
        return unite(typed, "union").schema

    def _typed(self, schema: pa.Schema) -> pa.Schema:
        fields = [f.with_type(self[f.name]) if f.name in self else f for f in schema]
        return pa.schema(fields, schema.metadata)


SchemaWanted: TypeAlias = "Literal['union', 'strict'] | pa.Schema | ColumnTypes"


@dataclass(frozen=True)
class United:
    """The schema of a dataset.

    Parameters
    ----------
    schema : pyarrow.Schema
        The one of all files, with the metadata that is true of all of them.
    fits : tuple of (Fit or None)
        What is done to each file's rows; None: nothing.
    changes : tuple of str
        Columns that are not in all files what they are in the dataset, for people.
    dropped : tuple of str
        Keys of metadata that were left out.
    """

    schema: pa.Schema
    fits: tuple[Fit | None, ...]
    changes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def unite(
    files: Sequence[FileSchema], wanted: SchemaWanted = "union", *, are_stored: bool = True
) -> United:
    """Return the schema of a dataset.

    Parameters
    ----------
    files : sequence of FileSchema
        The files, in order, at least one.
    wanted : "union", "strict", pyarrow.Schema or ColumnTypes
        One that holds the values of all; the same in all of them; this one; or one with these
        types.
    are_stored : bool
        The columns are those in the files: no folder and no table tells further ones.

    Raises
    ------
    SchemaMismatchError
        If there is none: the message names two files, the column, and its type in both.

    Notes
    -----
    Time O(columns) for each schema that is not another file's, and O(files).
    """
    if isinstance(wanted, ColumnTypes):
        wanted = wanted.over(files)
    filled = [file for file in files if file.n_rows] or files
    told = list({id(file.schema): file for file in filled}.values())
    labels: list[Labels | None] = [None] * len(files)
    if any(PANDAS in file.metadata for file in told):
        labels = find_labels([f.schema for f in files], [f.n_rows for f in files])
    shown = [_with_labels(file, each) for file, each in zip(files, labels, strict=True)]
    kinds, kind_of = _kinds(shown)
    _check_namesakes(kinds)
    dropped: set[str] = set()
    if isinstance(wanted, pa.Schema):
        check_asked(kinds, wanted)
        schema = with_file_names(wanted, kinds)
    else:
        if wanted == "strict":
            _check_same(kinds)
        schema = _union(kinds, dropped)
    schema = _with_null_fields(schema)
    others = () if isinstance(wanted, pa.Schema) else kinds
    differs = [dict(_differences(kind, schema, others)) for kind in kinds]
    is_of_types = are_stored and not any(differs)
    is_of_types &= all(len(k.schema) == len(schema) for k in kinds)
    column = next((each.column for each in labels if each is not None), None)
    pandas = unite_pandas([file.schema for file in told], column, schema)
    metadata, keys = unite_metadata(told, pandas, is_of_types=is_of_types)
    fits = _fits(files, told, labels, [differs[k] for k in kind_of], schema)
    return United(
        schema.with_metadata(metadata) if metadata else schema.remove_metadata(),
        fits,
        tuple(_changes(schema, kinds, differs)),
        (*keys, *sorted(dropped)),
    )


def _with_labels(file: FileSchema, labels: Labels | None) -> FileSchema:
    if labels is None:
        return file
    return replace(file, schema=file.schema.append(pa.field(labels.column, pa.int64())))


def _kinds(files: Sequence[FileSchema]) -> tuple[list[FileSchema], list[int]]:
    """Return a file for each different schema, metadata of files aside; and each file's."""
    found: list[FileSchema] = []
    plain: list[pa.Schema] = []
    by_id: dict[tuple[int, int], int] = {}
    kind_of = []
    for file in files:
        number = by_id.get((id(file.schema), id(file.table)))
        if number is None:
            columns = file.schema.remove_metadata()
            same = (
                i
                for i, one in enumerate(plain)
                if one.equals(columns, check_metadata=True) and found[i].table is file.table
            )
            number = next(same, len(found))
            if number == len(found):
                found.append(file)
                plain.append(columns)
            by_id[id(file.schema), id(file.table)] = number
        kind_of.append(number)
    return found, kind_of


def _check_namesakes(kinds: Sequence[FileSchema]) -> None:
    """Raise if files have other numbers of columns of a name: which is which nobody knows."""
    found: dict[str, tuple[int, FileSchema]] = {}
    for kind in kinds:
        for name, n in Counter(map(given_name, kind.schema.names)).items():
            others, file = found.setdefault(name, (n, kind))
            if others != n:
                msg = (
                    f"the files disagree on column {name!r}: {others} have that name in "
                    f"{file.path} and {n} in {kind.path}. Give each a name of its own."
                )
                raise SchemaMismatchError(msg)


def _union(kinds: Sequence[FileSchema], dropped: set[str]) -> pa.Schema:
    fields = {field.name: field for field in kinds[0].meant}
    for i, kind in enumerate(kinds[1:], 1):
        try:
            others = {field.name: field for field in kind.meant}
            fields = {f.name: f for f in unite_all(fields, others, dropped)}
        except UnlikeError as error:
            raise _refusal(error, kinds[:i], kind) from error
    return pa.schema(list(fields.values()))


def _with_null_fields(schema: pa.Schema) -> pa.Schema:
    """Return a schema that pyarrow can make again from its parts, as workers have to."""
    fields = []
    for field in schema:
        kind = with_null_fields(field.type)
        if not kind.equals(field.type, check_metadata=True):
            field = field.with_type(kind)
        fields.append(field.with_nullable(True) if pt.is_null(kind) else field)
    return pa.schema(fields, schema.metadata)


def _refusal(
    error: UnlikeError, others: Sequence[FileSchema], file: FileSchema
) -> SchemaMismatchError:
    """Return the error that names two files that can't be united, and what of them."""
    name = error.path[0]
    mine = file.meant.field(name)
    path = others[0].path
    for other in others:
        if name in other.fields:
            path = other.path
            try:
                unite_fields(other.meant.field(name), mine)
            except UnlikeError as found:
                error = found.inside(name)
                break
    inside = (
        f" ({'.'.join([given_name(name), *error.path[1:]])})" if len(error.path) > 1 else ""
    )
    if error.meaning:
        key, left, right = error.meaning
        msg = (
            f"the files disagree on what column {named(name)}{inside} means: its {key} is "
            f"{left!r} in {path} and {right!r} in {file.path}. Convert the values of one file, "
            "or sort them apart; if both mean the same, give a schema without it (--schema "
            "FILE)."
        )
        return SchemaMismatchError(msg)
    msg = (
        f"the files disagree on column {named(name)}{inside}: it is {error.left} in {path} and "
        f"{error.right} in {file.path}, and no type holds the values of both. Give the type to "
        "use with schema (--schema FILE), or bring the files to one type."
    )
    return SchemaMismatchError(msg)


def _check_same(kinds: Sequence[FileSchema]) -> None:
    """Raise unless there is one schema: columns, order, types, nullability, their metadata."""
    if len(kinds) < 2:
        return
    one, other = kinds[:2]
    mine, theirs = one.schema, other.schema
    for name in dict.fromkeys([*mine.names, *theirs.names]):
        shown = [
            spelled(kind.fields[name]) if name in kind.fields else "missing"
            for kind in (one, other)
        ]
        if shown[0] != shown[1]:
            msg = (
                f"the files disagree on column {named(name)}: it is {shown[0]} in {one.path} "
                f"and {shown[1]} in {other.path}; the same schema was asked for in every file. "
                'Leave schema="strict" (--schema strict) out to have them united.'
            )
            raise SchemaMismatchError(msg)
    if mine.names != theirs.names:
        name = next(a for a, b in zip(mine.names, theirs.names, strict=True) if a != b)
        msg = (
            f"the files disagree on the order of columns: {named(name)} is column "
            f"{mine.names.index(name) + 1:,} of {one.path} and column "
            f"{theirs.names.index(name) + 1:,} of {other.path}; the same schema was asked "
            'for in every file. Leave schema="strict" (--schema strict) out to unite them.'
        )
        raise SchemaMismatchError(msg)


def _differences(
    kind: FileSchema, schema: pa.Schema, kinds: Sequence[FileSchema]
) -> Iterator[tuple[str, Difference]]:
    """Yield the columns of a file that become another type."""
    for field in kind.schema:
        united = schema.field(field.name)
        has_nulls = field.nullable and not united.nullable
        if field.type == united.type and not has_nulls:
            continue
        here, there = spelled(field), spelled(united)
        other = ASKED if kind.table is None else "its table"
        for one in kinds:
            its = one.fields.get(field.name)
            if its is not None and its.type != field.type and not has_nulls:
                other, there = one.path, spelled(its)
                if its.type == united.type:
                    break
        yield field.name, Difference(here, other, there)


def _fits(
    files: Sequence[FileSchema],
    told: Sequence[FileSchema],
    labels: Sequence[Labels | None],
    differs: Sequence[dict[str, Difference]],
    schema: pa.Schema,
) -> tuple[Fit | None, ...]:
    """Return what is done to each file; files of the same needs have the same object."""
    others = ""
    if len({calendar_of(file) for file in told}) > 1:
        others = next((file.path for file in files if not is_julian(file)), files[0].path)
    known: dict[object, Fit] = {}
    fits: list[Fit | None] = []
    for file, its_labels, its_differs in zip(files, labels, differs, strict=True):
        calendar = others if others and is_julian(file) else ""
        if calendar and not any(map(_has_times, file.schema.types)):
            calendar = ""
        own = file.schema.names
        if not (its_differs or its_labels or calendar) and len(own) == len(schema):
            fits.append(None)
            continue
        key = id(its_differs), its_labels, calendar
        if key not in known:
            missing = frozenset(schema.names) - set(own)
            known[key] = Fit(missing, its_differs, its_labels, calendar)
        fits.append(known[key])
    return tuple(fits)


def _has_times(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_times(kind.storage_type)
    if pt.is_dictionary(kind):
        return _has_times(kind.value_type)
    if pt.is_date(kind) or pt.is_timestamp(kind):
        return True
    return any(_has_times(kind.field(i).type) for i in range(kind.num_fields))


def _changes(
    schema: pa.Schema, kinds: Sequence[FileSchema], differs: Sequence[dict[str, Difference]]
) -> Iterator[str]:
    """Yield the columns that differ, with their types in files and the one that they get."""
    names = {name for each in differs for name in each}
    for kind in kinds:
        names.update(set(schema.names).difference(kind.schema.names))
    for field in schema:
        if field.name in names:
            shown = dict.fromkeys(
                str(kind.fields[field.name].type) if field.name in kind.fields else "missing"
                for kind in kinds
            )
            yield f"{given_name(field.name)} ({', '.join(shown)} → {field.type})"
    alike: dict[str, list[str]] = {}
    for name in schema.names:
        alike.setdefault(name.casefold(), []).append(name)
    for group in alike.values():
        if len(set(group)) > 1 and not any(set(group) <= kind.fields.keys() for kind in kinds):
            shown_names = " and ".join(map(given_name, group))
            yield f"{shown_names} (differ by case only: Spark can't read both)"
