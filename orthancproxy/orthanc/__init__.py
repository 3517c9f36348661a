"""The only way to Orthanc: an HTTP client with an allowlist, and what this Orthanc can do."""
