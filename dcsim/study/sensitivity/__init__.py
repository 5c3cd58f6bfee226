"""Which inputs a result rests on: Sobol indices, tornado, spider, of any vectorised function of named inputs."""
