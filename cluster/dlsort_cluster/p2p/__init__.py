"""An exchange on Dask's peer-to-peer shuffle engine: the only place that knows it."""
