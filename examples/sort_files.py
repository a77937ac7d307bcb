"""Sort a Parquet dataset by two columns, check it, and read its report."""

from __future__ import annotations

import pyarrow.parquet as pq
from trips import make_trips

import dlsort

source = make_trips("trips")

# Zones by the alphabet; in each the dearest trips first, and those without a fare last.
key = "zone,fare:desc"
report = dlsort.sort_dataset(source, "by-zone", by=key, partitions=4, overwrite=True)
print(report.to_text())

# What was published was proved already. Anybody can prove it again, later.
found = dlsort.check_dataset("by-zone", against=source)
print(found.to_text())
assert found.ok

first = pq.read_table("by-zone").slice(0, 3)
print(first.to_pandas())
assert first["zone"].to_pylist() == ["airport"] * 3
