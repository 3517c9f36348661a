"""The access matrix: each operation of each transport as each caller, its response, audit events and Orthanc calls."""

import pytest

from orthancproxy.jobs.models import Job
from tests.access.archive import SmallArchive
from tests.access.callers import ANONYMOUS, CallerClient
from tests.access.cases import CASES, MOUNT, PUBLIC_ROUTES, root_fields, routes
from tests.access.matrix import assert_access
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

# one for each outcome
REPRESENTATIVE_CALLERS = (ANONYMOUS, "no group (API token)", "foreign issuer", "Manager (access token)")


def test_matrix_has_every_root_field_and_route() -> None:
    fields = {name.split(" ")[0] for name in CASES if "." in name.split(" ")[0]}
    of_routes = {name for name in CASES if "." not in name.split(" ")[0]}
    assert fields == root_fields()
    assert of_routes | PUBLIC_ROUTES.keys() == routes()


@pytest.mark.parametrize("name", CASES)
def test_operation_needs_its_permission_for_each_caller(
    name: str, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
) -> None:
    case = CASES[name]
    before = archive.state()
    for caller in [callers[one] for one in REPRESENTATIVE_CALLERS] if case.is_variant else callers.values():
        try:
            assert_access(case, caller, archive, proxy, before)
        except AssertionError as error:
            error.add_note(f"the caller: {caller.name}")
            raise
        # a study is in one correction at a time
        Job.objects.all().delete()
        if archive.state() != before:
            archive.refill()
            before = archive.state()


@pytest.mark.parametrize("name", PUBLIC_ROUTES)
def test_public_route_needs_no_permission_and_is_not_audited(
    name: str, callers: dict[str, CallerClient], proxy: RecordingProxy
) -> None:
    method, address = name.split(" ")
    path = address if address.startswith("/") else f"{MOUNT}{address}"
    for caller in [callers[one] for one in REPRESENTATIVE_CALLERS]:
        for one in ("GET", "POST", "DELETE") if method == "*" else (method,):
            answer = caller.send(one, path if PUBLIC_ROUTES[name] == 200 else f"{path}no/such/address")
            assert answer.status == PUBLIC_ROUTES[name], caller.name
            assert answer.audit_events == []
    assert proxy.requests == []
