"""Uncertain inputs: their distributions, how they hang together, and samples of them."""
