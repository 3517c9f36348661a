"""Tests of orthancproxy.orthanc."""
