"""The index of patients and studies gives the lists that Orthanc gives, and corrects itself."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from orthancproxy.archive import storage
from orthancproxy.archive.decoding import find
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.index import Selection
from orthancproxy.archive.index_keeper import IndexKeeper
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs, Order
from orthancproxy.archive.records import Patient, Resource
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.archive.search import words
from orthancproxy.errors import ArchiveTimeout, ArchiveUnavailable
from orthancproxy.index.store import DjangoIndex
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.deadline import Deadline, deadline_scope
from orthancproxy.orthanc.endpoints import Endpoint
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ROOT, instance, load
from tests.orthancs import StartOrthanc
from tests.staleness.orthanc_clock import OrthancTime

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5"), pytest.mark.django_db]

FILTERS = [
    Filter(),
    *(
        Filter(((keyword, value),))
        for keyword, values in {
            "PatientID": ["P001", "p00?", "*1", "P001\\P002", "nobody", "*"],
            "PatientName": ["kim*", "*김3*", "KIM002^MINSU*", "*^민수"],
            "PatientBirthDate": ["19510101-19520101", "-1955", "19510315"],
            "PatientSex": ["F", "f\\m", "*"],
        }.items()
        for value in values
    ),
]
STUDY_FILTERS = [
    Filter(((keyword, value),))
    for keyword, values in {
        "StudyDate": ["20210101-20211231", "20220211", "2022-", "2021.01.01-"],
        "StudyDescription": ["brain study ?", "*1", "*_*", "*%*", "Brain study 1\\Brain study 2"],
        "AccessionNumber": ["A001-1", "a00*"],
        "ReferringPhysicianName": ["yamada*", "*tarou"],
        "ModalitiesInStudy": ["MR", "CT\\MR", "US"],
    }.items()
    for value in values
] + [Filter(search=words(typed)) for typed in ("김1", "kim001 study", "minsu a002", "brain_study", "%1", "nobody")]
ORDERS = {
    Level.PATIENT: ["PatientID", "PatientName", "PatientBirthDate", "LastUpdate"],
    Level.STUDY: ["StudyDate", "StudyTime", "StudyDescription", "PatientName", "PatientID", "AccessionNumber"],
}
PLANS = [
    LevelPlan(level=level, filter=criteria, order=order, first=4, offset=offset, total=True)
    for level, filters in {Level.PATIENT: FILTERS, Level.STUDY: FILTERS + STUDY_FILTERS}.items()
    for criteria in filters
    for offset, order in [(0, ()), (3, ()), *((1, (Order(ORDERS[level][0], descending=True),)),)]
] + [
    LevelPlan(level=level, order=(Order(by, descending),), first=5, total=True)
    for level, keys in ORDERS.items()
    for by, descending in product(keys, (False, True))
]


class CountingIndex(DjangoIndex):
    """Counts the pages that it selects, and those that it leaves to Orthanc."""

    def __init__(self) -> None:
        super().__init__("here")
        self.selected: list[bool] = []

    def select(self, plan: LevelPlan, scope: Scope, hidden: Collection[str] = ()) -> Selection | None:
        """Select a page."""
        selection = super().select(plan, scope, hidden)
        self.selected.append(selection is not None)
        return selection


@dataclass
class Archive:
    """An Orthanc, and its index."""

    orthanc: LocalOrthanc
    index: CountingIndex = field(default_factory=CountingIndex)

    def __post_init__(self) -> None:
        self.client = OrthancClient(ConnectionOptions(self.orthanc.base_url))
        self.keeper = IndexKeeper(self.client, self.index)
        self.keeper.build()

    def page(self, plan: LevelPlan, scope: Scope = EVERYTHING) -> Any:
        """A page by the index."""
        return shown(Hierarchy(self.client, scope, keeper=self.keeper), plan)

    def expected(self, plan: LevelPlan, scope: Scope = EVERYTHING) -> Any:
        """The same page by Orthanc."""
        return shown(Hierarchy(self.client, scope), plan)

    def delete(self, resource: Resource) -> None:
        """Delete a resource behind the gateway."""
        storage.delete(self.client, resource.level, resource.orthanc_id)


def shown(hierarchy: Hierarchy, plan: LevelPlan) -> Any:
    page = hierarchy.page(replace(plan, needs=Needs(facts=frozenset({Fact.CHANGES}))))
    return [(one.orthanc_id, one.last_update, one.tags.get("PatientName")) for one in page.resources], page.total


@pytest.fixture
def indexed(archive: LocalOrthanc) -> Archive:
    return Archive(archive)


@pytest.fixture
def changing(start_orthanc: StartOrthanc) -> Archive:
    orthanc = start_orthanc()
    load(orthanc, (instance(patient, study) for patient in (1, 2, 3) for study in (1, 2)))
    return Archive(orthanc)


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(("P001", "P00*")), Scope(())], ids=str)
def test_lists_are_those_of_orthanc(indexed: Archive, scope: Scope) -> None:
    for plan in PLANS:
        assert indexed.page(plan, scope) == indexed.expected(plan, scope), plan
    assert all(indexed.index.selected)
    # the patients of a restricted caller are made of visible studies
    assert len(indexed.index.selected) >= len(PLANS) / (6 if scope.is_restricted else 1)


@pytest.mark.parametrize(
    ("plan", "scope"),
    [
        (LevelPlan(level=Level.STUDY, first=5, filter=Filter((("InstitutionName", "서울병원"),))), EVERYTHING),
        (LevelPlan(level=Level.STUDY, first=5, filter=Filter((("PatientSex", "F*"),))), EVERYTHING),
        (LevelPlan(level=Level.STUDY, first=5, filter=Filter((("StudyTime", "10-11"),))), EVERYTHING),
        (LevelPlan(level=Level.STUDY, first=5, order=(Order("StudyID"),)), EVERYTHING),
        (LevelPlan(level=Level.STUDY, first=5, filter=Filter((("StudyInstanceUID", f"{ROOT}.1.1"),))), EVERYTHING),
        (LevelPlan(level=Level.STUDY, first=5), Scope(("*1",))),
    ],
)
def test_what_the_index_does_not_hold_is_left_to_orthanc(indexed: Archive, plan: LevelPlan, scope: Scope) -> None:
    assert indexed.page(plan, scope) == indexed.expected(plan, scope)
    assert indexed.index.selected == [False]


STUDIES = LevelPlan(level=Level.STUDY, first=4, total=True)
PATIENTS = LevelPlan(level=Level.PATIENT, first=2, total=True)


def test_additions_are_listed_at_once(changing: Archive) -> None:
    for number in (2, 3, 4):
        load(changing.orthanc, [instance(number, 3)])
        for plan in (STUDIES, PATIENTS):
            assert changing.page(plan) == changing.expected(plan)
    assert all(changing.index.selected)


def test_what_was_deleted_is_not_shown_and_the_page_is_filled_up(changing: Archive) -> None:
    first = Hierarchy(changing.client).page(STUDIES).resources[0]
    changing.delete(first)
    rows, total = changing.page(STUDIES)
    assert rows == changing.expected(STUDIES)[0]
    assert total == 5
    last = Hierarchy(changing.client).page(replace(STUDIES, first=9)).resources[-1]
    changing.delete(last)
    changing.keeper.sweep()
    assert changing.page(STUDIES) == changing.expected(STUDIES)
    assert changing.page(PATIENTS) == changing.expected(PATIENTS)


def test_additions_do_not_hide_deletions_from_the_sweep(changing: Archive) -> None:
    # so that there are as many studies as before
    changing.keeper.sweep()
    [*_, last] = Hierarchy(changing.client).page(replace(STUDIES, first=9)).resources
    load(changing.orthanc, [instance(1, 3)])
    changing.delete(last)
    changing.keeper.sweep()
    assert changing.page(STUDIES) == changing.expected(STUDIES)


def test_modalities_follow_the_series(changing: Archive) -> None:
    plan = replace(STUDIES, filter=Filter((("ModalitiesInStudy", "MR"),)))
    assert changing.page(plan) == ([], 0)
    load(changing.orthanc, [instance(1, 1, 2)])
    assert changing.page(plan)[1] == 1
    [study] = (
        Hierarchy(changing.client).page(replace(plan, related={"series": LevelPlan(level=Level.SERIES)})).resources
    )
    [resonance] = [one for one in study.related["series"] if one.tags["Modality"] == "MR"]
    changing.delete(resonance)
    changing.keeper.sweep()
    assert changing.page(plan) == ([], 0)


def test_another_database_is_noticed(changing: Archive, start_orthanc: StartOrthanc) -> None:
    other = start_orthanc()
    load(other, [instance(7, 1)])
    client = OrthancClient(ConnectionOptions(other.base_url))
    keeper = IndexKeeper(client, changing.index)
    for _ in range(2):
        page = Hierarchy(client, keeper=keeper).page(STUDIES)
        assert [study.tags["PatientID"] for study in page.resources] == ["P007"]
        assert page.total == 1
    assert changing.index.count(Level.PATIENT) == 1


def test_another_database_with_more_changes_and_older_ones_is_noticed(start_orthanc: StartOrthanc) -> None:
    other, before = start_orthanc(), start_orthanc()
    load(other, [instance(1, study) for study in range(1, 6)])
    # beyond CLOCK_TOLERANCE
    time.sleep(3.1)
    load(before, [instance(7, 1)])
    archive = Archive(before)
    client = OrthancClient(ConnectionOptions(other.base_url))
    keeper = IndexKeeper(client, archive.index)
    assert shown(Hierarchy(client, keeper=keeper), STUDIES)[1] == 5


def test_what_is_removed_from_the_index_is_told(changing: Archive) -> None:
    told: list[Resource] = []
    keeper = IndexKeeper(changing.client, changing.index, on_removed=told.extend)
    [patient, *_] = Hierarchy(changing.client).page(PATIENTS).resources
    changing.delete(patient)
    keeper.sweep()
    assert sorted(one.level.value for one in told) == ["Patient", "Study", "Study"]
    assert {one.tags["PatientID"] for one in told} == {"P001"}
    keeper.removed(Level.PATIENT, [patient.orthanc_id])
    assert len(told) == 3


def test_studies_stay_in_lists_by_modality_while_they_are_updated(changing: Archive) -> None:
    plan = replace(STUDIES, filter=Filter((("ModalitiesInStudy", "CT"),)))
    totals = set()

    class WatchedIndex(DjangoIndex):
        """Counts the studies whenever others may see them."""

        def write(self, *entries: Any) -> list[Resource]:
            removed = super().write(*entries)
            selection = self.select(plan, EVERYTHING)
            totals.add(selection and selection.total)
            return removed

    load(changing.orthanc, [instance(1, 1, 1, 2)])
    IndexKeeper(changing.client, WatchedIndex("here")).current_index()
    assert totals == {6}


def test_modalities_are_the_same_after_the_patient_was_renamed(changing: Archive) -> None:
    load(changing.orthanc, [instance(1, 1, 2)])
    assert changing.keeper.current_index()
    [patient, *_] = Hierarchy(changing.client).page(PATIENTS).resources
    for name in ("Lee", "Park"):
        changing.index.write([replace(patient, tags={**patient.tags, "PatientName": name})], {})
    found = changing.index.select(replace(STUDIES, filter=Filter((("PatientName", "Park"),))), EVERYTHING)
    assert found
    assert {one.tags["ModalitiesInStudy"] for one in found.resources} == {"ct", "ct\\mr"}


class InterruptedClient(OrthancClient):
    """Counts its calls, fails with `error`, and does something once after a call to an endpoint, about a level."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        super().__init__(ConnectionOptions(orthanc.base_url))
        self.calls: Counter[Endpoint] = Counter()
        self.interruption: tuple[Endpoint, Level | None, Callable[[], object]] | None = None
        self.error: Exception | None = None

    def call(self, endpoint: Endpoint, **arguments: Any) -> Any:
        """Call Orthanc."""
        if self.error:
            raise self.error
        response = super().call(endpoint, **arguments)
        self.calls[endpoint] += 1
        about = arguments.get("level") or (arguments.get("body") or {}).get("Level")
        if self.interruption:
            awaited, level, interrupt = self.interruption
            if endpoint is awaited and (level is None or about in (level.value, level.path)):
                self.interruption = None
                interrupt()
        return response


