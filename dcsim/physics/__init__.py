"""Pure functions of plant, power chain, servers and network, on scalars or arrays: no clock, no files."""
