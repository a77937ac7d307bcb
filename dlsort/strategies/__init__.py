"""Strategies to make a job's parts: an exchange, moves of row groups, reads of ranges."""
