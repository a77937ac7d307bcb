"""Ask a sorted dataset for ranks, quantiles and a histogram: its footers know them."""

from __future__ import annotations

from trips import make_trips

import dlsort

dlsort.sort_dataset(make_trips("trips"), "by-fare", by="fare", partitions=4, overwrite=True)

fares = dlsort.distribution("by-fare")
print(f"{fares.n_rows} trips")
for share in (0.25, 0.5, 0.75, 0.99):
    value, low, high = fares.quantile(share)
    print(f"{share:.0%} of the trips cost at most {value} (between {low} and {high})")

# Each answer has bounds. `exact=True` reads the row groups that are left open.
about, exact = fares.rank(20.0), fares.rank(20.0, exact=True)
assert about.low <= exact.value <= about.high
print(f"below 20: about {about.value}, exactly {exact.value}")

edges, counts, _, _ = fares.histogram([0, 5, 10, 20, 40, 80])
for left, right, found in zip(edges, edges[1:], counts, strict=False):
    print(f"{left:>4} to {right:>4}: {found.value:>6} {'#' * (found.value // 1_000)}")
