"""Serves the gateway: worker processes that share a port, and end without losing a request.

python -m orthancproxy.project.server --migrate
"""
