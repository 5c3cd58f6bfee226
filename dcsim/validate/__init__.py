"""Predictions against published figures: one suite a file, one form for all."""
