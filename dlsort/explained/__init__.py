"""What a sort would do, and why, without doing it."""
