"""Files of a source together: their footers, how columns are stored, their row groups."""
