"""The DICOMweb routes; a project mounts them with `path("dicom-web/", include("orthancproxy.dicomweb.urls"))`."""

from typing import Any

from django.urls import URLPattern, path, re_path, register_converter
from django.urls.converters import StringConverter

from orthancproxy.archive.levels import Level
from orthancproxy.dicomweb.documentation import DicomwebSchemaView, DicomwebSwaggerView
from orthancproxy.dicomweb.rendered import RenderedView, RetrieveThumbnailView
from orthancproxy.dicomweb.retrieve import BulkDataView, FilesView, FramesView, MetadataView
from orthancproxy.dicomweb.search import SearchView
from orthancproxy.dicomweb.store import StudiesResourceView, StudyResourceView
from orthancproxy.dicomweb.views import DicomwebView
from orthancproxy.dicomweb.wado_uri import WadoURIView
from orthancproxy.rest.views import MountPointView, UnknownAddressView

app_name = "dicomweb"


class UIDConverter(StringConverter):
    """One part of a path. What cannot be a UID is rejected by the view, in JSON."""


register_converter(UIDConverter, "uid")


def route(
    url: str, view: type[DicomwebView], name: str, *, is_upload: bool = False, **initkwargs: Any
) -> tuple[URLPattern, URLPattern]:
    """Return the patterns of a URL without a trailing slash, as clients send it, and with one, which is undocumented.

    Routes with `is_upload` accept bodies of ORTHANC_MAX_UPLOAD_BYTES.
    """
    documented, with_slash = view.as_view(**initkwargs), view.as_view(**initkwargs, schema=None)
    for function in (documented, with_slash):
        function.is_upload = is_upload
    # in this order: a path in a URL would take the slash
    return path(f"{url}/", with_slash), path(url, documented, name=name)


STUDY = "studies/<uid:study_uid>"
SERIES = f"{STUDY}/series/<uid:series_uid>"
INSTANCE = f"{SERIES}/instances/<uid:instance_uid>"

urlpatterns = [
    # to search: QIDO-RS, and to store: STOW-RS
    *route("studies", StudiesResourceView, "studies", is_upload=True, resource="Studies", level=Level.STUDY),
    *route("series", SearchView, "series", resource="Series", level=Level.SERIES),
    *route("instances", SearchView, "instances", resource="Instances", level=Level.INSTANCE),
    *route(f"{STUDY}/series", SearchView, "study-series", resource="SeriesOfStudy", level=Level.SERIES),
    *route(f"{STUDY}/instances", SearchView, "study-instances", resource="InstancesOfStudy", level=Level.INSTANCE),
    *route(f"{SERIES}/instances", SearchView, "series-instances", resource="InstancesOfSeries", level=Level.INSTANCE),
    # to retrieve: WADO-RS, to delete, and to store: STOW-RS
    *route(STUDY, StudyResourceView, "study", is_upload=True, resource="Study"),
    *route(SERIES, FilesView, "one-series", resource="Series"),
    *route(INSTANCE, FilesView, "instance", resource="Instance"),
    *route(f"{STUDY}/metadata", MetadataView, "study-metadata", resource="Study"),
    *route(f"{SERIES}/metadata", MetadataView, "series-metadata", resource="Series"),
    *route(f"{INSTANCE}/metadata", MetadataView, "instance-metadata", resource="Instance"),
    *route(f"{INSTANCE}/frames/<str:frames>", FramesView, "frames"),
    *route(f"{INSTANCE}/bulkdata/<path:attribute>", BulkDataView, "bulk-data"),
    # as the plugin has it in the metadata that it keeps
    path(f"{INSTANCE}/bulk/<path:attribute>", BulkDataView.as_view(schema=None)),
    # to show: WADO-RS rendered, WADO-URI
    *route(f"{STUDY}/rendered", RenderedView, "study-rendered", resource="Study"),
    *route(f"{SERIES}/rendered", RenderedView, "series-rendered", resource="Series"),
    *route(f"{INSTANCE}/rendered", RenderedView, "instance-rendered", resource="Instance"),
    *route(f"{INSTANCE}/frames/<str:frames>/rendered", RenderedView, "frames-rendered", resource="Frames"),
    *route(f"{STUDY}/thumbnail", RetrieveThumbnailView, "study-thumbnail", resource="Study"),
    *route(f"{SERIES}/thumbnail", RetrieveThumbnailView, "series-thumbnail", resource="Series"),
    *route(f"{INSTANCE}/thumbnail", RetrieveThumbnailView, "instance-thumbnail", resource="Instance"),
    *route(f"{INSTANCE}/frames/<str:frames>/thumbnail", RetrieveThumbnailView, "frame-thumbnail", resource="Frame"),
    *route("wado", WadoURIView, "wado-uri"),
    path("schema/", DicomwebSchemaView.as_view(), name="schema"),
    path("docs/", DicomwebSwaggerView.as_view(url_name=f"{app_name}:schema"), name="docs"),
    path("", MountPointView.as_view(schema=None)),
    re_path("", UnknownAddressView.as_view(schema=None)),
]
