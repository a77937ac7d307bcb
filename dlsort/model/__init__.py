"""From a sample of the keys to a model of their distribution, and from it to partitions."""
