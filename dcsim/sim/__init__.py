"""Discrete-event simulation of the cluster and its scheduler; the only folder that knows SimPy."""
