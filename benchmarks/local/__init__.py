"""Sorts in one process, of arrays and tables in memory."""
