"""The page on which users create, list and revoke their API tokens."""

from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, gettext_lazy
from django.views import View
from django.views.decorators.csrf import csrf_protect
from knox.models import get_token_model

from orthancproxy.access.api_tokens import DEFAULT_DAYS, MAX_DAYS, create_api_token
from orthancproxy.http.pages import render_page

MAX_TOKENS = 50
"""Of a user, on this page: anyone who can log in could fill the table otherwise."""


class NewTokenForm(forms.Form):
    """The lifetime of a new token."""

    days = forms.IntegerField(
        label=gettext_lazy("Days until it expires"), min_value=1, max_value=MAX_DAYS, initial=DEFAULT_DAYS
    )


@method_decorator(csrf_protect, name="dispatch")
class TokensView(LoginRequiredMixin, View):
    """The tokens of the user of the session. The admin site's history has what was created and revoked."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Return the page with the tokens and a form for a new one."""
        return self._page(NewTokenForm())

    @transaction.atomic
    def post(self, request: HttpRequest) -> HttpResponse:
        """Revoke the token of the digest `revoke`, or else create one, and show it this once."""
        if "revoke" in request.POST:
            for row in self._tokens():
                if row.digest == request.POST["revoke"]:
                    self._log(row, DELETION)
                    row.delete()
            return redirect("tokens")
        form = NewTokenForm(request.POST)
        if self._tokens().count() >= MAX_TOKENS:
            form.add_error(None, gettext("You have too many tokens. Revoke one first."))
        if not form.is_valid():
            return self._page(form, status=400)
        row, token = create_api_token(request.user, form.cleaned_data["days"])
        self._log(row, ADDITION)
        return self._page(NewTokenForm(), new_token=token)

    def _tokens(self) -> Any:
        return get_token_model().objects.filter(user=self.request.user).order_by("created")

    def _log(self, row: Any, action: int) -> None:
        LogEntry.objects.log_actions(row.user_id, [row], action, single_object=True)

    def _page(self, form: NewTokenForm, new_token: str = "", status: int = 200) -> HttpResponse:
        context = {"form": form, "tokens": self._tokens(), "new_token": new_token}
        return render_page(self.request, "orthancproxy/tokens.html", context, status)
