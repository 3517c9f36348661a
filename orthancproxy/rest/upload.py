"""The REST route for uploads: `POST upload-patient/`."""

from collections.abc import Mapping
from typing import IO, Any, cast

from django.http import HttpRequest, QueryDict
from rest_framework.parsers import BaseParser, DataAndFiles
from rest_framework.request import Request
from rest_framework.response import Response

from orthancproxy.errors import InvalidRequest
from orthancproxy.http.multipart import receive
from orthancproxy.resolvers.upload import UploadRequest, require_upload_permission, upload
from orthancproxy.rest import openapi
from orthancproxy.rest.serializers import UploadSerializer
from orthancproxy.rest.views import GatewayView
from orthancproxy.uploads.files import with_series_paths

TEXT_FIELDS = frozenset({"patient_id", "patient_name", "study_description", "upload_key", "series_path"})


class FormParser(BaseParser):
    """Parses forms with `http.multipart`: the files stay on disk."""

    media_type = "multipart/form-data"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        form = receive(cast("HttpRequest", stream))
        return DataAndFiles(form.fields, form.files)


class UploadView(GatewayView):
    """Stores the files of a folder as one study of one patient."""

    parser_classes = (FormParser,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Make REST framework parse a chunked body, which has no Content-Length."""
        if "Transfer-Encoding" in request.headers:
            request.META.setdefault("CONTENT_LENGTH", "1")
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Reject callers without the upload permission before the body is parsed."""
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            require_upload_permission(self.entered_context)

    @openapi.upload
    def post(self, request: Request) -> Response:
        form = request.POST
        for name in TEXT_FIELDS & request.FILES.keys():
            raise InvalidRequest(f"The field {name} was sent as a file: send it as text.")
        for name in TEXT_FIELDS - {"series_path"}:
            if len(form.getlist(name)) > 1:
                raise InvalidRequest(f"The field {name} was sent more than once.")
        result = upload(
            self.entered_context,
            UploadRequest(
                files=with_series_paths(cast("Any", request.FILES).getlist("files"), form.getlist("series_path")),
                patient_id=_required(form, "patient_id"),
                patient_name=form.get("patient_name"),
                study_description=form.get("study_description"),
                upload_key=form.get("upload_key"),
            ),
        )
        return Response(UploadSerializer(result).data, status=200 if result.study_id else 400)


def _required(form: QueryDict, name: str) -> str:
    value = form.get(name)
    if not value:
        raise InvalidRequest(f"The field {name} is missing.")
    return str(value)
