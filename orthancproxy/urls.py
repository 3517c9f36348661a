"""The REST routes; a project mounts them with `path("api/orthanc/", include("orthancproxy.urls"))`."""

from collections.abc import Iterator

from django.urls import URLPattern, path, re_path

from orthancproxy.rest import deletion, documentation, downloads, upload, views

app_name = "orthanc"


def route(address: str, view: type[views.GatewayView], name: str) -> Iterator[URLPattern]:
    """Answer an address with and without a slash at its end; the one with it is documented and linked to."""
    yield path(f"{address}/", view.as_view(), name=name)
    yield path(address, view.as_view(schema=None))


urlpatterns = [
    *route("patients", views.PatientsView, "patients"),
    *route("studies", views.StudiesView, "studies"),
    *route("series", views.SeriesView, "series"),
    *route("instances", views.InstancesView, "instances"),
    *route("instances/<str:orthanc_id>/file", downloads.InstanceFileView, "instance-file"),
    *route("instances/<str:orthanc_id>/preview", downloads.PreviewView, "instance-preview"),
    *route("instances/<str:orthanc_id>/thumbnail", downloads.ThumbnailView, "instance-thumbnail"),
    *route("series/<str:orthanc_id>/thumbnail", downloads.SeriesThumbnailView, "series-thumbnail"),
    *route("patients/<str:orthanc_id>/archive", downloads.PatientArchiveView, "patient-archive"),
    *route("studies/<str:orthanc_id>/archive", downloads.StudyArchiveView, "study-archive"),
    *route("series/<str:orthanc_id>/archive", downloads.SeriesArchiveView, "series-archive"),
    *route("patients/<str:orthanc_id>", deletion.PatientView, "patient"),
    *route("studies/<str:orthanc_id>", deletion.StudyView, "study"),
    *route("series/<str:orthanc_id>", deletion.OneSeriesView, "one-series"),
    *route("instances/<str:orthanc_id>", deletion.InstanceView, "instance"),
    *route("upload-patient", upload.UploadView, "upload-patient"),
    path("schema/", documentation.SchemaView.as_view(), name="schema"),
    path("docs/", documentation.SwaggerView.as_view(url_name=f"{app_name}:schema"), name="docs"),
    re_path("", views.UnknownAddressView.as_view(schema=None)),
]
