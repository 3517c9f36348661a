"""The admin site: the scopes of groups are edited there, the audit is only read, API tokens are only deleted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import knox.admin  # noqa: F401 - it registers what is replaced here
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet, ModelForm
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.html import format_html_join
from knox.models import AuthToken

from orthancproxy import errors
from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import author
from orthancproxy.access.callers import caller_of_user
from orthancproxy.access.models import AccessScope
from orthancproxy.audit.dicom_messages import dicom_event
from orthancproxy.audit.kinds import Authentication
from orthancproxy.audit.models import AuditEvent
from orthancproxy.resolvers.audit import visible_events
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read
from orthancproxy.resolvers.operations import READ_AUDIT

if TYPE_CHECKING:
    _Scopes = admin.TabularInline[AccessScope, Group]
    _Events = admin.ModelAdmin[AuditEvent]
    _Tokens = admin.ModelAdmin[AuthToken]
    _Forms = BaseInlineFormSet[AccessScope, Group, ModelForm[AccessScope]]
else:
    _Forms = BaseInlineFormSet
    _Scopes = admin.TabularInline
    _Events = _Tokens = admin.ModelAdmin

SUBJECTS_SHOWN = 200


class AccessScopeForms(_Forms):
    """Forms that all have to be filled in: what looks like a scope in the page must not be left out of the group."""

    def _construct_form(self, i: int, **options: Any) -> Any:
        form = super()._construct_form(i, **options)  # type: ignore[misc]  # the stubs don't know it
        form.empty_permitted = False
        return form


class AccessScopes(_Scopes):
    """What the members of a group may see."""

    model = AccessScope
    formset = AccessScopeForms
    extra = 0


class GroupAdmin(DjangoGroupAdmin):
    """Django's, with the scopes."""

    inlines = (AccessScopes,)


class AuditEventAdmin(_Events):
    """The audit. Who looks at it is written down in it, and nobody can change it here."""

    actions = None
    date_hierarchy = "at"
    fields = (
        *("at", "event", "code", "operation", "outcome", "error_code", "username", "authentication", "address"),
        *("request_id", "duration_ms", "target", "counts", "subjects", "intention", "conclusion"),
    )
    list_display = ("at", "event", "operation", "outcome", "error_code", "username", "address")
    list_filter = ("event", "outcome", "authentication")
    ordering = ("-at", "-pk")
    # words that have no index are looked for in all rows
    search_fields = (
        "username__exact",
        "request_id__exact",
        "subjects__patient_id__exact",
        "subjects__study_instance_uid__exact",
    )
    search_help_text = "A user, a request id, a PatientID or a StudyInstanceUID, to the letter; in quotes with spaces."
    show_full_result_count = False

    @admin.display(description="DICOM code")
    def code(self, event: AuditEvent) -> str:
        """The EventID, with its meaning."""
        code = dicom_event(event).id
        return f"{code.value} {code.meaning}"

    @admin.display(description=f"patients and studies (the first {SUBJECTS_SHOWN})")
    def subjects(self, event: AuditEvent) -> str:
        """A line for each: a list of the archive may be about thousands."""
        subjects = event.subjects.order_by("pk")[:SUBJECTS_SHOWN]
        return format_html_join("", "<div>{} {}</div>", ((one.patient_id, one.study_instance_uid) for one in subjects))

    @admin.display(description="how it ended")
    def conclusion(self, event: AuditEvent) -> AuditEvent | None:
        """Of an intention: the event that tells its outcome."""
        return AuditEvent.objects.filter(intention=event).first()

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """What the user's scope shows."""
        return visible_events(caller_of_user(request.user, Authentication.SESSION).scope)

    def has_view_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Whoever may read the audit by the API may do so here."""
        return request.user.has_perm(Action.VIEW_AUDIT.permission)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Nobody."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """List events."""
        with _audited(request):
            return _rendered(super().changelist_view(request, extra_context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show an event."""
        with _audited(request):
            return _rendered(super().changeform_view(request, object_id, form_url, extra_context))


@contextmanager
def _audited(request: HttpRequest) -> Iterator[None]:
    """Audit access to the audit log, including denied attempts."""
    caller = caller_of_user(request.user, Authentication.SESSION)
    context = RequestContext(caller, author(request, caller), f"{request.method} {request.path}")
    try:
        with context, audited_read(context, READ_AUDIT):
            yield
    except errors.PermissionDenied as error:
        raise PermissionDenied from error


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """The page as it is: what is rendered later is not yet read, and may still fail."""
    render = getattr(response, "render", None)
    return render() if render else response


class AuthTokenAdmin(_Tokens):
    """API tokens: when they were made and end. `create_api_token` makes them."""

    fields = ("user", "created", "expiry")
    list_display = ("user", "created", "expiry")
    list_display_links = None
    list_select_related = ("user",)
    ordering = ("user", "created")
    search_fields = (f"user__{get_user_model().USERNAME_FIELD}",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: the token would be shown in a message, and kept in a cookie with it."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


for _replaced, _admin in ((Group, GroupAdmin), (AuthToken, AuthTokenAdmin)):
    # a project may have its own, or none
    if admin.site.is_registered(_replaced):
        admin.site.unregister(_replaced)
        admin.site.register(_replaced, _admin)
admin.site.register(AuditEvent, AuditEventAdmin)
