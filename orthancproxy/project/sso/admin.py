"""Whose users are whose, in the admin site."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from orthancproxy.admin import LinearLookups
from orthancproxy.project.sso.models import ProviderIdentity

if TYPE_CHECKING:
    _Identities = admin.ModelAdmin[ProviderIdentity]
else:
    _Identities = admin.ModelAdmin


class ProviderIdentityAdmin(LinearLookups, _Identities):
    """For superusers only: whoever links an identity to a user gives the user away."""

    fields = ("user", "issuer", "subject")
    list_display = ("user", "subject", "issuer")
    list_select_related = ("user",)
    ordering = ("pk",)
    raw_id_fields = ("user",)
    search_fields = ("user__username__exact", "subject__exact")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user is an active superuser: nobody else may do anything here."""
        return bool(request.user.is_active and getattr(request.user, "is_superuser", False))

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission
    has_module_permission = has_view_permission


admin.site.register(ProviderIdentity, ProviderIdentityAdmin)
