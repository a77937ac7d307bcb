"""An exchange laid over a Dask DataFrame."""
