"""The routes of the page, which all serve it; a project mounts them with `include("orthancproxy.explorer.urls")`."""

from django.urls import path

from orthancproxy.explorer.views import page

app_name = "explorer"

urlpatterns = [
    path("", page, name="home"),
    path("studies/<str:orthanc_id>", page),
    path("studies/<str:orthanc_id>/view", page),
    path("patients/<str:orthanc_id>", page),
    path("upload", page),
    path("audit", page),
    path("retrieve", page),
    path("jobs", page),
    path("shares", page),
    path("trash", page),
    path("account", page),
    path("status", page),
]
