"""One pandas column as an Arrow array, and back, for every dtype.

A column travels as Arrow and comes back with the same dtype and values, to the
last null marker. Seven kinds of codec cover the dtypes:

===================  =======================================================
:class:`Numbers`     NumPy numbers and booleans: as they are
:class:`Times`       datetimes, timedeltas, periods: the integers beneath
:class:`Extension`   nullable, string and Arrow dtypes: their own Arrow form
:class:`Categories`  codes, with the categories in a note beside
:class:`Sparse`      the dense values
:class:`Raw`         complex and long double: their bytes
:class:`Objects`     Python objects: of a type that Arrow has, if all are, or pickled
===================  =======================================================
"""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.types as pt
from pandas.api.types import union_categoricals

from dlsort.arrow.transport import combine, from_transport
from dlsort.arrow.views import fixed_view, nulls, raw_view
from dlsort.errors import SchemaMismatchError
from dlsort.frame_tasks.nulls import as_pandas_reads, is_nullable
from dlsort.frame_tasks.plan import MASKED
from dlsort.order.shard_order import ShardOrder

__all__ = ["Codec", "codec_for", "have_same_values", "same_categories"]

Pieces = Sequence[pa.Table]
NAT = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Codec:
    """How a column travels.

    Parameters
    ----------
    dtype : object
        Its pandas dtype.
    label : object
        Its label, for messages.
    """

    dtype: Any
    label: Any = None

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return a pandas array as Arrow, and a note that :meth:`gather` needs, or None."""
        raise NotImplementedError

    def restore(self, array: pa.Array) -> Any:
        """Return an Arrow array as a pandas array."""
        raise NotImplementedError

    def gather(
        self, pieces: Sequence[pa.Table], notes: Sequence[Any], order: ShardOrder
    ) -> Any:
        """Join the pieces of a column and return some rows of it as a pandas array.

        Parameters
        ----------
        pieces : sequence of pyarrow.Table
            One column each.
        notes : sequence
            One a piece, from :meth:`encode`.
        order : ShardOrder
            Which of their rows, in which order.
        """
        del notes
        return self.restore(order.take(pieces))


class Numbers(Codec):
    """NumPy numbers and booleans; NaN stays what it is."""

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return the values, without a copy where they lie side by side."""
        if is_nullable(values):
            return combine(pa.array(values)), None
        return pa.array(values.astype(values.dtype.newbyteorder("="), copy=False)), None

    def restore(self, array: pa.Array) -> Any:
        """Return the values, without a copy where all are there."""
        if array.null_count:
            return as_pandas_reads(self.nullable.__from_arrow__(array))
        return (
            fixed_view(array).view(self.dtype.newbyteorder("=")).astype(self.dtype, copy=False)
        )

    @property
    def nullable(self) -> Any:
        """Pandas' nullable dtype of the same numbers."""
        return pd.array(np.zeros(0, self.dtype.newbyteorder("="))).dtype


class Times(Codec):
    """Datetimes with and without time zone, timedeltas and periods; NaT as null."""

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return the integers beneath."""
        numbers = values.view(np.int64) if isinstance(values, np.ndarray) else values.asi8
        missing = numbers == NAT
        return pa.array(numbers, mask=missing if missing.any() else None), None

    def restore(self, array: pa.Array) -> Any:
        """Put the dtype over the integers."""
        numbers = np.require(fixed_view(array), requirements="W")
        missing = nulls(array)
        if missing is not None:
            numbers[missing] = NAT
        if isinstance(self.dtype, pd.PeriodDtype):
            return pd.arrays.PeriodArray(numbers, dtype=self.dtype)
        if isinstance(self.dtype, pd.DatetimeTZDtype):
            utc = pd.DatetimeIndex(numbers.view(f"M8[{self.dtype.unit}]")).tz_localize("UTC")
            return utc.tz_convert(self.dtype.tz).array
        return numbers.view(self.dtype)


class Extension(Codec):
    """Dtypes that pandas itself turns into Arrow and back."""

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return what the array says it is in Arrow."""
        return combine(pa.array(values)), None

    def restore(self, array: pa.Array) -> Any:
        """Let the dtype make its array."""
        if isinstance(self.dtype, pd.ArrowDtype):
            schema = pa.schema([("values", self.dtype.pyarrow_dtype)])
            array = from_transport(pa.table({"values": array}), schema).column(0)
        return self.dtype.__from_arrow__(array)


