"""What the gateway keeps for others tells a caller with an access scope nothing, not even by the time of a response."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from orthancproxy.orthanc.calls import recording
from orthancproxy.resolvers.context import connect, revision_cache
from tests.access.archive import SmallArchive
from tests.access.callers import CallerClient
from tests.access.cases import CASES
from tests.access.test_scopes import CASES_WITH_A_TARGET, hidden_targets

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

EVERYTHING = """{ patients(first: 1000) { nodes { studies { series { instances {
  sopInstanceUID sopClassUID rows fileSize kvp: tag(keyword: "KVP") } } } } } }"""
READING = [name for name in CASES_WITH_A_TARGET if not CASES[name].uploads and not CASES[name].operation.changes]
SETTLED_SECONDS = 3.0


@pytest.fixture(scope="module")
def settled(small_archive: SmallArchive) -> None:
    """Wait until the last change of the archive is past."""
    time.sleep(SETTLED_SECONDS)


@pytest.mark.parametrize("name", READING)
def test_hidden_resource_costs_the_same_calls_whether_others_have_seen_it(
    name: str,
    callers: dict[str, CallerClient],
    scoped_callers: dict[str, CallerClient],
    archive: SmallArchive,
    use_index: Callable[[], None],
    settled: None,
) -> None:
    use_index()
    case = CASES_WITH_A_TARGET[name]
    for caller in (scoped_callers[f"{group} (API token)"] for group in ("Ward", "Labelled")):
        for target in hidden_targets(caller.name.split(" ")[0], case, archive):
            send = partial(case.send, caller, target)
            # what is read once, such as the plugins
            send()
            revision_cache.cache_clear()
            before = calls(send)
            callers["Viewer (API token)"].graphql(EVERYTHING)
            kept = revision_cache(connect())
            assert kept
            assert kept.size > 0
            assert calls(send) == before, caller.name


def calls(request: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the calls to Orthanc of a request, in the order of their names."""
    with recording() as log:
        request()
    return sorted((one.method, one.template) for one in log.calls)
