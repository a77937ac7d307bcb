"""The suites: what is sorted, and by whom. Each gives races, in which engines take turns."""
