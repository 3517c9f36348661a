"""Absolute URLs of images and files, which the REST routes serve."""

from dataclasses import dataclass, replace
from typing import Self

from django.http import HttpRequest
from django.urls import reverse

from orthancproxy.access.actions import Action
from orthancproxy.archive.records import Instance, Resource, Series
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read
from orthancproxy.resolvers.operations import READ_URL


@dataclass(frozen=True, slots=True)
class ResourceUrls:
    """URLs for the caller: behind a proxy, with the host and prefix that it forwards.

    The prefix is computed once for a request: `reverse` for each of 10,000 instances takes a second.
    """

    prefix: str
    context: RequestContext
    can_be_followed: bool

    @classmethod
    def of(cls, request: HttpRequest, context: RequestContext) -> Self:
        """Return the URLs for the host, scheme and mount point of a request."""
        prefix = request.build_absolute_uri(reverse("orthanc:patients").removesuffix("patients/"))
        return cls(prefix, context, Action.DOWNLOAD in context.caller.actions)

    def check(self, field: str) -> None:
        """Raise NotAuthenticated or PermissionDenied for a URL field if the caller may not download."""
        if not self.can_be_followed:
            with audited_read(replace(self.context, operation_name=field), READ_URL):
                pass

    def to(self, record: Resource, what: str) -> str:
        """Return the URL of a part of a resource: `file`, `preview`, `thumbnail` or `archive`."""
        return f"{self.prefix}{record.level.path}/{record.orthanc_id}/{what}/"

    def to_version(self, record: Instance | Series, what: str, query: str = "") -> str:
        """Return the URL of a part of a resource, which browsers cache: it changes when files are replaced."""
        parameters = "&".join(part for part in (f"v={record.version}" if record.version else "", query) if part)
        return self.to(record, what) + (f"?{parameters}" if parameters else "")
