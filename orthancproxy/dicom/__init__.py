"""DICOM files of strangers: read with suspicion, and rewritten to be of one study."""
