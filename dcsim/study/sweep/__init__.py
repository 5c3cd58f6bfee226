"""One scenario over a grid of values and seeds, each run computed once."""
