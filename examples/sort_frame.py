"""Sort a Dask frame: by dlsort's own function, and by Dask's methods as they stand."""

from __future__ import annotations

import dask.dataframe as dd
from trips import make_trips

import dlsort

ddf = dd.read_parquet(make_trips("trips"))

# One call in place of Dask's. Equal keys keep their order; nothing is read yet.
by_fare = dlsort.sort_values(ddf, ["zone", "fare"], ascending=[True, False])
print(by_fare.head())

# A script that stays as it is: inside of `enabled`, Dask's methods are dlsort's.
with dlsort.enabled():
    by_time = ddf.set_index("pickup")
    june = by_time.loc["2024-06-01":"2024-06-30"]
    print("trips in June:", len(june))

rows = by_fare.compute()
assert rows["zone"].is_monotonic_increasing
assert len(rows) == len(ddf)
