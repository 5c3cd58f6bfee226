"""Services of language models: replicas from the catalog, latency by load, the hours of a year."""
