"""The page of a link, which asks for its password, and the page of the study for those who have opened one.

Opening takes a POST: programs that follow the links of messages, to check or to preview them, open nothing. Then the
token is no longer in the address.
"""

import time
from typing import Any, cast

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views import View
from django.views.decorators.csrf import csrf_protect

from orthancproxy.access import share_links
from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import author
from orthancproxy.access.callers import Caller, caller_of_share
from orthancproxy.access.credentials import credentials_of
from orthancproxy.access.signed_urls import signer_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import Patient, Series, Study
from orthancproxy.audit import events
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.errors import GatewayError, LimitExceeded, NotAuthenticated, NotFound, nearest
from orthancproxy.http.error_responses import RETRY_AFTER, STATUSES
from orthancproxy.http.pages import render_page
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.hierarchy import get_by_orthanc_id

LINK = "orthancproxy/share_link.html"
STUDY = "orthancproxy/shared_study.html"
PLAN = LevelPlan(
    level=Level.STUDY,
    needs=Study.description.needs | Study.study_date.needs | Study.instances_count.needs,
    related={
        "patient": LevelPlan(level=Level.PATIENT, needs=Patient.name.needs),
        "series": LevelPlan(
            level=Level.SERIES,
            needs=Series.description.needs | Series.modality.needs | Series.instances_count.needs,
        ),
    },
)


@method_decorator([transaction.non_atomic_requests, csrf_protect], name="dispatch")
class SharePage(View):
    """A page whose address no page of another origin gets."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Respond with a page also if the link has ended or the archive fails."""
        try:
            response = super().dispatch(request, *args, **kwargs)
        except GatewayError as error:
            response = self._error(error)
        # with `no-referrer`, browsers send the form with `Origin: null`, which the check of its CSRF token rejects
        response["Referrer-Policy"] = "same-origin"
        return response

    def _error(self, error: GatewayError) -> HttpResponse:
        status = nearest(STATUSES, error) or 500
        if isinstance(error, NotAuthenticated | NotFound):
            status, message = 404, gettext("This link has expired, was revoked, or never existed.")
        else:
            message = gettext("The images are not available at the moment. Try again later.")
        response = render_page(self.request, LINK, {"error": message}, status)
        if status == 503:
            response["Retry-After"] = str(RETRY_AFTER)
        return response


class LinkView(SharePage):
    """The page that a link leads to, which says nothing about the study."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        """Return the page with the button, and the password if there is one."""
        return render_page(request, LINK, {"share": share_links.find(token)})

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        """Open the link, and redirect to the study."""
        started = time.perf_counter()
        share = share_links.find(token)
        writer = author(request, caller_of_share(share))

        def audit(outcome: AuditOutcome, code: str = "") -> None:
            seconds = time.perf_counter() - started
            events.write(writer, EventKind.LOGIN, "POST /share/{token}", outcome, error_code=code, duration=seconds)

        try:
            share_links.check(share, request.POST.get("password", ""))
        except (NotAuthenticated, LimitExceeded) as error:
            is_locked = isinstance(error, LimitExceeded)
            audit(AuditOutcome.FAILED, error.code)
            wrong = gettext("The password is wrong.")
            locked = gettext("There were too many wrong passwords. Try again in 15 minutes.")
            context = {"share": share, "problem": locked if is_locked else wrong, "is_locked": is_locked}
            return render_page(request, LINK, context, status=429 if is_locked else 403)
        audit(AuditOutcome.SUCCESS)
        response = redirect("shares:study")
        share_links.open_link(share, response)
        return response


class SharedStudyView(SharePage):
    """The study of the link that was opened: its series, with thumbnails and a ZIP if the link allows downloads."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page. Its URLs are signed, so that they work for users with a session of their own, too."""
        caller = share_links.caller_of(request)
        if caller is None:
            raise NotAuthenticated("No share link was opened.")
        context = RequestContext(caller, author(request, caller), "GET /share/")
        [orthanc_id] = caller.scope.studies or frozenset[str]()
        with context:
            study = cast("Study | None", get_by_orthanc_id(context, PLAN, orthanc_id))
        if study is None:
            raise NotFound("There is no such study.")
        return render_page(request, STUDY, self._shown(caller, study), images="'self'")

    def _shown(self, caller: Caller, study: Study) -> dict[str, Any]:
        series = cast("tuple[Series, ...]", study.related["series"])
        shown: dict[str, Any] = {"study": study, "patient": study.related["patient"]}
        if Action.DOWNLOAD not in caller.actions:
            return {**shown, "series": [(one, "") for one in series]}
        mount = reverse("orthanc:patients").removesuffix("patients/")
        signer = signer_of(credentials_of(self.request, caller))
        thumbnails = [(one, mount + signer.sign(f"series/{one.orthanc_id}/thumbnail/")) for one in series]
        return {**shown, "series": thumbnails, "zip": mount + signer.sign(f"studies/{study.orthanc_id}/archive/")}
