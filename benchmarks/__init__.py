"""Compare the gateway with Orthanc itself, in one run on one machine: `make bench`."""
