"""The view class of the REST routes, and the lists of the contract.

Views are synchronous, as Django REST framework is; Django runs each in a thread.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from typing import Any, cast

import orjson
from django.db import close_old_connections, transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orthancproxy.access.authentication import authenticate, author
from orthancproxy.access.credentials import Credentials, credentials_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.routes import template_of
from orthancproxy.resolvers import hierarchy
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.rest import openapi
from orthancproxy.rest.errors import exception_handler
from orthancproxy.rest.serializers import InstanceSerializer, PatientSerializer, SeriesSerializer, StudySerializer

NOTHING = Needs()


class JSONRenderer(BaseRenderer):
    """JSON by orjson, several times faster than the standard library."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, *_: Any) -> bytes:
        return orjson.dumps(data)


class AnyAccept(DefaultContentNegotiation):
    """Renders JSON regardless of Accept: all other responses are files, which have no renderer."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class GatewayView(APIView):
    """A view of the gateway. It does not depend on the settings of the project that mounts it."""

    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AnyAccept
    # the gateway's own, below
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    # pages of other origins ask by OPTIONS, which the middleware for them answers
    http_method_names = [name for name in APIView.http_method_names if name != "options"]  # noqa: RUF012 - Django's
    schema = AutoSchema()
    # the OpenAPI document that describes it
    document = "REST"
    # of the query; a request with others is rejected unless the view ignores them
    parameters: Collection[str] = ()
    ignores_others = False

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, exempt from ATOMIC_REQUESTS: audit events are kept if the request fails."""
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    context: RequestContext | None = None
    credentials: Credentials
    exits: ExitStack

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Respond within the request's context, whose exit writes the audit log."""
        try:
            with ExitStack() as self.exits:
                return super().dispatch(request, *args, **kwargs)
        finally:
            # a download may take an hour, in which the database is not needed
            close_old_connections()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.context = self.exits.enter_context(_context(request, takes_signed_urls=self.takes_signed_urls))
        # before Django REST framework sets the user of the request to that of its own authentication
        self.credentials = credentials_of(request._request, self.context.caller)
        super().initial(request, *args, **kwargs)
        if (request.method or "").lower() not in map(str.lower, self.allowed_methods):
            return  # 405 follows
        for name, values in request.query_params.lists():
            if name not in self.parameters and not self.ignores_others:
                raise InvalidRequest(f"There is no parameter {name[:64]!a}.")
            if name in self.parameters and len(values) > 1:
                raise InvalidRequest(f"The parameter {name} was sent more than once.")

    @property
    def takes_signed_urls(self) -> bool:
        """Whether a signature in the query may authenticate the caller, for this resource only."""
        return openapi.SIGNATURE.name in self.parameters

    @property
    def entered_context(self) -> RequestContext:
        """The context of the request, which `initial` has entered."""
        assert self.context is not None  # noqa: S101 - for mypy: `initial` runs before every method
        return self.context

    def handle_exception(self, exc: Exception) -> Response:
        """Return the response for an error, and audit the error if an operation has begun."""
        if self.context and not isinstance(exc, exceptions.APIException):
            self.context.fail(exc)
        return super().handle_exception(exc)

    def get_exception_handler(self) -> Callable[..., HttpResponseBase]:
        return exception_handler

    def finalize_response(  # type: ignore[override]  # it returns its argument
        self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Keep patient data out of caches, unless the response says otherwise."""
        final: HttpResponseBase = super().finalize_response(request, cast("Response", response), *args, **kwargs)
        final.headers.setdefault("Cache-Control", "private, no-store")
        if self.takes_signed_urls:
            # no page gets the URL
            final.headers["Referrer-Policy"] = "no-referrer"
        return final


@extend_schema(exclude=True)
class UnknownAddressView(GatewayView):
    """All unknown URLs below the mount point, so that projects do not answer them with HTML."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound("There is nothing at this URL.")


class MountPointView(UnknownAddressView):
    """The mount point, which redirects to the documentation."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in ("GET", "HEAD"):
            return HttpResponseRedirect("docs/")
        return super().dispatch(request, *args, **kwargs)


class PatientsView(GatewayView):
    """The list of all patients that the caller may see."""

    ignores_others = True

    @openapi.lists("listPatients", PatientSerializer, "All patients, by PatientID.")
    def get(self, request: Request) -> Response:
        page = hierarchy.get_page(
            self.entered_context, LevelPlan(level=Level.PATIENT, needs=PatientSerializer.table.needs)
        )
        return Response(PatientSerializer(cast("Any", page.resources), many=True).data)


class ChildrenView(GatewayView):
    """The children of the resource that a `*_id` parameter names: by its Orthanc id, or by its PatientID or UID."""

    ignores_others = True

    def get_parent(self, level: Level, needs: Needs, own_needs: Needs = NOTHING) -> Resource:
        """Return the resource with its children of a level. Raises InvalidRequest and NotFound."""
        [parameter] = self.parameters
        name = self.request.query_params.get(parameter)
        if not name:
            raise InvalidRequest(f"The parameter {parameter} is missing.")
        children = LevelPlan(level=level, needs=needs)
        plan = LevelPlan(level=level.parent, needs=own_needs, related={"children": children})
        return hierarchy.get_named(self.entered_context, plan, name)


class StudiesView(ChildrenView):
    """The studies of a patient."""

    parameters = ("patient_id",)

    @openapi.lists(
        "listStudies",
        StudySerializer,
        "The studies of a patient, the newest first.",
        openapi.identifier("patient_id", "PatientID"),
    )
    def get(self, request: Request) -> Response:
        patient = self.get_parent(Level.STUDY, StudySerializer.table.needs)
        return Response(StudySerializer(patient.related["children"], many=True).data)


class SeriesView(ChildrenView):
    """The series of a study."""

    parameters = ("study_id",)

    @openapi.lists(
        "listSeries",
        SeriesSerializer,
        "The series of a study, by SeriesNumber.",
        openapi.identifier("study_id", "StudyInstanceUID"),
    )
    def get(self, request: Request) -> Response:
        study = self.get_parent(Level.SERIES, SeriesSerializer.table.needs)
        return Response(SeriesSerializer(study.related["children"], many=True).data)


class InstancesView(ChildrenView):
    """The instances of a series."""

    parameters = ("series_id",)

    @openapi.lists(
        "listInstances",
        InstanceSerializer,
        "The instances of a series, by InstanceNumber.",
        openapi.identifier("series_id", "SeriesInstanceUID"),
    )
    def get(self, request: Request) -> Response:
        needs, own_needs = InstanceSerializer.table.needs, InstanceSerializer.series_table.needs
        series = self.get_parent(Level.INSTANCE, needs, own_needs)
        above = InstanceSerializer.series_table.read(series)
        return Response(InstanceSerializer(series.related["children"], many=True, context=above).data)


def _context(request: Request, *, takes_signed_urls: bool) -> RequestContext:
    received = request._request
    caller = authenticate(received, takes_signed_urls=takes_signed_urls)
    assert received.resolver_match is not None  # noqa: S101 - for mypy: Django sets it before it calls a view
    route = template_of(received.resolver_match)
    return RequestContext(caller, author(received, caller), operation_name=f"{received.method} {route}")
