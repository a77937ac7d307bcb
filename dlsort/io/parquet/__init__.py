"""Parquet files: footers and pages looked at before Arrow reads them, parts written."""
