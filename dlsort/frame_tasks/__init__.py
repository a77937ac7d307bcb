"""The phases of a frame's sort, as workers run them on pandas partitions."""
