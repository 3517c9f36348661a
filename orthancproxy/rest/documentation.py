"""The OpenAPI document and Swagger UI, independent of SPECTACULAR_SETTINGS, which may be for another API."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import get_script_prefix, get_urlconf
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from orthancproxy.http.content_security import policy
from orthancproxy.rest.links import with_links
from orthancproxy.rest.views import GatewayView

TITLE = "Orthanc gateway"
MAX_RENDERED = 16
INFO = {
    "title": TITLE,
    "version": "0.1.0",
    "description": "Patients, studies, series and instances of an Orthanc archive.",
}
# Swagger UI has inline styles
CONTENT_SECURITY_POLICY = policy(
    "script-src 'self'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:", "connect-src 'self'"
)
SECURITY_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An access token, or an API token."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "Django's session; methods other than GET and HEAD also need X-CSRFToken.",
    },
}


class GatewaySchemaGenerator(SchemaGenerator):
    """Describes only the gateway's routes of one document, under the URLs at which the project mounts them."""

    document = GatewayView.document
    info: Mapping[str, str] = INFO

    def _initialise_endpoints(self) -> None:
        super()._initialise_endpoints()  # type: ignore[no-untyped-call]
        self.endpoints = [one for one in self.endpoints or () if self._describes(one[-1].cls)]

    def _describes(self, view: type) -> bool:
        return issubclass(view, GatewayView) and view.document == self.document

    def get_schema(self, request: Request | None = None, public: bool = False) -> Any:
        """Return the document with our title: `custom_settings` would change other threads' documents too."""
        schema = super().get_schema(request, public)  # type: ignore[no-untyped-call]
        components = {**schema["components"], "securitySchemes": SECURITY_SCHEMES}
        return {
            **schema,
            "info": self.info,
            "paths": with_links(schema["paths"]),
            "components": components,
            "security": [{name: []} for name in SECURITY_SCHEMES],
        }


class SchemaView(SpectacularAPIView):
    """The OpenAPI document, rendered once for each place at which a project mounts the gateway: it takes 0.4 s."""

    generator_class: type[GatewaySchemaGenerator] = GatewaySchemaGenerator
    _rendered: ClassVar[dict[tuple[object, ...], bytes | str]] = {}

    def _get_schema_response(self, request: Request) -> HttpResponse:
        renderer = request.accepted_renderer
        key = (self.generator_class, renderer.format, get_script_prefix(), get_urlconf() or settings.ROOT_URLCONF)
        if key not in self._rendered:
            generator = self.generator_class()
            document = generator.get_schema(request, public=True)
            if len(self._rendered) >= MAX_RENDERED:
                # a proxy gives each of its prefixes to the paths
                self._rendered.clear()
            self._rendered[key] = renderer.render(document, renderer_context={})
        response = HttpResponse(self._rendered[key], content_type=renderer.media_type)
        response["Content-Disposition"] = f'inline; filename="{self.generator_class.info["title"]}.{renderer.format}"'
        return response


class SwaggerView(SpectacularSwaggerSplitView):
    """Swagger UI from our static files instead of a CDN, without inline scripts."""

    title = TITLE

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return final

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return static("drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png")
