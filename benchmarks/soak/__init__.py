"""Clients that read, upload and delete for minutes (`make soak`)."""
