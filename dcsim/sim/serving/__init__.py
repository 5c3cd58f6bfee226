"""Request-level simulation of services: replicas that batch continuously, what routes requests to them, and scaling."""
