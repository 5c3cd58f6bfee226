"""Figures with a source: parts, prices, tariffs, carbon and weather."""
