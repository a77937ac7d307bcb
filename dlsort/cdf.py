"""Distribution: what is known of a dataset's keys without reading its rows.

The parts of a dataset that dlsort has sorted tell every hundredth of their keys in their
footers, so the rank of any key is known to a hundredth of a part, at no more cost than opening
it. Of others, row groups' statistics tell less; of a Dask frame, one pass over its partitions.
Every answer has bounds that hold, and ``exact=True`` reads what lies between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import pyarrow as pa

from dlsort.arrow.paths import field_at, top_columns_of
from dlsort.errors import BadKeyError, BadOptionError
from dlsort.io.listing.hive import read_hive_types
from dlsort.io.listing.names import read_ignore
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.paths import read_places, shown_places
from dlsort.io.schema.wanted import read_schema
from dlsort.io.told import check_all_told
from dlsort.keys import By, SortKey, parse_by
from dlsort.model.distribution import Distribution, Estimate, Histogram
from dlsort.model.group_rows import GroupRows
from dlsort.model.known_groups import ranks_of_groups
from dlsort.options.arguments import data_name, is_dasks
from dlsort.options.doors import read_options
from dlsort.options.settings import with_settings
from dlsort.order.key_types import check_compared_by_value, check_key_types
from dlsort.publish.known_parts import manifests_of, ranks_of_parts
from dlsort.publish.manifest import value_type
from dlsort.tuning import TUNING

__all__ = ["Distribution", "Estimate", "Histogram", "distribution"]


@with_settings("distribution")
def distribution(
    src: str | PathLike[str] | Sequence[str | PathLike[str]] | Any,
    by: By | None = None,
    *,
    schema: str | PathLike[str] | Mapping[str, Any] | pa.Schema = "union",
    ignore: str | Sequence[str] = (),
    hive_types: str | Mapping[str, Any] | None = None,
) -> Distribution:
    """Open the distribution of a dataset's keys.

    Parameters
    ----------
    src : str, path-like, a sequence of these, or a Dask frame
        A dataset, as of :func:`dlsort.sort_dataset`, of which only footers are read now. A
        frame's key columns are computed, once, and NaN in them is null.
    by : str, SortKey or a sequence of these, optional
        The key, as in ``"day,price:desc"``. By default the one that dlsort has sorted the
        dataset by. With that, or its first columns, answers come from the parts' footers; with
        another, from row groups' statistics, which tell much if the data lie in that order.
    schema : str, path-like, mapping or pyarrow.Schema
        As of :func:`dlsort.sort_dataset`.
    ignore : str or a sequence of str
        Patterns of files to leave out.
    hive_types : str, mapping or Schema, optional
        Types of the columns that folders give.

    Returns
    -------
    Distribution
        It keeps what the footers tell: no answer reads a file, unless ``exact=True``.

    Raises
    ------
    DlsortError
        If the dataset can't be read or the key does not fit it.

    Notes
    -----
    The parts of a sort tell every hundredth of their rows' keys, so a rank is known to a
    hundredth of a part's rows. Statistics tell the least and the greatest value of a row group,
    of the key's first column; nothing of floats, unsigned integers and nested columns, of which
    they do not bound all rows, so that their bounds are 0 and all rows. They are believed.

    Examples
    --------
    >>> import tempfile, pyarrow.parquet as pq, dlsort
    >>> folder = tempfile.TemporaryDirectory()
    >>> pq.write_table(pa.table({"x": range(1000)}), folder.name + "/x.parquet")
    >>> _ = dlsort.sort_dataset(folder.name + "/x.parquet", folder.name + "/sorted", by="x")
    >>> found = distribution(folder.name + "/sorted")
    >>> found.rank(105)
    Estimate(value=104, low=100, high=109)
    >>> found.rank(105, exact=True).value, found.fraction_below(0).is_exact
    (105, True)
    >>> found.quantile(0.5)
    Estimate(value=499, low=499, high=499)
    >>> folder.cleanup()
    """
    asked = read_options("distribution", locals())
    if is_dasks(src):
        return _of_frame(src, asked["by"])
    if (name := data_name(src)) is not None:
        msg = f"src is {name}; expected a path, or a Dask frame. Rows in memory have rank()."
        raise BadOptionError(msg)
    places = read_places(src, "source (src)")
    types = read_hive_types(hive_types)
    source = open_source(places, TUNING.io, read_schema(schema), read_ignore(ignore), types)
    check_all_told(types, source)
    return _of_source(source, shown_places(places), asked["by"])


def _of_source(source: ParquetSource, src: str, by: By | None) -> Distribution:
    manifests = manifests_of(source)
    if by is not None:
        keys = parse_by(by, source.schema.names)
    elif manifests is not None:
        keys = manifests[0].by
    else:
        msg = (
            f"the footers of {src} do not say by what it is sorted, as those of dlsort do, or "
            "are of several sorts; give the key: by (--by)."
        )
        raise BadKeyError(msg)
    kinds = _kinds(source.schema, keys)
    source.check_columns(top_columns_of(source.schema, keys), copied=False)
    known = ranks_of_parts(manifests, source.schema, keys) if manifests else None
    spans = None
    told_by = "parts"
    if known is None:
        told_by = "statistics"
        known, spans = ranks_of_groups(source, keys, kinds)
    rows = GroupRows(source, keys, kinds, spans)
    return Distribution(keys, source.n_rows, len(source.files), told_by, kinds, known, rows)


def _of_frame(frame: Any, by: By | None) -> Distribution:
    from dlsort.frame_tasks.known_partitions import look_at_frame

    if by is None:
        raise BadKeyError("a frame does not say by what it is sorted; give the key: by.")
    if getattr(frame, "ndim", 0) != 2 or not hasattr(frame, "columns"):
        msg = f"src is {data_name(frame)}; expected a Dask DataFrame. A series has to_frame()."
        raise BadOptionError(msg)
    keys = parse_by(by, [name for name in frame.columns if isinstance(name, str)])
    known, rows = look_at_frame(frame, keys)
    n_parts, kinds = frame.npartitions, rows.kinds
    return Distribution(keys, known.n_rows, n_parts, "partitions", kinds, known, rows)


def _kinds(schema: pa.Schema, keys: tuple[SortKey, ...]) -> pa.Schema:
    """Return the types of the key columns' values."""
    check_key_types(schema, keys)
    check_compared_by_value(schema, keys)
    fields = [field_at(schema, key.column) for key in keys]
    return pa.schema([(f.name, value_type(f.type)) for f in fields])
