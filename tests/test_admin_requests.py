"""Requests that the admin site's pages do not make: lookups by regular expressions, histories, and pages of objects."""

import time

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from orthancproxy.audit.events import Author, write
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def superuser() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("root"), backend="orthancproxy.project.login.PasswordBackend")
    return client


@pytest.mark.parametrize(
    "path",
    [
        "orthancproxy/auditevent/?operation__regex=",
        "orthancproxy/auditevent/?username__iregex=",
        "auth/user/?username__regex=",
        "auth/group/?name__regex=",
        "axes/accessattempt/?username__regex=",
    ],
)
def test_lookup_by_regular_expression_is_rejected(superuser: Client, path: str) -> None:
    write(Author(), EventKind.ACCESSED, "a" * 28 + "!", AuditOutcome.SUCCESS)
    User.objects.create_user("a" * 28 + "!")
    started = time.perf_counter()
    assert superuser.get(f"/admin/{path}(a%2B)%2B%24").status_code == 400
    # matching takes minutes
    assert time.perf_counter() - started < 5


def test_lookups_of_the_filters_are_accepted(superuser: Client) -> None:
    for query in ("event__exact=ACCESSED", "at__year=2026", "outcome__exact=DENIED"):
        assert superuser.get(f"/admin/orthancproxy/auditevent/?{query}").status_code == 200, query


def test_history_of_an_event_is_audited(superuser: Client) -> None:
    event = write(Author(), EventKind.ACCESSED, "patients", AuditOutcome.SUCCESS)
    assert event is not None
    path = f"/admin/orthancproxy/auditevent/{event.pk}/history/"
    assert superuser.get(path).status_code == 200
    [read] = AuditEvent.objects.filter(event=EventKind.AUDIT_LOG_USED)
    assert (read.username, read.operation, read.outcome) == ("root", f"GET {path}", AuditOutcome.SUCCESS)


@pytest.mark.parametrize("kind", ["archive", "auditevent", "group", "x"])
def test_objects_have_no_pages_of_their_own(superuser: Client, kind: str) -> None:
    content_type = ContentType.objects.filter(model=kind).first()
    for number in ("1", "x"):
        assert superuser.get(f"/admin/r/{content_type.pk if content_type else kind}/{number}/").status_code == 404
