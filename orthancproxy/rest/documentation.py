"""The OpenAPI schema and its page, whatever SPECTACULAR_SETTINGS the project has for an API of its own."""

from typing import Any

from django.templatetags.static import static
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.request import Request

from orthancproxy.rest.views import GatewayView

TITLE = "Orthanc gateway"
INFO = {
    "title": TITLE,
    "version": "0.1.0",
    "description": "Patients, studies, series and instances of an Orthanc archive.",
}


class GatewaySchemaGenerator(SchemaGenerator):
    """Describes the gateway's routes only, where the project has mounted them."""

    def _initialise_endpoints(self) -> None:
        super()._initialise_endpoints()  # type: ignore[no-untyped-call]
        self.endpoints = [endpoint for endpoint in self.endpoints or () if issubclass(endpoint[-1].cls, GatewayView)]

    def get_schema(self, request: Request | None = None, public: bool = False) -> Any:
        """Return the schema under our title: `custom_settings` would change it for other threads too."""
        return {**super().get_schema(request, public), "info": INFO}  # type: ignore[no-untyped-call]


class SchemaView(SpectacularAPIView):
    """The OpenAPI schema."""

    generator_class = GatewaySchemaGenerator


class SwaggerView(SpectacularSwaggerView):
    """Swagger UI from our own static files, not from a CDN."""

    title = TITLE

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return static("drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png")
