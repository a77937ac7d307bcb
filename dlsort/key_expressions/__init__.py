"""Keys that are computed: expressions, and text in another order than that of its bytes."""
