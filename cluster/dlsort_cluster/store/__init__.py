"""Where a worker keeps shards: in memory, on disk, or lent to others of its machine."""
