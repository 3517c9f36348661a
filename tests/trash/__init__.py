"""Tests of the trash: what it hides, how it is restored, and how it is emptied."""
