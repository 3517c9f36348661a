"""What developers run: checks, generated files, and what the tests need to be installed."""
