"""The URLs of the stand-alone deployment."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path, reverse_lazy

from orthancproxy.project import health
from orthancproxy.project.login import LoginView, StaffLoginForm
from orthancproxy.schema.view import graphql_view

handler400 = "orthancproxy.http.error_responses.bad_request"
handler403 = "orthancproxy.http.error_responses.permission_denied"
handler404 = "orthancproxy.http.error_responses.not_found"
handler500 = "orthancproxy.http.error_responses.server_error"

admin.site.site_header = admin.site.site_title = "Orthanc gateway"
admin.site.login_form = StaffLoginForm
admin.site.site_url = reverse_lazy("graphql")  # type: ignore[assignment]  # lazy text

urlpatterns = [
    path("graphql/", graphql_view(), name="graphql"),
    path("graphql", graphql_view()),
    path("api/orthanc/", include("orthancproxy.urls")),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("livez", health.livez),
    path("readyz", health.readyz),
]
