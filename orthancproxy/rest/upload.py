"""The upload of the REST contract."""

from collections.abc import Mapping, Sequence
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
from orthancproxy.uploads.files import SentFile

TEXT_FIELDS = frozenset({"patient_id", "patient_name", "study_description", "upload_key", "series_path"})


class FormParser(BaseParser):
    """A form with any number of files, which stay on disk."""

    media_type = "multipart/form-data"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        """Return fields and files."""
        form = receive(cast("HttpRequest", stream))
        return DataAndFiles(form.fields, form.files)


class UploadView(GatewayView):
    """Files of a folder, to be one study of one patient."""

    parser_classes = (FormParser,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Let REST framework see that there is a body: one that comes in chunks tells no length."""
        if "Transfer-Encoding" in request.headers:
            request.META.setdefault("CONTENT_LENGTH", "1")
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Turn away who may not upload."""
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            require_upload_permission(self.asking)

    @openapi.upload
    def post(self, request: Request) -> Response:
        """Store the files."""
        try:
            return self._store(request)
        finally:
            for file in request.FILES.values():
                file.close()

    def _store(self, request: Request) -> Response:
        form = request.POST
        for name in TEXT_FIELDS & request.FILES.keys():
            raise InvalidRequest(f"The field {name} is text, and was sent as a file.")
        result = upload(
            self.asking,
            UploadRequest(
                files=_files(request),
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


def _files(request: Request) -> Sequence[SentFile]:
    files = cast("Any", request.FILES).getlist("files")
    paths = request.POST.getlist("series_path") or [""] * len(files)
    if len(paths) != len(files):
        raise InvalidRequest(
            f"There are {len(files)} files and {len(paths)} times series_path: give one for each file."
        )
    return [SentFile(file.name, path, file.source) for file, path in zip(files, paths, strict=True)]