@pytest.mark.parametrize("endpoint", [endpoints.RESOURCE_IDS, endpoints.FIND], ids=["all", "one"])
def test_what_others_index_during_a_comparison_is_not_removed(changing: Archive, endpoint: Endpoint) -> None:
    told: list[Resource] = []
    client = InterruptedClient(changing.orthanc)
    keeper = IndexKeeper(client, changing.index, on_removed=told.extend)
    patients = Hierarchy(client).page(PATIENTS).resources

    def add() -> None:
        load(changing.orthanc, [instance(1, 3)])
        assert changing.keeper.current_index()

    client.interruption = endpoint, Level.STUDY, add
    if endpoint is endpoints.RESOURCE_IDS:
        keeper.sweep()
    else:
        keeper.refresh(Level.PATIENT, patients)
    assert client.interruption is None
    assert told == []
    assert changing.index.count(Level.STUDY) == 7


def test_what_is_stored_again_during_a_comparison_is_not_removed(changing: Archive) -> None:
    told: list[Resource] = []
    client = InterruptedClient(changing.orthanc)
    keeper = IndexKeeper(client, changing.index, on_removed=told.extend)
    changing.delete(Hierarchy(client).page(STUDIES).resources[0])

    def store_again() -> None:
        load(changing.orthanc, (instance(patient, study) for patient in (1, 2, 3) for study in (1, 2)))
        assert changing.keeper.current_index()

    client.interruption = endpoints.RESOURCE_IDS, Level.STUDY, store_again
    keeper.sweep()
    assert client.interruption is None
    assert told == []
    assert changing.index.count(Level.STUDY) == 6


