"""The HTTP client for Orthanc: an allowlist of endpoints, and the capabilities of this Orthanc."""
