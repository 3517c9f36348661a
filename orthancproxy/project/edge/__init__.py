"""What a reverse proxy would do, for deployments without one: limits, slow clients, compression."""
