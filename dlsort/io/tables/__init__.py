"""Tables in folders (Delta, Iceberg): which files their current snapshot has."""
