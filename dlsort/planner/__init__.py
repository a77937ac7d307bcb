"""What a job will take: work × speeds, measured on this machine and learned from each run."""
