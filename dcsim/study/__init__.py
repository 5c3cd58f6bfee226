"""Verbs that run the straight line, once or many times."""
