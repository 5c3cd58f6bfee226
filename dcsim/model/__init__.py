"""What a planner states: frozen models of a scenario file, and the loader that names every fault in it."""