class Categories(Codec):
    """Categoricals, by their codes; the note is the dtype where it is not the declared one."""

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return the codes, −1 as null."""
        codes = values.codes.astype(np.int32)
        note = None if same_categories(values.dtype, self.dtype) else values.dtype
        return pa.array(codes, mask=codes < 0), note

    def gather(
        self, pieces: Sequence[pa.Table], notes: Sequence[Any], order: ShardOrder
    ) -> Any:
        """Join the pieces; categories that differ are united in order of appearance."""
        dtypes = [self.dtype if note is None else note for note in notes]
        # What has no categories is null, and takes the others'.
        first = next((dtype for dtype in dtypes if len(dtype.categories)), dtypes[0])
        dtypes = [dtype if len(dtype.categories) else first for dtype in dtypes]
        parts = [
            pd.Categorical.from_codes(_codes(piece), dtype=dtype)
            for piece, dtype in zip(pieces, dtypes, strict=True)
        ]
        if all(same_categories(dtype, dtypes[0]) for dtype in dtypes):
            codes = np.concatenate([part.codes for part in parts])
            return pd.Categorical.from_codes(codes[order.rows], dtype=dtypes[0])
        if any(dtype.ordered for dtype in dtypes):
            msg = (
                f"the ordered categories of {self.label!r} differ between partitions; "
                "expected the same in all."
            )
            raise SchemaMismatchError(msg)
        if len({dtype.categories.dtype for dtype in dtypes}) > 1:
            # Values that differ in who holds them; others can't be categories of one column.
            parts = [_with_objects(part) for part in parts]
        return union_categoricals(parts)[order.rows]


def _with_objects(values: pd.Categorical) -> pd.Categorical:
    categories: Any = values.categories.astype(object)
    return values.rename_categories(categories)


def _codes(piece: pa.Table) -> npt.NDArray[np.int32]:
    array = combine(piece.column(0))
    codes = fixed_view(array).copy()
    missing = nulls(array)
    if missing is not None:
        codes[missing] = -1
    return codes


def same_categories(left: Any, right: Any) -> bool:
    """Return whether two categorical dtypes agree, the order of their categories included."""
    return bool(
        left.ordered == right.ordered
        and left.categories.dtype == right.categories.dtype
        and left.categories.equals(right.categories)
    )


def have_same_values(left: Any, right: Any) -> bool:
    """Return whether two categorical dtypes have equal categories, whatever holds them."""
    one, two = left.categories, right.categories
    if left.ordered != right.ordered or len(one) != len(two) or not _are_text([one, two]):
        return same_categories(left, right)
    places = one.astype(object).get_indexer(two.astype(object))
    return bool((places >= 0).all() and (not left.ordered or np.all(np.diff(places) > 0)))


def _are_text(found: Sequence[pd.Index[Any]]) -> bool:
    return all(pd.api.types.infer_dtype(categories) == "string" for categories in found)


class Sparse(Codec):
    """Sparse numbers, as dense ones on their way."""

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return the dense values."""
        return codec_for(self.dtype.subtype).encode(
            np.asarray(values, dtype=self.dtype.subtype)
        )

    def gather(
        self, pieces: Sequence[pa.Table], notes: Sequence[Any], order: ShardOrder
    ) -> Any:
        """Return the rows, sparse again."""
        dense = codec_for(self.dtype.subtype).gather(pieces, notes, order)
        return pd.arrays.SparseArray(dense, dtype=self.dtype)


class Raw(Codec):
    """Fixed-width values that Arrow has no type for, as bytes."""

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return each value's bytes."""
        data = pa.py_buffer(np.ascontiguousarray(values))
        return pa.Array.from_buffers(self._type, len(values), [None, data]), None

    @property
    def _type(self) -> pa.DataType:
        return pa.binary(self.dtype.itemsize)

    def restore(self, array: pa.Array) -> Any:
        """Return the bytes as values."""
        data = np.ascontiguousarray(raw_view(array)).view(np.uint8)
        return data.reshape(-1).view(self.dtype)


