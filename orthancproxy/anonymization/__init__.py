"""Anonymization of studies: whom a patient becomes, and what is done to each file."""
