"""Logins of people at a real OpenID Connect provider."""
