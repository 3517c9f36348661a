"""The admin site: groups with their scopes, the audit log, API tokens to delete, and share links to revoke."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import knox.admin  # noqa: F401 - it registers the admin that is replaced here
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
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken

from orthancproxy import errors
from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import author
from orthancproxy.access.callers import caller_of_user
from orthancproxy.access.models import AccessScope, Share
from orthancproxy.audit.dicom_messages import dicom_event
from orthancproxy.audit.kinds import Authentication
from orthancproxy.audit.models import AuditEvent
from orthancproxy.resolvers.audit import reading_audit_log, visible_events
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.shares import revoke_share, visible_shares

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _Scopes = admin.TabularInline[AccessScope, Group]
    _Events = admin.ModelAdmin[AuditEvent]
    _Tokens = admin.ModelAdmin[AuthToken]
    _Shares = admin.ModelAdmin[Share]
    _Forms = BaseInlineFormSet[AccessScope, Group, ModelForm[AccessScope]]
else:
    _Forms = BaseInlineFormSet
    _Scopes = admin.TabularInline
    _Admin = object
    _Events = _Tokens = _Shares = admin.ModelAdmin

SUBJECTS_SHOWN = 200  # as the description of the column says


class LinearLookups(_Admin):
    """Rejects lookups by regular expressions, which can take minutes, and in SQLite lock the process (Django 5.2)."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether a list may be filtered by a query parameter."""
        is_regex = lookup.rpartition("__")[2] in ("regex", "iregex")
        return not is_regex and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]


class AccessScopeForms(_Forms):
    """Forms that must all be filled in: an empty row would look like a rule of the group."""

    def _construct_form(self, i: int, **options: Any) -> Any:
        form = super()._construct_form(i, **options)  # type: ignore[misc]  # the stubs don't know it
        form.empty_permitted = False
        return form


class AccessScopes(_Scopes):
    """The access scope of a group."""

    model = AccessScope
    formset = AccessScopeForms
    extra = 0


class GroupAdmin(LinearLookups, DjangoGroupAdmin):
    """Django's group admin, with the access scope."""

    inlines = (AccessScopes,)


class AuditEventAdmin(LinearLookups, _Events):
    """The audit log, read-only. Reading it is audited."""

    actions = None
    date_hierarchy = "at"
    fields = (
        *("at", "event", "code", "operation", "outcome", "error_code", "username", "authentication", "address"),
        *("request_id", "duration_ms", "target", "counts", "details", "subjects", "intention", "conclusion"),
    )
    list_display = ("at", "event", "operation", "outcome", "error_code", "username", "address")
    list_filter = ("event", "outcome", "authentication")
    ordering = ("-at", "-pk")
    # exact, since a search without an index reads all rows
    search_fields = (
        "username__exact",
        "request_id__exact",
        "subjects__patient_id__exact",
        "subjects__study_instance_uid__exact",
    )
    search_help_text = _("Exact match of a user, request id, PatientID or StudyInstanceUID; quote values with spaces.")
    show_full_result_count = False

    @admin.display(description=_("DICOM code"))
    def code(self, event: AuditEvent) -> str:
        code = dicom_event(event).id
        return f"{code.value} {code.meaning}"

    @admin.display(description=_("patients and studies (the first 200)"))
    def subjects(self, event: AuditEvent) -> str:
        """Return a line for each of the first subjects: an event may concern thousands."""
        subjects = event.subjects.order_by("pk")[:SUBJECTS_SHOWN]
        return format_html_join("", "<div>{} {}</div>", ((one.patient_id, one.study_instance_uid) for one in subjects))

    @admin.display(description=_("outcome event"))
    def conclusion(self, event: AuditEvent) -> AuditEvent | None:
        """Return the event with the outcome of an intended operation."""
        return AuditEvent.objects.filter(intention=event).first()

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Return the events that the user's scope shows."""
        return visible_events(caller_of_user(request.user, Authentication.SESSION).scope)

    def has_view_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        """Require the permission that the API requires."""
        return request.user.has_perm(Action.VIEW_AUDIT.permission)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEvent | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        with _audited(request):
            return _rendered(super().changelist_view(request, extra_context))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        with _audited(request):
            return _rendered(super().changeform_view(request, object_id, form_url, extra_context))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> Any:
        """Audit the history of an event, which is always empty."""
        with _audited(request):
            return _rendered(super().history_view(request, object_id, extra_context))


@contextmanager
def _audited(request: HttpRequest) -> Iterator[None]:
    """Audit access to the audit log, including denied attempts."""
    context = _context(request)
    try:
        with context, reading_audit_log(context):
            yield
    except errors.PermissionDenied as error:
        raise PermissionDenied from error


def _context(request: HttpRequest) -> RequestContext:
    caller = caller_of_user(request.user, Authentication.SESSION)
    return RequestContext(caller, author(request, caller), f"{request.method} {request.path}")


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """Return the page rendered: rendering it reads the events, and may fail."""
    render = getattr(response, "render", None)
    return render() if render else response


class AuthTokenAdmin(LinearLookups, _Tokens):
    """API tokens with their dates. Users create their own, at `tokens/` in the stand-alone deployment."""

    fields = ("user", "created", "expiry")
    list_display = ("user", "created", "expiry")
    list_display_links = None
    list_select_related = ("user",)
    ordering = ("user", "created")
    search_fields = (f"user__{get_user_model().USERNAME_FIELD}",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Forbid it: the new token would be shown in a message, which is kept in a cookie."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ShareAdmin(LinearLookups, _Shares):
    """Share links, which can only be revoked. Their tokens are known to nobody."""

    actions = ("revoke",)
    fields = list_display = (
        *("id", "study_orthanc_id", "allows_download", "created_by"),
        *("created_at", "expires_at", "revoked_at", "opened_at"),
    )
    list_display_links = None
    ordering = ("-pk",)
    search_fields = ("study_orthanc_id__exact", "created_by__exact")

    @admin.action(description=_("Revoke the selected share links"))
    def revoke(self, request: HttpRequest, shares: QuerySet[Share]) -> None:
        """Revoke links, each with an audit event."""
        with _context(request) as context:
            for share in shares:
                revoke_share(context, str(share.pk))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Share]:
        """Return the links that the API lists."""
        return visible_shares(caller_of_user(request.user, Authentication.SESSION))

    def has_view_permission(self, request: HttpRequest, obj: Share | None = None) -> bool:
        """Require the permission that the API requires."""
        return request.user.has_perm(Action.SHARE.permission)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Forbid it: a message would show the link, and be kept in a cookie."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Share | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Share | None = None) -> bool:
        return False


for _replaced, _admin in ((Group, GroupAdmin), (AuthToken, AuthTokenAdmin)):
    # a project may have an admin of its own, or none
    if admin.site.is_registered(_replaced):
        admin.site.unregister(_replaced)
        admin.site.register(_replaced, _admin)
admin.site.register(AuditEvent, AuditEventAdmin)
admin.site.register(Share, ShareAdmin)
