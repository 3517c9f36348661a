"""Tests of deleting, against real Orthancs."""
