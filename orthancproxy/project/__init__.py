"""The stand-alone deployment: one Django project around the app. Nothing imports it."""
