"""Uploading a folder of DICOM files, which become one study of one patient."""
