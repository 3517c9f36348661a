"""The pages of share links; a project mounts them with `path("share/", include("orthancproxy.shares.urls"))`.

A project that does not has no share links: `shareStudy` is rejected.
"""

from django.urls import path

from orthancproxy.shares.views import LinkView, SharedStudyView

app_name = "shares"

urlpatterns = [
    path("", SharedStudyView.as_view(), name="study"),
    path("<str:token>", LinkView.as_view(), name="link"),
    path("<str:token>/", LinkView.as_view()),
]
