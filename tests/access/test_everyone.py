"""Every operation of both transports × everybody: what they get, what is written down, and what Orthanc is asked."""

import pytest

from tests.access.archive import Archive
from tests.access.callers import ANONYMOUS, Caller
from tests.access.cases import CASES, OPEN, all_fields, all_routes
from tests.access.matrix import assert_cell
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

# of each outcome one
FEW = (ANONYMOUS, "no group (API token)", "foreign issuer", "Manager (access token)")


def test_the_table_has_every_field_and_route() -> None:
    fields = {name.split(" ")[0] for name in CASES if "." in name.split(" ")[0]}
    routes = {name for name in CASES if "." not in name.split(" ")[0]}
    assert fields == all_fields()
    assert routes | OPEN.keys() == all_routes()


@pytest.mark.parametrize("name", CASES)
def test_everybody_gets_what_they_may_and_no_more(
    name: str, callers: dict[str, Caller], stored: Archive, proxy: RecordingProxy
) -> None:
    case = CASES[name]
    before = stored.state()
    for caller in [callers[one] for one in FEW] if case.is_variant else callers.values():
        try:
            assert_cell(case, caller, stored, proxy, before)
        except AssertionError as error:
            error.add_note(f"the caller: {caller.name}")
            raise
        if stored.state() != before:
            stored.refill()
            before = stored.state()


@pytest.mark.parametrize("name", OPEN)
def test_what_tells_nothing_of_the_archive_is_open(
    name: str, callers: dict[str, Caller], proxy: RecordingProxy
) -> None:
    method, address = name.split(" ")
    for caller in [callers[one] for one in FEW]:
        for one in ("GET", "POST", "DELETE") if method == "*" else (method,):
            answer = caller.rest(address or "no/such/address", one)
            assert answer.status == OPEN[name], caller.name
            assert answer.rows == []
    assert proxy.requests == []
