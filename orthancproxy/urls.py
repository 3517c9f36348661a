"""The REST routes; a project mounts them with `path("api/orthanc/", include("orthancproxy.urls"))`."""

from typing import Any

from django.urls import URLPattern, path, re_path

from orthancproxy.archive.levels import Level
from orthancproxy.rest import documentation, views
from orthancproxy.rest.anonymized import AnonymizedZipView
from orthancproxy.rest.changes import ChangesView
from orthancproxy.rest.deletion import ResourceView
from orthancproxy.rest.downloads import InstanceFileView, PreviewView, SeriesThumbnailView, ThumbnailView, ZipView
from orthancproxy.rest.upload import UploadView

app_name = "orthanc"


def route(
    url: str,
    view: type[views.GatewayView],
    name: str,
    *,
    is_upload: bool = False,
    **initkwargs: Any,
) -> tuple[URLPattern, URLPattern]:
    """Return the patterns of a URL with and without a trailing slash; the one with it is documented and linked to.

    Routes with `is_upload` accept forms of ORTHANC_MAX_UPLOAD_BYTES.
    """
    with_slash, without_slash = view.as_view(**initkwargs), view.as_view(**initkwargs, schema=None)
    for function in (with_slash, without_slash):
        function.is_upload = is_upload
    return path(f"{url}/", with_slash, name=name), path(url, without_slash)


urlpatterns = [
    *route("patients", views.PatientsView, "patients"),
    *route("studies", views.StudiesView, "studies"),
    *route("series", views.SeriesView, "series"),
    *route("instances", views.InstancesView, "instances"),
    *route("instances/<str:orthanc_id>/file", InstanceFileView, "instance-file"),
    *route("instances/<str:orthanc_id>/preview", PreviewView, "instance-preview"),
    *route("instances/<str:orthanc_id>/thumbnail", ThumbnailView, "instance-thumbnail"),
    *route("series/<str:orthanc_id>/thumbnail", SeriesThumbnailView, "series-thumbnail"),
    *route("patients/<str:orthanc_id>/archive", ZipView, "patient-archive", level=Level.PATIENT),
    *route("studies/<str:orthanc_id>/archive", ZipView, "study-archive", level=Level.STUDY),
    *route("studies/<str:orthanc_id>/anonymized", AnonymizedZipView, "study-anonymized"),
    *route("series/<str:orthanc_id>/archive", ZipView, "series-archive", level=Level.SERIES),
    *route("patients/<str:orthanc_id>", ResourceView, "patient", level=Level.PATIENT),
    *route("studies/<str:orthanc_id>", ResourceView, "study", level=Level.STUDY),
    *route("series/<str:orthanc_id>", ResourceView, "one-series", level=Level.SERIES),
    *route("instances/<str:orthanc_id>", ResourceView, "instance", level=Level.INSTANCE),
    *route("changes", ChangesView, "changes"),
    *route("upload-patient", UploadView, "upload-patient", is_upload=True),
    path("schema/", documentation.SchemaView.as_view(), name="schema"),
    path("docs/", documentation.SwaggerView.as_view(url_name=f"{app_name}:schema"), name="docs"),
    path("", views.MountPointView.as_view(schema=None)),
    re_path("", views.UnknownAddressView.as_view(schema=None)),
]
