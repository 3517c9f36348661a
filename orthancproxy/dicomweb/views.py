"""The view class of the DICOMweb routes."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from django.http import HttpRequest
from django.urls import reverse
from rest_framework.request import Request

from orthancproxy.archive.uid_path import UIDPath, check_uid
from orthancproxy.dicomweb import openapi
from orthancproxy.http.media_types import MediaRange, best, parse_accept
from orthancproxy.rest.views import GatewayView


class DicomwebView(GatewayView):
    """A view of a DICOMweb route. It ignores query parameters that it does not know (PS3.18 section 8.3.2)."""

    ignores_others = True
    document = "DICOMweb"
    schema = openapi.OperationSchema()
    # what the ids of its operations in the OpenAPI document end with
    resource = ""
    path: UIDPath

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        uids = (kwargs.get(f"{level}_uid") for level in ("study", "series", "instance"))
        self.path = UIDPath(*(uid and check_uid(uid) for uid in uids))

    @property
    def accepted(self) -> list[MediaRange]:
        """The media types that the client accepts. Raises InvalidRequest."""
        return parse_accept(accept_of(self.request._request))

    @property
    def service(self) -> str:
        """The URL of the DICOMweb service, without a slash at its end."""
        match = self.request._request.resolver_match
        names = match.namespaces if match else ["dicomweb"]
        return self.request.build_absolute_uri(reverse(":".join([*names, "studies"]))).removesuffix("/studies")

    def media_type(self, offers: Sequence[str]) -> str:
        """Return the offered media type that the client accepts best. Raises NotAcceptable and InvalidRequest."""
        return best(self.accepted, offers)


def accept_of(request: HttpRequest) -> str | None:
    """Return the accepted media types: the query parameter `accept` overrides the header (PS3.18 section 8.3.3.1)."""
    parameters = _parameters(request.META.get("QUERY_STRING", ""), "accept")
    return ", ".join(parameters) or request.headers.get("Accept")


def _parameters(query: str, name: str) -> Iterable[str]:
    # media types have a plus sign, which in a form is a blank
    return [unquote(value) for key, _, value in (part.partition("=") for part in query.split("&")) if key == name]
