"""From a job's folder to the destination: staging, finished parts, publishing, resuming."""
