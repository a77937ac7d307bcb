"""What a caller names, as files: names, folders, hidden ones, and those that are no data."""
