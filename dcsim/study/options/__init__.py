"""Real options on a run's cash flows: what the right to wait, grow, switch or stop is worth beside the static NPV."""
