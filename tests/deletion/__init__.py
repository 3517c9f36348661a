"""Tests of deletion, against real Orthancs."""
