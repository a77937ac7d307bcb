"""What grows: rows, workers, skew; and what a cluster of many machines would take."""