class Objects(Codec):
    """Python objects, and extension arrays that know no Arrow, as objects.

    The note says how a piece travels and, where that is Arrow, which object its
    nulls are.
    """

    def encode(self, values: Any) -> tuple[pa.Array, Any]:
        """Return what Arrow has a type for, and gives back as it was, as that; else pickles."""
        objects = np.asarray(values, dtype=object)
        missing = pd.isna(objects)
        types = set(map(type, objects[~missing]))
        markers = {type(v): v for v in objects[missing]}
        if len(types) == 1 and len(markers) <= 1:
            array = _as_arrow(objects, missing, *types)
            if array is not None:
                return array, ("plain", next(iter(markers.values()), None))
        return pa.array([_pickle(v) for v in objects], pa.large_binary()), ("pickled", None)

    def gather(
        self, pieces: Sequence[pa.Table], notes: Sequence[Any], order: ShardOrder
    ) -> Any:
        """Make objects of each piece, then pick: cheaper than to gather their bytes."""
        parts = [
            _objects(combine(piece.column(0)), *note)
            for piece, note in zip(pieces, notes, strict=True)
        ]
        objects = np.concatenate(parts)[order.rows]
        if isinstance(self.dtype, np.dtype):
            return objects
        return pd.array(objects, dtype=self.dtype)


def _pickle(value: Any) -> bytes:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):  # a function, a class of __main__
        return bytes(cloudpickle.dumps(value))


ARROW_TYPES: dict[type, pa.DataType | None] = {
    str: pa.string(),
    bytes: pa.binary(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    dt.date: pa.date32(),
    Decimal: None,  # by its digits
}


def _as_arrow(
    objects: npt.NDArray[np.object_], missing: npt.NDArray[np.bool_], kind: type
) -> pa.Array | None:
    """Return objects of one type as Arrow, or None if some would not come back as they were."""
    if kind not in ARROW_TYPES or (kind is Decimal and not _are_alike(objects[~missing])):
        return None
    try:
        return combine(pa.array(objects, ARROW_TYPES[kind], mask=missing))
    except (UnicodeEncodeError, OverflowError, pa.ArrowInvalid):
        return None  # half of a surrogate pair, a large integer, too many digits


def _are_alike(decimals: npt.NDArray[np.object_]) -> bool:
    """Return whether decimals have one number of digits behind the point, and no −0."""
    first = decimals[0]
    if not first.is_finite() or first.as_tuple().exponent > 0:
        return False
    zero = Decimal(0)
    return all(map(first.same_quantum, decimals)) and not any(
        d == zero and d.is_signed() for d in decimals
    )


def _objects(array: pa.Array, form: str, marker: Any) -> npt.NDArray[np.object_]:
    if form == "pickled":
        objects = np.empty(len(array), dtype=object)
        objects[:] = [pickle.loads(value) for value in array.to_pylist()]
        return objects
    if pt.is_date(array.type):
        objects = array.to_pandas(date_as_object=True).to_numpy()
    elif pt.is_primitive(array.type) and not pt.is_decimal(array.type):
        objects = np.empty(len(array), dtype=object)
        objects[:] = array.to_pylist()
    else:
        objects = array.to_numpy(zero_copy_only=False)
    if marker is not None and array.null_count:
        objects = objects.copy()
        objects[nulls(array)] = marker
    return objects


def codec_for(dtype: Any, label: Any = None) -> Codec:
    """Return the codec of a pandas dtype."""
    return _kind(dtype)(dtype, label)


def _kind(dtype: Any) -> type[Codec]:
    if isinstance(dtype, pd.CategoricalDtype):
        return Categories
    if isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        return Times
    if isinstance(dtype, (pd.ArrowDtype, pd.StringDtype, *MASKED)):
        return Extension
    if isinstance(dtype, pd.SparseDtype) and dtype.subtype.kind != "O":
        return Sparse
    if not isinstance(dtype, np.dtype) or dtype.kind == "O":
        return Objects
    if dtype.kind in "mM":
        return Times
    if dtype.kind in "biu" or (dtype.kind == "f" and dtype.itemsize <= 8):
        return Numbers
    return Raw
