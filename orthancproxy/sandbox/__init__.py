"""A disposable Orthanc and sample studies, for `make run`, the tests and the benchmarks."""
