"""Measures what the gateway costs, against Orthanc itself, in one run on one machine: `make bench`."""
