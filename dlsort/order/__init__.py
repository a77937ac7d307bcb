"""The sort in one process: keys as words, the learned order of rows, bands of sorted shards."""
