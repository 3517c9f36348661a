"""Uploading a folder: its files become one study of one patient."""
