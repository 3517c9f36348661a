"""Logins of people at an OpenID Connect provider, and their logouts: single sign-on for the stand-alone deployment."""
