"""What a user may ask for: the table of options, and the checks of their values."""
