"""The best designs of a scenario by several objectives, what binds each of them, and what they dominate."""
