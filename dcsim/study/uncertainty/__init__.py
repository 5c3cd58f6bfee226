"""What a plan is worth when its inputs are uncertain: percentiles, the chance of a loss, what the spread rests on."""
