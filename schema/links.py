"""The absolute URLs of images and files, which the REST routes serve."""

from dataclasses import dataclass
from typing import Self

from django.http import HttpRequest
from django.urls import reverse

from orthancproxy.archive.records import Resource


@dataclass(frozen=True, slots=True)
class Links:
    """URLs as the caller can follow them; behind a proxy, as it said that the caller reached it.

    The prefix is made once for a request: `reverse` for each of 10,000 instances would take a second.
    """

    prefix: str

    @classmethod
    def of(cls, request: HttpRequest) -> Self:
        """Links for the host, scheme and mount point by which this request came."""
        return cls(request.build_absolute_uri(reverse("orthanc:patients").removesuffix("patients/")))

    def to(self, record: Resource, what: str) -> str:
        """The URL of a part of a resource: `file`, `preview`, `thumbnail` or `archive`."""
        return f"{self.prefix}{record.level.path}/{record.orthanc_id}/{what}/"
