"""Sinks beside Parquet: finished parts as CSV, JSON lines or Arrow IPC, in order."""
