"""Where a figure comes from: the rows, stages and sources behind it."""
