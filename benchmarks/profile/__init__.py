"""Where the time goes: CPU samples of a sort, by the code that ran."""
