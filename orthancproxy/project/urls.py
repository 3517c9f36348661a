"""The URLs of the stand-alone deployment."""

from typing import Never

from django.apps import apps
from django.contrib import admin
from django.http import Http404, HttpRequest
from django.urls import include, path, re_path, reverse_lazy

from orthancproxy.admin import LinearLookups
from orthancproxy.project import health, ohif
from orthancproxy.project.login import LoginView, LogoutView, StaffLoginForm, admin_login
from orthancproxy.project.orthanc_events import orthanc_events
from orthancproxy.project.static import favicon
from orthancproxy.project.tokens import TokensView
from orthancproxy.schema.view import graphql_view

handler400 = "orthancproxy.http.error_responses.bad_request"
handler403 = "orthancproxy.http.error_responses.permission_denied"
handler404 = "orthancproxy.explorer.views.not_found"
handler500 = "orthancproxy.http.error_responses.server_error"

admin.site.site_header = admin.site.site_title = "Orthanc gateway"
admin.site.login_form = StaffLoginForm
admin.site.login = admin_login  # type: ignore[method-assign]
admin.site.logout = LogoutView.as_view()  # type: ignore[method-assign,assignment]
admin.site.site_url = reverse_lazy("explorer:home")  # type: ignore[assignment]  # lazy text

for _model in filter(admin.site.is_registered, apps.get_models()):
    _registered = type(admin.site.get_model_admin(_model))
    if not issubclass(_registered, LinearLookups):
        admin.site.unregister(_model)
        admin.site.register(_model, type(_registered.__name__, (LinearLookups, _registered), {}))


def _no_page(request: HttpRequest) -> Never:
    """The admin site would redirect to the page of an object: none has one, and of `Archive` there is no table."""
    raise Http404


urlpatterns = [
    re_path(r"^admin/r/", _no_page),
    path("graphql/", graphql_view(), name="graphql"),
    path("graphql", graphql_view()),
    path("api/orthanc/", include("orthancproxy.urls")),
    path("dicom-web/", include("orthancproxy.dicomweb.urls")),
    path("share/", include("orthancproxy.shares.urls")),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("sso/", include("orthancproxy.project.sso.urls")),
    path("tokens/", TokensView.as_view(), name="tokens"),
    path("admin/", admin.site.urls),
    path("favicon.ico", favicon),
    path("orthanc-events", orthanc_events()),
    re_path(r"^ohif/(.*)$", ohif.page, name="ohif"),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("", include("orthancproxy.explorer.urls")),
]
