"""dlsort: a distributed learned sort for dataframes and Parquet datasets on Dask.

>>> import dlsort, numpy as np
>>> dlsort.argsort(np.array([3, 1, 2]))
array([1, 2, 0])

Every error that it raises is a :class:`DlsortError`; :mod:`dlsort.errors` has the kinds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dlsort.frames.import_hook import import_after
from dlsort.version import __version__ as __version__

if TYPE_CHECKING:
    from dlsort.arrays import argsort, is_sorted, rank
    from dlsort.cdf import Distribution, distribution
    from dlsort.check import CheckReport, check_dataset
    from dlsort.dataset import sort_dataset
    from dlsort.errors import DlsortError, DlsortWarning
    from dlsort.explained.door import explain
    from dlsort.explained.explanation import Explanation
    from dlsort.frames.drop_in import disable, enable, enabled
    from dlsort.frames.index_methods import set_index, sort_index
    from dlsort.frames.methods import sort_values
    from dlsort.frames.notices import ComputedTwiceWarning, OptionIgnoredWarning
    from dlsort.inspection import Inspection, inspect_dataset
    from dlsort.keys import SortKey
    from dlsort.overlap import OverlapReport, measure_overlap
    from dlsort.records.generate import GeneratedRecords, generate_records
    from dlsort.records.report import RecordsReport
    from dlsort.records.sort import sort_records
    from dlsort.records.summary import RecordsSummary
    from dlsort.records.validate import validate_records
    from dlsort.report import SortReport
    from dlsort.table import sort_table, top_k
    from dlsort.upkeep.append import append_dataset
    from dlsort.upkeep.compact import compact_dataset
    from dlsort.upkeep.report import UpkeepReport

__all__ = [
    "CheckReport",
    "ComputedTwiceWarning",
    "Distribution",
    "DlsortError",
    "DlsortWarning",
    "Explanation",
    "GeneratedRecords",
    "Inspection",
    "OptionIgnoredWarning",
    "OverlapReport",
    "RecordsReport",
    "RecordsSummary",
    "SortKey",
    "SortReport",
    "UpkeepReport",
    "append_dataset",
    "argsort",
    "check_dataset",
    "compact_dataset",
    "disable",
    "distribution",
    "enable",
    "enabled",
    "explain",
    "generate_records",
    "inspect_dataset",
    "is_sorted",
    "measure_overlap",
    "rank",
    "set_index",
    "sort_dataset",
    "sort_index",
    "sort_records",
    "sort_table",
    "sort_values",
    "top_k",
    "validate_records",
]


_HOME = {
    "CheckReport": "check",
    "ComputedTwiceWarning": "frames.notices",
    "Distribution": "cdf",
    "DlsortError": "errors",
    "DlsortWarning": "errors",
    "Explanation": "explained.explanation",
    "GeneratedRecords": "records.generate",
    "Inspection": "inspection",
    "OptionIgnoredWarning": "frames.notices",
    "OverlapReport": "overlap",
    "RecordsReport": "records.report",
    "RecordsSummary": "records.summary",
    "SortKey": "keys",
    "SortReport": "report",
    "UpkeepReport": "upkeep.report",
    "append_dataset": "upkeep.append",
    "argsort": "arrays",
    "check_dataset": "check",
    "compact_dataset": "upkeep.compact",
    "disable": "frames.drop_in",
    "distribution": "cdf",
    "enable": "frames.drop_in",
    "enabled": "frames.drop_in",
    "explain": "explained.door",
    "generate_records": "records.generate",
    "inspect_dataset": "inspection",
    "sort_dataset": "dataset",
    "is_sorted": "arrays",
    "measure_overlap": "overlap",
    "rank": "arrays",
    "set_index": "frames.index_methods",
    "sort_index": "frames.index_methods",
    "sort_records": "records.sort",
    "sort_table": "table",
    "top_k": "table",
    "sort_values": "frames.methods",
    "validate_records": "records.validate",
}


def __getattr__(name: str) -> Any:
    """Import a door when it is first used: the command line's help needs none."""
    if name in _HOME:
        value = getattr(import_module(f"dlsort.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    msg = f"module 'dlsort' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])


# Dask's frames and series get their accessor, ``ddf.dlsort``.
import_after("dask.dataframe", "dlsort.frames.drop_in")
