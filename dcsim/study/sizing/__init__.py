"""The fewest GPUs for a demand: of jobs that may wait so long, of requests that must be answered so soon."""
