"""What Dask's client and scheduler see of a frame's sort. No kernel is loaded here."""
