"""The version of this dlsort, which job files and footers carry."""

__version__ = "0.1.0"
