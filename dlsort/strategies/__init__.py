"""The ways to make a job's parts: by an exchange, by moving row groups, by reading ranges."""
