"""Alternatives against a base: paired runs, what differs and why, who is dominated, who is regretted least."""
