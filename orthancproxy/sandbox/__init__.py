"""A throw-away Orthanc and sample studies, for `make run`, the tests and the benchmarks."""
