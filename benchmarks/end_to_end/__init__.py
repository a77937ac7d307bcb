"""Sorts as users start them: datasets, frames, memory of frames, a lost worker."""
