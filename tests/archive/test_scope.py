"""A restricted caller sees in every query exactly the resources that a naive filter of the whole archive shows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.ordering import slice_page, sort
from orthancproxy.archive.plan import Fact, Filter, LabelMatch, LevelPlan, Needs, Order
from orthancproxy.archive.records import Patient, Resource
from orthancproxy.archive.scope import Scope
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests import corpus
from tests.corpus import ROOT, ask, instance, load
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

PATIENT_IDS = [
    "P001",
    "p001",
    "P002",
    "A?B",
    "A*B",
    "A[B]",
    "AXB",
    "A_B%C",
    "홍길동-1",
    "홍길동",
    "É 홍",
    "山田.+(太郎)",
    "back\\slash",
    "x..",
    "",
    "partly",
]
LABELS = {"P002": {1: ["research"], 2: ["research", "teaching"]}, "A*B": {1: ["teaching"]}, "partly": {1: ["research"]}}
TWINS = ("twin-a", "twin-b")
STUDY_NEEDS = Needs(frozenset({"PatientID", "StudyInstanceUID"}), frozenset({Fact.LABELS, Fact.CHANGES}), parent=True)


def _of(*patient_ids: str, labels: Sequence[str] = ()) -> Scope:
    return Scope(patient_ids, frozenset(labels))


SCOPES = {
    "nothing": _of(),
    "everything": _of("*"),
    "everything, by another pattern": _of("**"),
    "one": _of("P001"),
    "the other case": _of("p001"),
    "both cases": _of("P001", "p001"),
    "any character": _of("P00?"),
    "any text": _of("P*", "p*"),
    "a question mark": _of("A?B"),
    "a bracket": _of("A[B]"),
    "a bracket and any text": _of("A[*"),
    "underscore and percent": _of("A_B%C"),
    "underscore and any text": _of("A_*"),
    "what is no ASCII": _of("홍길동"),
    "what is no ASCII, any character": _of("홍?동"),
    "what is no ASCII, any text": _of("홍*"),
    "what is no ASCII, at the end": _of("É *"),
    "what is special in expressions": _of("山田.+(*)"),
    "a backslash": _of("back\\slash"),
    "any character for a backslash": _of("back?slash"),
    "what looks like a path": _of("x..", "P001"),
    "no PatientID": _of(""),
    "one twin": _of("twin-b"),
    "a label": _of(labels=["research"]),
    "labels": _of(labels=["research", "teaching"]),
    "a label that nothing has": _of(labels=["none"]),
    "a label of one twin": _of(labels=["twin"]),
    "a label and patients": _of("P001", "A?B", labels=["teaching"]),
    "many patterns": _of(*(f"P{number}*" for number in range(30)), "A?B"),
    "many patients": _of(*(f"P{number:03d}" for number in range(600)), "홍길동"),
}


@dataclass(frozen=True)
class Archive:
    """An Orthanc and its content without a scope: studies, and the ids from each patient to each instance."""

    orthanc: LocalOrthanc
    client: OrthancClient
    studies: tuple[Resource, ...]
    chains: tuple[tuple[str, ...], ...]

    def shown(self, scope: Scope) -> set[str]:
        """The Orthanc ids of all that a scope shows, read plainly."""
        studies = {
            study.orthanc_id
            for study in self.studies
            if any(_is_like(study.tags.get("PatientID", ""), pattern) for pattern in scope.patient_ids)
            or scope.labels & set(study.facts.get("Labels") or [])
        }
        return {orthanc_id for chain in self.chains if chain[1] in studies for orthanc_id in chain}

    def every(self, plan: LevelPlan, scope: Scope) -> list[Resource]:
        """What a root list has, as far as the scope shows it."""
        shown = self.shown(scope)
        page = Hierarchy(self.client).page(plan)
        every = [resource for resource in page.resources if resource.orthanc_id in shown]
        # where PatientIDs are the same to Orthanc, its order is its own
        return sort(every, plan.full_order) if scope.is_restricted else every


def _is_like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_is_like(text[start:], pattern[1:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and _is_like(text[1:], pattern[1:])


def _files() -> Iterator[bytes]:
    for number, patient_id in enumerate(PATIENT_IDS, start=1):
        for study in (1, 2):
            for series in (1, 2):
                for one in (1, 2):
                    yield instance(number, study, series, one, PatientID=patient_id, PatientAge=f"0{study}0Y")
    for patient_id in TWINS:
        yield instance(100, 1, PatientID=patient_id)


def _connect(orthanc: LocalOrthanc) -> OrthancClient:
    return OrthancClient(ConnectionOptions(orthanc.base_url))


@pytest.fixture(scope="module")
def archive(start_orthanc: Callable[..., LocalOrthanc]) -> Archive:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, _files())
    client = _connect(orthanc)
    studies = Hierarchy(client).visible_studies(STUDY_NEEDS)
    for study in studies if client.capabilities().has_labels else ():
        patient_id, number = study.tags["PatientID"], int(study.tags["StudyInstanceUID"].rpartition(".")[2])
        labels = LABELS.get(patient_id, {}).get(number, [])
        for label in ["twin"] if patient_id == "twin-b" else labels:
            ask(orthanc, f"/studies/{study.orthanc_id}/labels/{label}", "PUT")
    # the last change is to a study that few scopes show: LastUpdate counts in seconds
    time.sleep(1.1)
    number = PATIENT_IDS.index("partly") + 1
    load(orthanc, [instance(number, 2, 2, 3, PatientID="partly", PatientAge="020Y")])

    instances = Hierarchy(client).page(_upward(Level.INSTANCE)).resources
    studies = Hierarchy(client).visible_studies(STUDY_NEEDS)
    return Archive(orthanc, client, tuple(studies), tuple(map(_chain, instances)))


def _upward(level: Level, **options: Any) -> LevelPlan:
    """A plan that goes up to the patients."""
    related = {} if level is Level.PATIENT else {"parent": _upward(level.parent)}
    return LevelPlan(level=level, related=related, **options)


def _downward(level: Level, **options: Any) -> LevelPlan:
    """A plan that goes down to the instances."""
    related = {} if level is Level.INSTANCE else {"children": _downward(level.child)}
    return LevelPlan(level=level, related=related, **options)


def _chain(resource: Resource) -> tuple[str, ...]:
    """The ids of a resource and of those above it, from the patient down."""
    above = _chain(resource.related["parent"]) if "parent" in resource.related else ()
    return (*above, resource.orthanc_id)


def _chains_below(resource: Resource) -> list[tuple[str, ...]]:
    """The ids from a resource down to each of its instances."""
    if resource.level is Level.INSTANCE:
        return [(resource.orthanc_id,)]
    return [(resource.orthanc_id, *chain) for child in resource.related["children"] for chain in _chains_below(child)]


def _ids(resources: Sequence[Resource]) -> list[str]:
    return [resource.orthanc_id for resource in resources]


def _matching(**tags: str) -> Filter:
    return Filter(tags=tuple(tags.items()))


LISTS = {
    "patients": LevelPlan(level=Level.PATIENT),
    "patients, backwards": LevelPlan(level=Level.PATIENT, order=(Order("PatientName", descending=True),)),
    "patients, by sex": LevelPlan(
        level=Level.PATIENT,
        needs=Needs(facts=frozenset({Fact.CHANGES})),
        order=(Order("PatientSex"), Order("PatientBirthDate")),
    ),
    "patients like P*": LevelPlan(level=Level.PATIENT, filter=_matching(PatientID="P*")),
    "women": LevelPlan(level=Level.PATIENT, filter=_matching(PatientSex="F")),
    "studies": LevelPlan(level=Level.STUDY),
    "studies with counts": LevelPlan(
        level=Level.STUDY, needs=Needs(frozenset({"NumberOfStudyRelatedInstances", "PatientAge", "PatientID"}))
    ),
    "studies by description": LevelPlan(level=Level.STUDY, order=(Order("StudyDescription"), Order("PatientID"))),
    "studies of A*": LevelPlan(level=Level.STUDY, filter=_matching(PatientID="A*")),
    "studies of one patient": LevelPlan(level=Level.STUDY, filter=_matching(PatientID="P001")),
    "described studies": LevelPlan(level=Level.STUDY, filter=_matching(StudyDescription="*study 1")),
    "studies with MR": LevelPlan(level=Level.STUDY, filter=_matching(ModalitiesInStudy="MR")),
    "studies by a tag of the files": LevelPlan(level=Level.STUDY, filter=_matching(PatientAge="010Y")),
    "no studies": LevelPlan(level=Level.STUDY, filter=Filter(nothing=True)),
    "series": LevelPlan(level=Level.SERIES),
    "series with MR": LevelPlan(level=Level.SERIES, filter=_matching(Modality="MR")),
    "series of P*": LevelPlan(level=Level.SERIES, filter=_matching(PatientID="P*", Modality="CT")),
    "series of a study": LevelPlan(level=Level.SERIES, filter=_matching(StudyInstanceUID=f"{ROOT}.1.1")),
    "series of the twins": LevelPlan(level=Level.SERIES, filter=_matching(StudyInstanceUID=f"{ROOT}.100.1")),
    "instances": LevelPlan(level=Level.INSTANCE),
    "first instances": LevelPlan(level=Level.INSTANCE, filter=_matching(InstanceNumber="1")),
    "instances with tags of all levels": LevelPlan(
        level=Level.INSTANCE,
        needs=Needs(
            frozenset({"Rows", "Modality", "StudyDate", "PatientID", "SliceLocation"}),
            frozenset({Fact.FILE_SIZE, Fact.FILE_UUID, Fact.METADATA}),
        ),
        order=(Order("SliceLocation"),),
    ),
    "instances of a series": LevelPlan(level=Level.INSTANCE, filter=_matching(SeriesInstanceUID=f"{ROOT}.1.1.1")),
}
LABELLED = {
    f"studies, {name}": LevelPlan(level=Level.STUDY, filter=Filter(labels=labels))
    for name, labels in {
        "any of two": LabelMatch(any=frozenset({"research", "teaching"})),
        "all of two": LabelMatch(all=frozenset({"research", "teaching"})),
        "another label": LabelMatch(none=frozenset({"research"})),
        "several": LabelMatch(any=frozenset({"research"}), none=frozenset({"teaching"})),
    }.items()
}


@pytest.fixture(params=SCOPES)
def scope(request: pytest.FixtureRequest) -> Scope:
    return SCOPES[request.param]


def _lists(archive: Archive) -> Mapping[str, LevelPlan]:
    return {**LISTS, **LABELLED} if archive.client.capabilities().has_labels else LISTS


def test_each_scope_shows_and_hides_something(archive: Archive) -> None:
    labelled = {name for name, scope in SCOPES.items() if scope.labels and not scope.patient_ids}
    empty = {"nothing", "a label that nothing has"}
    if not archive.client.capabilities().has_labels:
        empty |= labelled
    assert {name for name, scope in SCOPES.items() if not archive.shown(scope)} == empty


def test_root_lists_show_visible_resources_only(archive: Archive, scope: Scope) -> None:
    for name, plan in _lists(archive).items():
        expected = archive.every(plan, scope)

        page = Hierarchy(archive.client, scope).page(replace(plan, total=True))

        assert _ids(page.resources) == _ids(expected), name
        assert (page.total, page.has_next) == (len(expected), False), name
        for keyword in plan.needs.tags:
            found, wanted = (
                [resource.tags.get(keyword) for resource in resources] for resources in (page.resources, expected)
            )
            assert found == wanted, keyword


@pytest.mark.parametrize("name", ["patients", "studies with counts", "series", "instances"])
def test_pages_of_root_lists(archive: Archive, scope: Scope, name: str) -> None:
    expected = _ids(archive.every(LISTS[name], scope))
    for offset in (0, 1, 7, len(expected), len(expected) + 3):
        plan = replace(LISTS[name], first=7, offset=offset, total=True)

        page = Hierarchy(archive.client, scope).page(plan)

        assert _ids(page.resources) == expected[offset : offset + 7]
        assert (page.total, page.has_next) == (len(expected), offset + 7 < len(expected))
    assert Hierarchy(archive.client, scope).page(replace(LISTS[name], first=0)).resources == ()


@pytest.mark.parametrize("level", Level)
def test_lookups_by_id(archive: Archive, scope: Scope, level: Level) -> None:
    shown = archive.shown(scope)
    ids = sorted({chain[level.depth] for chain in archive.chains})
    hierarchy = Hierarchy(archive.client, scope)

    found = hierarchy.by_ids(LevelPlan(level=level), ids)

    assert sorted(_ids(found)) == [orthanc_id for orthanc_id in ids if orthanc_id in shown]
    for orthanc_id in ids[::5]:
        expected = [orthanc_id] if orthanc_id in shown else []
        assert _ids(hierarchy.by_ids(LevelPlan(level=level), [orthanc_id])) == expected
        # of another level
        assert hierarchy.by_ids(LevelPlan(level=level.below[0] if level.below else Level.STUDY), [orthanc_id]) == []


@pytest.mark.parametrize("level", Level)
def test_lookups_by_identifier(archive: Archive, scope: Scope, level: Level) -> None:
    shown = archive.shown(scope)
    plan = LevelPlan(level=level, needs=Needs(frozenset({level.identifier})))
    by_identifier: dict[str, list[str]] = {}
    for resource in Hierarchy(archive.client).page(plan).resources:
        identifier = resource.tags.get(level.identifier, "")
        # several values, what looks like a path, and none are refused, or not looked for
        if "\\" not in identifier and ".." not in identifier and identifier:
            by_identifier.setdefault(identifier, []).append(resource.orthanc_id)

    assert len(by_identifier) > 5
    for number, (identifier, ids) in enumerate(by_identifier.items()):
        visible = [orthanc_id for orthanc_id in ids if orthanc_id in shown]
        if level.depth > 1 and number % 9 and len(ids) == 1:
            continue
        if len(visible) > 1:
            with pytest.raises(InvalidRequest, match=rf"^{len(visible)} {level.path} have this"):
                Hierarchy(archive.client, scope).by_identifier(plan, identifier)
            continue
        found = Hierarchy(archive.client, scope).by_identifier(plan, identifier)
        assert ([found.orthanc_id] if found else []) == visible, identifier


def test_nested_lists_below_visible_patients(archive: Archive, scope: Scope) -> None:
    expected = sorted(chain for chain in archive.chains if chain[-1] in archive.shown(scope))
    patients = {chain[0] for chain in archive.chains}
    hierarchy = Hierarchy(archive.client, scope)
    for found in (
        hierarchy.page(_downward(Level.PATIENT)).resources,
        hierarchy.by_ids(_downward(Level.PATIENT), sorted(patients)),
    ):
        assert sorted(chain for patient in found for chain in _chains_below(patient)) == expected
        assert all(patient.related["children"] for patient in found)
    assert set(_ids(hierarchy.visible_studies(STUDY_NEEDS))) == {chain[1] for chain in expected}


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.INSTANCE])
def test_parents_of_visible_resources(archive: Archive, scope: Scope, level: Level) -> None:
    shown = archive.shown(scope)
    expected = sorted({chain[: level.depth + 1] for chain in archive.chains if chain[level.depth] in shown})
    hierarchy = Hierarchy(archive.client, scope)
    ids = sorted({chain[level.depth] for chain in archive.chains})

    for found in (hierarchy.page(_upward(level)).resources, hierarchy.by_ids(_upward(level), ids)):
        assert sorted(map(_chain, found)) == expected


def test_parents_and_their_other_children(archive: Archive, scope: Scope) -> None:
    up_and_down = replace(_upward(Level.PATIENT), related={"children": LevelPlan(level=Level.STUDY)})
    plan = LevelPlan(
        level=Level.SERIES, related={"parent": LevelPlan(level=Level.STUDY, related={"parent": up_and_down})}
    )
    shown = archive.shown(scope)

    found = Hierarchy(archive.client, scope).page(plan).resources
    assert set(_ids(found)) == {chain[2] for chain in archive.chains if chain[2] in shown}
    for series in found:
        patient = series.related["parent"].related["parent"]
        siblings = {chain[1] for chain in archive.chains if chain[0] == patient.orthanc_id and chain[1] in shown}
        assert set(_ids(patient.related["children"])) == siblings


def test_filtered_and_paged_nested_lists(archive: Archive, scope: Scope) -> None:
    """Aliases of one level with different filters, orders and pages, including tags from files."""
    needs = Needs(frozenset({"NumberOfStudyRelatedInstances", "PatientAge"}))
    related = {
        "all": LevelPlan(level=Level.STUDY),
        "first": LevelPlan(level=Level.STUDY, first=1, needs=needs),
        "second": LevelPlan(level=Level.STUDY, first=1, offset=1, order=(Order("StudyInstanceUID"),)),
        "described": LevelPlan(level=Level.STUDY, filter=_matching(StudyDescription="*study 2"), first=1),
        "of A": LevelPlan(level=Level.STUDY, filter=_matching(PatientID="A*")),
    }
    shown = archive.shown(scope)
    whole = Hierarchy(archive.client).page(
        LevelPlan(
            level=Level.PATIENT, related={name: replace(link, first=None, offset=0) for name, link in related.items()}
        )
    )
    expected = {
        patient.orthanc_id: {
            name: [
                (study.orthanc_id, [study.tags[keyword] for keyword in sorted(link.needs.tags)])
                for study in slice_page([one for one in patient.related[name] if one.orthanc_id in shown], link)
            ]
            for name, link in related.items()
        }
        for patient in whole.resources
        if patient.orthanc_id in shown
    }

    page = Hierarchy(archive.client, scope).page(LevelPlan(level=Level.PATIENT, related=related))

    found = {
        patient.orthanc_id: {
            name: [
                (study.orthanc_id, [study.tags[keyword] for keyword in sorted(link.needs.tags)])
                for study in patient.related[name]
            ]
            for name, link in related.items()
        }
        for patient in page.resources
    }
    assert found == expected


def test_data_of_a_patient_comes_from_visible_studies(archive: Archive, scope: Scope) -> None:
    ages = {
        study.orthanc_id: study.tags["PatientAge"]
        for study in Hierarchy(archive.client).visible_studies(Needs(frozenset({"PatientAge"})))
    }
    updates = {study.orthanc_id: study.last_update for study in archive.studies}
    needs = Patient.studies_count.needs | Patient.instances_count.needs | Patient.last_update.needs
    needs |= Needs(frozenset({"NumberOfPatientRelatedSeries", "PatientAge", "PatientName", "StudyID"}))
    order = (Order("LastUpdate"), Order("NumberOfPatientRelatedInstances"), Order("PatientAge"))
    shown = archive.shown(scope)
    chains = [chain for chain in archive.chains if chain[-1] in shown]
    patients = LevelPlan(level=Level.PATIENT, needs=needs, order=order)
    ids = sorted({chain[0] for chain in archive.chains})
    hierarchy = Hierarchy(archive.client, scope)

    page = hierarchy.page(patients).resources

    assert list(page) == sort(page, patients.full_order)
    above = [
        study.related["parent"]
        for study in hierarchy.page(
            LevelPlan(level=Level.STUDY, related={"parent": LevelPlan(level=Level.PATIENT, needs=needs)})
        ).resources
    ]
    for found in (page, hierarchy.by_ids(patients, ids), above):
        assert set(_ids(found)) == {chain[0] for chain in chains}
        for patient in found:
            assert isinstance(patient, Patient)
            mine = [chain for chain in chains if chain[0] == patient.orthanc_id]
            studies = {chain[1] for chain in mine}
            assert patient.studies_count == len(studies)
            assert patient.tags["NumberOfPatientRelatedSeries"] == str(len({chain[2] for chain in mine}))
            assert patient.instances_count == len(mine)
            assert patient.last_update == max(update for study in studies if (update := updates[study]))
            assert patient.tags["PatientAge"] in {ages[study] for study in studies}
            assert patient.tags["PatientName"].startswith(("Kim", "Hong"))
            assert not set(patient.facts) & {"Studies", "RequestedTags"} or not scope.is_restricted


def test_patients_are_not_filtered_by_tags_of_hidden_files(archive: Archive) -> None:
    plan = LevelPlan(level=Level.PATIENT, filter=_matching(PatientAge="010Y"))
    Hierarchy(archive.client).page(plan)
    with pytest.raises(InvalidRequest, match="filter studies by it"):
        Hierarchy(archive.client, SCOPES["one"]).page(plan)


def test_no_hidden_file_is_read(archive: Archive) -> None:
    scope = SCOPES["one twin"]
    needs = Needs(frozenset({"PatientAge", "PatientWeight"}))
    plan = LevelPlan(level=Level.PATIENT, needs=needs, related={"studies": LevelPlan(level=Level.STUDY, needs=needs)})
    hidden = {orthanc_id for chain in archive.chains for orthanc_id in chain} - archive.shown(scope)
    with RecordingProxy(archive.orthanc.port) as proxy:
        hierarchy = Hierarchy(OrthancClient(ConnectionOptions(proxy.base_url)), scope)
        proxy.requests.clear()

        [patient] = hierarchy.page(plan).resources
        [same] = hierarchy.by_ids(plan, [patient.orthanc_id, *sorted(hidden)])

        assert patient.tags["PatientID"] == same.tags["PatientID"] == "twin-b"
        for request in proxy.requests:
            assert not [orthanc_id for orthanc_id in hidden if f"{orthanc_id}/" in request.path]


class ClientWithoutLabels(OrthancClient):
    """The client of an Orthanc without labels, such as a new one whose database does not support them."""

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), has_labels=False)


def test_an_orthanc_without_labels_is_never_asked_for_them(archive: Archive) -> None:
    with RecordingProxy(archive.orthanc.port) as proxy:
        client = ClientWithoutLabels(ConnectionOptions(proxy.base_url))
        client.capabilities()
        proxy.requests.clear()
        for level in Level:
            assert Hierarchy(client, SCOPES["labels"]).page(_upward(level)).resources == ()
            assert Hierarchy(client, SCOPES["a label and patients"]).page(_upward(level)).resources
        assert not any("Labels" in request for request in proxy.requests)


@dataclass(frozen=True)
class CallCount:
    """A query of a restricted caller, and its number of calls: on 1.12.5 and newer, and on older versions."""

    fetch: Callable[[Hierarchy, Archive], object]
    extended: int
    plain: int


NO_NEEDS = Needs()


def _page(plan: LevelPlan) -> Callable[[Hierarchy, Archive], object]:
    return lambda hierarchy, _: hierarchy.page(plan)


def _one(level: Level, needs: Needs = NO_NEEDS) -> Callable[[Hierarchy, Archive], object]:
    plan = LevelPlan(level=level, needs=needs)
    return lambda hierarchy, archive: hierarchy.by_ids(plan, [archive.chains[0][level.depth]])


COUNTS = Patient.studies_count.needs | Patient.instances_count.needs
SHAPES = {
    "patients": CallCount(_page(LISTS["patients"]), 2, 2),
    "patients that match": CallCount(_page(LISTS["women"]), 3, 3),
    "patients with counts": CallCount(_page(LevelPlan(level=Level.PATIENT, needs=COUNTS)), 3, 4),
    "studies": CallCount(_page(LISTS["studies"]), 1, 1),
    "studies with counts": CallCount(
        _page(LevelPlan(level=Level.STUDY, needs=Needs(frozenset({"ModalitiesInStudy"})))), 2, 2
    ),
    "series": CallCount(_page(LISTS["series"]), 2, 2),
    "instances": CallCount(_page(LISTS["instances"]), 3, 3),
    "all levels, down": CallCount(_page(_downward(Level.PATIENT)), 5, 5),
    "all levels, up": CallCount(_page(_upward(Level.INSTANCE)), 6, 6),
    "a patient": CallCount(_one(Level.PATIENT), 2, 2),
    "a patient with counts": CallCount(_one(Level.PATIENT, COUNTS), 2, 3),
    "a study": CallCount(_one(Level.STUDY), 1, 1),
    "a series": CallCount(_one(Level.SERIES), 3, 2),
    "an instance": CallCount(_one(Level.INSTANCE), 3, 3),
}


@pytest.fixture(scope="module")
def archives(start_orthanc: Callable[..., LocalOrthanc]) -> dict[int, Archive]:
    """Archives of one patient and of twenty."""
    archives = {}
    for patients in (1, 20):
        orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
        load(orthanc, corpus.hierarchy(patients=patients, studies=2, series=2, instances=2))
        client = _connect(orthanc)
        chains = tuple(map(_chain, Hierarchy(client).page(_upward(Level.INSTANCE)).resources))
        archives[patients] = Archive(orthanc, client, (), chains)
    return archives


@pytest.mark.parametrize("patients", [1, 20])
@pytest.mark.parametrize("name", SHAPES)
def test_number_of_calls_depends_on_the_shape_only(name: str, patients: int, archives: dict[int, Archive]) -> None:
    archive, shape = archives[patients], SHAPES[name]
    hierarchy = Hierarchy(archive.client, _of("P*"))

    with recording() as log:
        shape.fetch(hierarchy, archive)

    expected = shape.extended if archive.client.capabilities().has_extended_find else shape.plain
    assert log.count == expected, [(call.method, call.template) for call in log.calls]


def test_indexed_tags_of_a_patient_do_not_disclose_hidden_files(start_orthanc: Callable[..., LocalOrthanc]) -> None:
    orthanc = start_orthanc(configuration={"ExtraMainDicomTags": {"Patient": ["PatientAge", "PatientComments"]}})
    for study, comments in enumerate(["of a hidden file", None], start=1):
        load(orthanc, [instance(1, study, PatientAge=f"0{study}0Y", PatientComments=comments)])
    client = _connect(orthanc)
    hierarchy = Hierarchy(client, SCOPES["a label"])
    plan = LevelPlan(level=Level.PATIENT, needs=Needs(frozenset({"PatientAge", "PatientComments", "PatientSex"})))
    if not client.capabilities().has_labels:
        assert hierarchy.page(plan).resources == ()
        return
    [visible] = [
        one for one in Hierarchy(client).visible_studies(STUDY_NEEDS) if one.tags["StudyInstanceUID"] == f"{ROOT}.1.2"
    ]
    ask(orthanc, f"/studies/{visible.orthanc_id}/labels/research", "PUT")

    [patient] = hierarchy.page(plan).resources

    assert {keyword: patient.tags.get(keyword) for keyword in plan.needs.tags} == {
        "PatientAge": "020Y",
        "PatientComments": None,
        "PatientSex": "F",
    }
