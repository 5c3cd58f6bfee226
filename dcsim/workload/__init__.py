"""Jobs: read from a trace or drawn from published distributions."""
