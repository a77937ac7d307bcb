"""Upkeep: a dataset that is sorted stays so as rows are appended, and even as it grows."""
