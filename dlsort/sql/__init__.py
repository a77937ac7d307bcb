"""SQL conditions as expressions of Arrow's, with SQL's types and its logic of three values."""
