"""The routes of logins at the provider."""

from django.urls import path

from orthancproxy.project.sso import logout, views

urlpatterns = [
    path("", views.login, name="sso-login"),
    path("callback/", views.callback, name="sso-callback"),
    path("logged-out/", logout.logged_out, name="logged-out"),
    path("back-channel-logout/", logout.back_channel_logout, name="back-channel-logout"),
]
