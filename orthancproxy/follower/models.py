"""The table of leases."""

from django.db import models


class Lease(models.Model):
    """The right of one process to do some work, until it stops extending it."""

    name = models.CharField(max_length=512, unique=True)
    holder = models.CharField(max_length=32, blank=True)
    held_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