class InterruptedIndex(DjangoIndex):
    """Lets something happen between the reading of Orthanc and the writing of studies, once."""

    def __init__(self, interrupt: Callable[[], object]) -> None:
        super().__init__("here")
        self.interrupt: Callable[[], object] | None = interrupt

    def write(self, found: Sequence[Resource], *others: Any) -> list[Resource]:
        """Write entries."""
        if self.interrupt and any(one.level is Level.STUDY for one in found):
            interrupt, self.interrupt = self.interrupt, None
            interrupt()
        return super().write(found, *others)


def catch_up(keeper: IndexKeeper, study: Resource) -> None:
    assert keeper.current_index()


def refresh(keeper: IndexKeeper, study: Resource) -> None:
    keeper.refresh(Level.STUDY, [study])


def compare(keeper: IndexKeeper, study: Resource) -> None:
    keeper.sweep()


def build(keeper: IndexKeeper, study: Resource) -> None:
    keeper.build()


@pytest.mark.parametrize("read", [catch_up, refresh, compare, build])
@pytest.mark.parametrize("is_swept", [True, False], ids=["swept", "removed"])
def test_what_is_removed_while_it_is_read_is_not_put_back(
    changing: Archive, read: Callable[[IndexKeeper, Resource], None], is_swept: bool
) -> None:
    load(changing.orthanc, [instance(1, 3)])
    studies = Hierarchy(changing.client).page(replace(STUDIES, first=9)).resources
    [added] = [one for one in studies if one.tags["StudyInstanceUID"] == f"{ROOT}.1.3"]

    def delete() -> None:
        changing.delete(added)
        if is_swept:
            # as another process does
            IndexKeeper(changing.client, changing.index).sweep()
        else:
            changing.keeper.removed(Level.STUDY, [added.orthanc_id])

    index = InterruptedIndex(delete)
    read(IndexKeeper(changing.client, index), added)
    assert index.interrupt is None
    assert changing.index.ids(Level.STUDY) == {one.orthanc_id for one in studies} - {added.orthanc_id}
    assert changing.page(STUDIES) == changing.expected(STUDIES)


