"""The ordered log of what changes in the archive, and what fills it."""
