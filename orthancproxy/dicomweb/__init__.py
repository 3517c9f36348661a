"""DICOMweb (PS3.18): searches, retrieves and stores studies through the same resolvers as GraphQL and REST."""