@pytest.mark.parametrize("read", [catch_up, refresh, compare, build])
def test_what_is_renewed_while_it_is_read_stays_new(
    changing: Archive, read: Callable[[IndexKeeper, Resource], None]
) -> None:
    plan = replace(STUDIES, filter=Filter((("ModalitiesInStudy", "MR"),)))
    load(changing.orthanc, [instance(1, 3)])
    studies = Hierarchy(changing.client).page(replace(STUDIES, first=9)).resources
    [study] = [one for one in studies if one.tags["StudyInstanceUID"] == f"{ROOT}.1.3"]

    def renew() -> None:
        load(changing.orthanc, [instance(1, 3, 2)])
        assert changing.keeper.current_index()

    index = InterruptedIndex(renew)
    read(IndexKeeper(changing.client, index), study)
    assert index.interrupt is None
    assert changing.page(plan)[1] == 1
    assert changing.page(plan) == changing.expected(plan)


def test_a_reset_during_an_update_lasts(changing: Archive) -> None:
    client = InterruptedClient(changing.orthanc)
    client.interruption = endpoints.FIND, Level.STUDY, changing.keeper.reset
    load(changing.orthanc, [instance(4, 1)])
    assert IndexKeeper(client, changing.index).current_index() is None
    assert not changing.index.progress().is_ready


