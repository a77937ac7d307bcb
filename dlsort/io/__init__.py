"""Source and sink: files found, described, read and written."""
