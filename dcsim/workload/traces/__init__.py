"""Job traces of others: one reader a format, all to one canonical form."""
