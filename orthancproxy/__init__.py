"""A GraphQL gateway over the DICOM server Orthanc, as a Django app."""
