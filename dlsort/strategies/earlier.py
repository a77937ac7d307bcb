"""Earlier: the model that an earlier sort has left in the footers of its parts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pyarrow as pa

from dlsort.arrow.hidden import shown_name
from dlsort.arrow.paths import field_at
from dlsort.errors import BadOptionError, DlsortError
from dlsort.io.parquet.source import ParquetSource, open_source
from dlsort.io.schema.wanted import read_schema
from dlsort.keys import SortKey, format_by
from dlsort.model.known_model import KnownModel
from dlsort.publish.known_model import model_of_parts
from dlsort.publish.known_parts import manifests_of
from dlsort.publish.replaceable import Held
from dlsort.strategies.asked import NO_MODEL, Asked
from dlsort.tuning import Tuning

__all__ = ["known_model"]


def known_model(
    asked: Asked, destination: str, held: Held, source: ParquetSource, keys: tuple[SortKey, ...]
) -> KnownModel | None:
    """Return the model of the dataset that is named, or else of the one to be replaced.

    Parameters
    ----------
    asked : Asked
        Which one is named, if any.
    destination, held : str, mapping
        Where the parts go, and what is there.
    source : ParquetSource
        What is to be sorted.
    keys : tuple of SortKey
        The key.

    Raises
    ------
    DlsortError
        If the dataset that is named can't be read, or was not sorted by this key.
    """
    if asked.model == NO_MODEL:
        return None
    if asked.model is not None:
        found = _model_of(asked.model, source, keys, asked.tuning)
        if found is None:
            by = format_by(replace(key, column=shown_name(key.column)) for key in keys)
            msg = (
                f"model (--model) is {asked.model}, whose footers do not tell how keys by "
                f"{by} are distributed; expected a dataset that dlsort has sorted "
                f"by them, of columns of the same types, or {NO_MODEL!r}."
            )
            raise BadOptionError(msg)
        return found
    n_files = sum(name.endswith(".parquet") for name in held)
    if not 0 < n_files <= asked.tuning.sample.most_known_parts:
        return None
    with suppress(DlsortError, OSError, pa.ArrowException):  # whatever it is, it is replaced
        return _model_of(destination, source, keys, asked.tuning)
    return None


def _model_of(
    place: str, source: ParquetSource, keys: tuple[SortKey, ...], tuning: Tuning
) -> KnownModel | None:
    manifests = manifests_of(open_source(place, tuning.io, read_schema("union"), (), {}))
    schema = pa.schema([field_at(source.schema, key.column) for key in keys])
    if manifests is None:
        return None
    return model_of_parts(manifests, schema, keys, source.as_dictionary)
