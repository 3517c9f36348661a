"""Absolute URLs of images and files, which the REST routes serve."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from django.http import HttpRequest
from django.urls import NoReverseMatch, get_script_prefix, reverse

from orthancproxy.access.actions import Action
from orthancproxy.access.credentials import credentials_of
from orthancproxy.access.signed_urls import UrlSigner, signer_of
from orthancproxy.archive.records import Instance, Resource, Series, Study
from orthancproxy.conf import conf
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read
from orthancproxy.resolvers.operations import READ_URL
from orthancproxy.resolvers.viewer_urls import viewer_url


@dataclass(frozen=True)
class ResourceUrls:
    """URLs for the caller: behind a proxy, with the host and prefix that it forwards.

    The prefix is computed once for a request: `reverse` for each of 10,000 instances takes a second.
    """

    prefix: str
    request: HttpRequest
    context: RequestContext
    can_be_followed: bool

    @classmethod
    def of(cls, request: HttpRequest, context: RequestContext) -> Self:
        """Return the URLs for the host, scheme and mount point of a request."""
        prefix = request.build_absolute_uri(reverse("orthanc:patients").removesuffix("patients/"))
        return cls(prefix, request, context, Action.DOWNLOAD in context.caller.actions)

    def check(self, field: str) -> None:
        """Raise NotAuthenticated or PermissionDenied for a URL field if the caller may not download."""
        if not self.can_be_followed:
            with audited_read(replace(self.context, operation_name=field), READ_URL):
                pass

    def to(self, record: Resource, what: str, query: str = "", *, signed: bool | None = False) -> str:
        """Return the URL of a part of a resource: `file`, `preview`, `thumbnail` or `archive`."""
        url = f"{record.level.path}/{record.orthanc_id}/{what}/{'?' if query else ''}{query}"
        return self.prefix + (self._signer.sign(url) if signed else url)

    def to_version(self, record: Instance | Series, what: str, query: str = "", *, signed: bool | None = False) -> str:
        """Return the URL of a part of a resource, which browsers cache: it changes when files are replaced."""
        parameters = "&".join(part for part in (f"v={record.version}" if record.version else "", query) if part)
        return self.to(record, what, parameters, signed=signed)

    def to_viewer(self, study: Study) -> str | None:
        """Return the URL at which a viewer opens a study; None if none is configured."""
        if not conf.ORTHANC_VIEWER_URL:
            return None
        url = viewer_url(conf.ORTHANC_VIEWER_URL, study, self._dicomweb)
        return self.request.build_absolute_uri(get_script_prefix() + url[1:]) if url.startswith("/") else url

    @cached_property
    def _dicomweb(self) -> str:
        try:
            return self.request.build_absolute_uri(reverse("dicomweb:studies").removesuffix("/studies"))
        except NoReverseMatch:
            # a project that has not mounted it
            return ""

    @cached_property
    def _signer(self) -> UrlSigner:
        return signer_of(credentials_of(self.request, self.context.caller))
