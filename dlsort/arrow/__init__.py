"""Arrow as NumPy: buffers as views, one normal form of a table, rows taken by number."""
