"""Queries on Orthanc's content: plans of levels that become resources in a fixed number of calls."""
