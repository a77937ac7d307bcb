"""What a job says on a terminal while it runs."""
