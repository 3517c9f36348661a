"""The OpenAPI document and Swagger UI of the DICOMweb routes."""

from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.rest.documentation import INFO, GatewaySchemaGenerator, SchemaView, SwaggerView

INFO_OF_DICOMWEB = {
    **INFO,
    "title": "Orthanc gateway: DICOMweb",
    "description": "DICOMweb (PS3.18) over an Orthanc archive.",
}


class DicomwebSchemaGenerator(GatewaySchemaGenerator):
    """Describes only the DICOMweb routes."""

    document = DicomwebView.document
    info = INFO_OF_DICOMWEB


class DicomwebSchemaView(SchemaView):
    """The OpenAPI document of the DICOMweb routes."""

    generator_class = DicomwebSchemaGenerator


class DicomwebSwaggerView(SwaggerView):
    """Swagger UI of the DICOMweb routes."""

    title = INFO_OF_DICOMWEB["title"]