def test_orthanc_answers_while_another_thread_updates_the_index(changing: Archive) -> None:
    client = InterruptedClient(changing.orthanc)
    keeper = IndexKeeper(client, changing.index)
    found = []

    def ask() -> None:
        with deadline_scope(Deadline(1)):
            found.append(shown(Hierarchy(client, keeper=keeper), STUDIES))

    # they look into the trash once
    client.capabilities()
    client.interruption = endpoints.FIND, Level.STUDY, ask
    load(changing.orthanc, [instance(4, 1)])
    assert keeper.current_index()
    assert found == [changing.expected(STUDIES)]


def test_ids_are_compared_after_deletions_only(changing: Archive) -> None:
    client = InterruptedClient(changing.orthanc)

    def add() -> None:
        load(changing.orthanc, [instance(5, 1)])
        assert changing.keeper.current_index()

    client.interruption = endpoints.CHANGES, None, add
    load(changing.orthanc, [instance(4, 1)])
    assert IndexKeeper(client, changing.index).current_index()
    assert client.interruption is None
    assert client.calls[endpoints.RESOURCE_IDS] == 0


def test_orthanc_answers_until_a_bulk_of_additions_was_read_in_the_background(changing: Archive) -> None:
    client = InterruptedClient(changing.orthanc)
    keeper = IndexKeeper(client, changing.index)
    load(changing.orthanc, (instance(number, 1) for number in range(10, 70)))
    client.capabilities()
    client.calls.clear()
    assert keeper.current_index() is None
    assert client.calls[endpoints.FIND] == 1
    assert changing.page(STUDIES) == changing.expected(STUDIES)
    keeper.look()
    assert keeper.current_index()
    assert changing.index.count(Level.STUDY) == 66


