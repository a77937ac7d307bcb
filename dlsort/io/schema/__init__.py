"""Schemas of a dataset's files: one for all of them, and what is done to each to have it."""
