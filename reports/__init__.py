"""Pages that a person reads; plotly lives here only."""
