"""Serves the metrics of all workers, sets the gauges of each, and records traces."""