def test_what_moves_up_between_two_pages_is_not_missed(changing: Archive) -> None:
    client = InterruptedClient(changing.orthanc)
    keeper = IndexKeeper(client, changing.index)
    # with a sweep, which would find what is missing
    keeper.look()
    load(changing.orthanc, (instance(1, number) for number in range(10, 70)))
    # beyond what was probed for limits before
    assert client.capabilities().find_limits.may_truncate(Level.SERIES.value, 66) is False
    newest = {"Type": "Metadata", "Key": "LastUpdate", "Direction": "DESC"}
    body = {"Level": "Study", "Query": {}, "OrderBy": [newest], "Limit": 50, "ResponseContent": []}

    def delete() -> None:
        for one in find(changing.client, body)[:5]:
            storage.delete(changing.client, Level.STUDY, one.id)

    client.interruption = endpoints.FIND, Level.STUDY, delete
    keeper.look()
    assert client.interruption is None
    everything = changing.expected(replace(STUDIES, first=99))
    assert everything[1] == 61
    assert {one for one, *_ in everything[0]} <= changing.index.ids(Level.STUDY)
    assert changing.page(replace(STUDIES, first=99))[0] == everything[0]


def test_an_orthanc_that_was_away_is_compared_with_the_index_and_read_again(changing: Archive) -> None:
    client = InterruptedClient(changing.orthanc)
    keeper = IndexKeeper(client, changing.index)
    keeper.look()
    _look_in_vain(keeper, client, ArchiveTimeout(""))
    client.calls.clear()
    keeper.look()
    assert client.calls[endpoints.FIND] == 0
    _look_in_vain(keeper, client, ArchiveUnavailable(""))
    changing.delete(Hierarchy(changing.client).page(STUDIES).resources[0])
    counts = []
    client.interruption = endpoints.FIND, Level.PATIENT, lambda: counts.append(changing.index.count(Level.STUDY))
    keeper.look()
    # lists come from the index while it is built again
    assert counts == [5]


def _look_in_vain(keeper: IndexKeeper, client: InterruptedClient, error: Exception) -> None:
    client.error = error
    with pytest.raises(type(error)):
        keeper.look()
    client.error = None


def test_a_clock_that_was_set_back_hides_nothing(archive_of_tomorrow: LocalOrthanc) -> None:
    indexed = Archive(archive_of_tomorrow)
    load(indexed.orthanc, [instance(2, 1)])
    assert indexed.page(STUDIES) == indexed.expected(STUDIES)
    assert indexed.index.selected == [True]
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y%m%dT%H%M%S}"
    indexed.index.advance(replace(indexed.index.progress(), newest_update=tomorrow))
    load(indexed.orthanc, [instance(3, 1)])
    assert indexed.page(STUDIES) == indexed.expected(STUDIES)
    indexed.keeper.look()
    load(indexed.orthanc, [instance(4, 1)])
    assert indexed.page(STUDIES) == indexed.expected(STUDIES)
    assert indexed.index.selected == [True, True]


@pytest.fixture
def archive_of_tomorrow() -> Iterator[LocalOrthanc]:
    """An Orthanc with a study that its clock stored before it was set back by a day."""
    orthanc = LocalOrthanc()
    clock = OrthancTime(orthanc.folder, int(time.time()) + 86400)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in clock.variables.items():
                patch.setenv(name, value)
            stack.enter_context(orthanc)
        load(orthanc, [instance(1, 1)])
        orthanc.stop()
        orthanc.start()
        yield orthanc


def test_entries_are_removed_in_parts(changing: Archive) -> None:
    patients = [Patient(f"{number:03}", None, {"PatientID": "P"}, {}) for number in range(501)]
    changing.index.write(patients, {})
    told: list[int] = []
    keeper = IndexKeeper(changing.client, changing.index, on_removed=lambda entries: told.append(len(entries)))
    keeper.removed(Level.PATIENT, [patient.orthanc_id for patient in patients])
    assert told == [500, 1]


def test_callers_with_a_scope_do_not_see_when_hidden_studies_arrive(indexed: Archive) -> None:
    assert indexed.keeper.status(EVERYTHING).updated_at
    assert indexed.keeper.status(Scope(("P001",))).updated_at is None


def test_a_build_ends_when_another_process_may_build(changing: Archive) -> None:
    changing.keeper.reset()
    IndexKeeper(changing.client, changing.index, report=lambda: False).build()
    assert not changing.index.progress().is_ready
