"""A cluster to run on, and a job that is submitted, watched and left in order."""
