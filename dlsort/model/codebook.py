"""Codebooks: text keys as codes that keep their order, so that models need no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from dlsort.arrow.made import array_of
from dlsort.arrow.transport import combine
from dlsort.errors import KeyTypeError
from dlsort.keys import SortKey
from dlsort.order.argsort import argsort
from dlsort.order.ranks import look_up, rank_values
from dlsort.order.words import NormalKeys
from dlsort.tuning import OrderTuning

__all__ = ["Codebook", "coded", "fit_codebooks"]


@dataclass(frozen=True)
class Codebook:
    """Codes for a dictionary column that agree between inputs with other dictionaries.

    A value that is the ``i``-th of the splitters' distinct values gets
    ``2 i + 1``, one between two of them the even number between.

    Parameters
    ----------
    values : pyarrow.Array
        The splitters' distinct values in order, or, for an ordered
        dictionary, all its values in their own order.
    ordered : bool
        Which of the two.
    key : SortKey
        The key column.
    """

    values: pa.Array
    ordered: bool
    key: SortKey

    def codes(self, array: pa.DictionaryArray, tuning: OrderTuning) -> pa.Array:
        """Return the code of each row, uint32, null where the value is.

        Raises
        ------
        KeyTypeError
            If an ordered dictionary is not the same in all inputs.
        """
        if self.ordered:
            if not array.dictionary.equals(self.values):
                msg = (
                    f"the ordered categories of {self.key.column!r} differ between inputs; "
                    "expected one dictionary in all, or an unordered one."
                )
                raise KeyTypeError(msg)
            return look_up(rank_values(array.dictionary, self.key, tuning, ordered=True), array)
        n = len(self.values)
        both = pa.concat_arrays([self.values, array.dictionary.cast(self.values.type)])
        ranks = rank_values(both, self.key, tuning, ordered=False)
        reference = ranks[:n].to_numpy()
        of_values = ranks[n:].fill_null(0).to_numpy()
        place = np.searchsorted(reference, of_values, "left")
        if n:
            same = reference[np.minimum(place, n - 1)] == of_values
        else:
            same = np.zeros(len(place), np.bool_)
        codes = (2 * place + same).astype(np.uint32)
        return look_up(
            array_of(codes, ranks[n:].is_null().to_numpy(zero_copy_only=False)), array
        )


def coded(
    table: pa.Table,
    keys: Sequence[SortKey],
    codebooks: dict[int, Codebook],
    tuning: OrderTuning,
) -> NormalKeys:
    """Return key columns, those with a codebook as codes, by the column's position."""
    for i, book in codebooks.items():
        array = combine(table.column(i))
        if pt.is_dictionary(array.type):
            table = table.set_column(i, table.field(i).name, book.codes(array, tuning))
    return NormalKeys(table, tuple(keys))


def fit_codebooks(
    splitters: pa.Table, keys: Sequence[SortKey], tuning: OrderTuning
) -> dict[int, Codebook]:
    """Return the codebooks of dictionary columns, by position, from their splitters."""
    books: dict[int, Codebook] = {}
    for i, (field, key) in enumerate(zip(splitters.schema, keys, strict=True)):
        if not pt.is_dictionary(field.type):
            continue
        array = combine(splitters.column(i))
        if field.type.ordered:
            books[i] = Codebook(array.dictionary, ordered=True, key=key)
            continue
        distinct = (
            array.dictionary.take(array.indices.unique().drop_null()).unique().drop_null()
        )
        ranks = rank_values(distinct, key, tuning, ordered=False)
        order = argsort(pa.Table.from_arrays([ranks], ["v"]), [SortKey("v")], tuning)
        books[i] = Codebook(distinct.take(array_of(order)), ordered=False, key=key)
    return books
