"""Asked key: what a dataset is checked by, the caller's key or its footers'."""

from __future__ import annotations

from typing import NamedTuple

from dlsort.arrow.hidden import is_hidden
from dlsort.errors import BadOptionError
from dlsort.io.chosen import choose
from dlsort.io.parquet.selected import selected
from dlsort.io.parquet.source import ParquetSource
from dlsort.key_expressions.computed import computed_keys
from dlsort.key_expressions.flags import KeyFlags, order_of
from dlsort.keys import By, SortKey
from dlsort.order.key_types import check_key_types
from dlsort.publish.places import key_of_parts

__all__ = ["AskedKey", "asked_key"]


class AskedKey(NamedTuple):
    """A key, and the source that has it.

    Attributes
    ----------
    source : ParquetSource
        With the hidden columns of what is computed.
    keys : tuple of SortKey
        The key.
    problems : list of str
        What is wrong with the parts, if the key is their footers'.
    """

    source: ParquetSource
    keys: tuple[SortKey, ...]
    problems: list[str]


def asked_key(source: ParquetSource, by: By | None, flags: KeyFlags, src: str) -> AskedKey:
    """Return the key by which a dataset is checked.

    Parameters
    ----------
    source : ParquetSource
        The dataset, its row groups whole.
    by : By or None
        The caller's; None: the one that the parts tell.
    flags : KeyFlags
        The caller's.
    src : str
        What the caller calls the dataset.

    Raises
    ------
    DlsortError
        If there is no such key, or it can't be had of the columns.
    """
    problems: list[str] = []
    if by is not None:
        keys, computed = order_of(by, source.schema, flags)
    elif flags.is_set:
        msg = (
            f"{flags.first} is about the key, and there is none; give by (--by) too, or leave "
            "it out: dlsort's own files tell their whole key."
        )
        raise BadOptionError(msg)
    else:
        told = (footer.metadata.metadata for footer in source.footers)
        n_rows = (int(footer.rows.sum()) for footer in source.footers)
        parts = list(zip(source.files, n_rows, told, strict=True))
        keys, problems = key_of_parts(src, parts)
        keys, computed = computed_keys(keys, source.schema)
    check_key_types(source.schema, tuple(key for key in keys if not is_hidden(key.column)))
    if computed:
        chosen = choose(source.schema, keys, computed=computed)
        source, keys = selected(source, chosen), chosen.keys
    return AskedKey(source, keys, problems)
