"""Parses untrusted DICOM files and rewrites them into one study."""
