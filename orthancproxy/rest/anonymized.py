"""The REST route for a ZIP of an anonymized study."""

from django.http.response import HttpResponseBase
from rest_framework.request import Request

from orthancproxy.anonymization.files import AnonymizationRequest
from orthancproxy.errors import InvalidRequest
from orthancproxy.http import streaming
from orthancproxy.resolvers.anonymizing import get_anonymized_zip
from orthancproxy.rest import openapi
from orthancproxy.rest.downloads import DownloadView


class AnonymizedZipView(DownloadView):
    """A ZIP of the anonymized files of a study."""

    parameters = tuple(parameter.name for parameter in openapi.ANONYMIZATION)

    @openapi.downloads(
        "downloadAnonymizedStudy",
        ("application/zip",),
        "A ZIP of the anonymized DICOM files of a study, made while it is sent. Each one has new UIDs.",
        *openapi.ANONYMIZATION,
    )
    def get(self, request: Request, orthanc_id: str) -> HttpResponseBase:
        texts = request.query_params
        wanted = AnonymizationRequest(
            project=texts.get("project"),
            patient_id=texts.get("patient-id"),
            patient_name=texts.get("patient-name"),
            shifts_dates=_flag(request, "shift-dates"),
            keeps_series_descriptions=_flag(request, "keep-series-descriptions"),
            keeps_device=_flag(request, "keep-device"),
            includes_burned_in=_flag(request, "include-burned-in"),
        )
        download = get_anonymized_zip(
            self.entered_context, orthanc_id, wanted, streaming.download_request(request._request)
        )
        return streaming.stream(request._request, download)


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidRequest(f"The parameter {name} must be true or false.")
    return value == "true"
