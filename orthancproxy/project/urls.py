"""Where everything is mounted in the stand-alone deployment."""

from django.urls import include, path

from orthancproxy import health
from schema.view import graphql_view

handler400 = "orthancproxy.error_responses.bad_request"
handler403 = "orthancproxy.error_responses.permission_denied"
handler404 = "orthancproxy.error_responses.not_found"
handler500 = "orthancproxy.error_responses.server_error"

urlpatterns = [
    path("graphql/", graphql_view(), name="graphql"),
    path("graphql", graphql_view()),
    path("api/orthanc/", include("orthancproxy.urls")),
    path("livez", health.livez),
    path("readyz", health.readyz),
]
