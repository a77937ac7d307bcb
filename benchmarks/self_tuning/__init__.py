"""How far the automatic plan is from the best of a grid by hand."""
