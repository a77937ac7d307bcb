"""Ingest: what is no Parquet, or can't be read twice, made Parquet for the time of a job."""
