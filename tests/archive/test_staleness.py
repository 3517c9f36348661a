"""What two gateways show of an archive that changes between their requests is what Orthanc has at that moment.

`make staleness` takes 10,000 steps, with a clock of Orthanc (`clock.c`) that stands still between them.
"""

import http.client
import json
import os
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orthancproxy.archive import storage
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.revisions import Children, Revision, RevisionCache
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.clock import OrthancClock
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, Installation, LocalOrthanc
from tests.corpus import instance, load

pytestmark = [pytest.mark.live, pytest.mark.long]

STEPS = int(os.environ.get("STALENESS_STEPS", "12"))
IS_LONG = "STALENESS_STEPS" in os.environ
STEPS_PER_ARCHIVE = 50
MIN_AGE_SECONDS = 1.5
RESTARTS = 25  # one step in so many restarts Orthanc, if it is drawn

TAGS = """Rows SliceLocation InstanceNumber SOPInstanceUID SeriesDescription StudyDescription PatientID StudyInstanceUID
    PatientName KVP PatientAge Modality ImageOrientationPatient""".split()
FACTS = [Fact.FILE_SIZE, Fact.METADATA, Fact.FILE_UUID, Fact.LABELS]
COUNTS = {Level.STUDY: "NumberOfStudyRelatedInstances", Level.SERIES: "NumberOfSeriesRelatedInstances"}
_FACT_NAMES = {
    Fact.FILE_SIZE: ["FileSize"],
    Fact.METADATA: ["SopClassUid", "TransferSyntax"],
    Fact.FILE_UUID: ["FileUuid"],
    Fact.LABELS: ["Labels"],
    Fact.CHANGES: ["LastUpdate"],
}

needs = st.builds(
    Needs, st.frozensets(st.sampled_from(TAGS), max_size=5), st.frozensets(st.sampled_from(FACTS), max_size=2)
)
scopes = st.sampled_from([EVERYTHING, EVERYTHING, EVERYTHING, Scope(("P001",)), Scope((), frozenset({"shown"}))])


def plan_of(level: Level, of_level: Mapping[Level, Needs], *, up: bool = False) -> LevelPlan:
    """A plan from this level down to the instances, or up to the patients."""
    own = of_level[level] | Needs(frozenset({COUNTS[level]}) if level in COUNTS else frozenset())
    others = level.above[-1:] if up else level.below[:1]
    related = {one.path: plan_of(one, of_level, up=up) for one in others}
    return LevelPlan(level=level, needs=own, related=related)


def shown(plan: LevelPlan, resources: Iterable[Resource]) -> list[Any]:
    """What a response shows of resources, in its order."""
    return [
        {
            "id": one.orthanc_id,
            "tags": {tag: one.tags.get(tag) for tag in plan.needs.tags},
            "facts": {name: one.facts.get(name) for fact in plan.needs.facts for name in _FACT_NAMES[fact]},
            **{name: shown(below, _listed(one.related[name])) for name, below in plan.related.items()},
        }
        for one in resources
    ]


def _listed(related: Any) -> Any:
    return (related,) if isinstance(related, Resource) else related


class CountingCache(RevisionCache):
    """A cache that counts the lists of instances that it returned."""

    hits = 0

    def get(self, revision: Revision) -> Children | None:
        """Return the children, and count them."""
        found = super().get(revision)
        self.hits += found is not None and found.resources[0].level is Level.INSTANCE
        return found


class Gateway:
    """What matters of a gateway: a client of Orthanc, and a cache or none."""

    def __init__(self, orthanc: LocalOrthanc, *, has_cache: bool) -> None:
        self.client = OrthancClient(ConnectionOptions(orthanc.base_url))
        # it is set forward between two steps
        clock = OrthancClock(self.client.clock._read, valid_seconds=0)
        self.cache = CountingCache(clock, max_bytes=10**8, min_age=MIN_AGE_SECONDS) if has_cache else None

    def show(self, plan: LevelPlan, scope: Scope, orthanc_id: str | None) -> list[Any]:
        """What a query shows: all resources of a level, or one by its id."""
        hierarchy = Hierarchy(self.client, scope, cache=self.cache)
        if orthanc_id is None:
            return shown(plan, hierarchy.page(plan).resources)
        return shown(plan, hierarchy.by_ids(plan, [orthanc_id]))


class Archive:
    """An Orthanc that overwrites files. `clock` is the file of its clock, if that is the test's."""

    def __init__(self, orthanc: LocalOrthanc, clock: Path | None) -> None:
        self.orthanc = orthanc
        self._clock = clock
        self._seconds = int(time.time())

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Orthanc's response as JSON; None if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.orthanc.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body is not None else b"")
        response = connection.getresponse()
        content = response.read()
        connection.close()
        try:
            return json.loads(content)
        except ValueError:
            return None

    def ids(self, level: Level) -> list[str]:
        """The ids of all resources of a level."""
        return sorted(self.call("GET", f"/{level.path}"))

    def settle(self) -> None:
        """Wait until the last change of every study is past."""
        self.wait(4)

    def wait(self, seconds: int) -> None:
        """Wait, or set Orthanc's clock forward."""
        if self._clock is None:
            time.sleep(seconds)
        else:
            self._seconds += seconds
            with self._clock.open("r+b") as file:
                file.write(struct.pack("q", self._seconds))


class Changes(RuleBasedStateMachine):
    """Changes an archive, and compares two gateways with a cache with one that has none."""

    archive: ClassVar[Archive]
    steps: ClassVar[int] = 0
    compared: ClassVar[int] = 0
    served: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        orthanc = self.archive.orthanc
        for patient in self.archive.ids(Level.PATIENT):
            self.archive.call("DELETE", f"/patients/{patient}")
        self.gateways = [Gateway(orthanc, has_cache=True), Gateway(orthanc, has_cache=True)]
        self.fresh = Gateway(orthanc, has_cache=False)
        self.ids: set[tuple[Level, str]] = set()

    @initialize(numbers=st.sets(st.integers(0, 23), min_size=8))
    def fill(self, numbers: set[int]) -> None:
        load(self.archive.orthanc, [self._file(number, 0) for number in numbers])
        self.archive.settle()

    @rule(number=st.integers(0, 23), variant=st.integers(0, 3))
    def store(self, number: int, variant: int) -> None:
        load(self.archive.orthanc, [self._file(number, variant)])

    @rule(number=st.integers(0, 23), variant=st.integers(0, 3), gateway=st.integers(0, 1))
    def store_through_a_gateway(self, number: int, variant: int, gateway: int) -> None:
        storage.store(self.gateways[gateway].client, _Body(self._file(number, variant)))

    @rule(choice=st.integers(0), level=st.sampled_from([*Level, Level.INSTANCE, Level.INSTANCE]))
    def delete(self, choice: int, level: Level) -> None:
        if name := self._one(level, choice):
            self.archive.call("DELETE", f"/{level.path}/{name}")

    @rule(choice=st.integers(0), level=st.sampled_from([*Level, Level.INSTANCE]), gateway=st.integers(0, 1))
    def delete_through_a_gateway(self, choice: int, level: Level, gateway: int) -> None:
        if name := self._one(level, choice):
            storage.delete(self.gateways[gateway].client, level, name)

    @rule(choice=st.integers(0), level=st.sampled_from(list(Level)), method=st.sampled_from(["PUT", "DELETE"]))
    def label(self, choice: int, level: Level, method: str) -> None:
        if name := self._one(level, choice):
            self.archive.call(method, f"/{level.path}/{name}/labels/shown")

    @rule(choice=st.integers(0), text=st.sampled_from("abc"))
    def modify(self, choice: int, text: str) -> None:
        keep = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
        body = {"Replace": {"SeriesDescription": text, "KVP": "99"}, "Keep": keep, "Force": True}
        if name := self._one(Level.SERIES, choice):
            self.archive.call("POST", f"/series/{name}/modify", body)

    @rule(choice=st.integers(0), level=st.sampled_from(list(Level)))
    def reconstruct(self, choice: int, level: Level) -> None:
        if name := self._one(level, choice):
            self.archive.call("POST", f"/{level.path}/{name}/reconstruct", {})

    @rule(choice=st.integers(0), operation=st.sampled_from(["compress", "uncompress"]))
    def compress(self, choice: int, operation: str) -> None:
        if name := self._one(Level.INSTANCE, choice):
            self.archive.call("POST", f"/instances/{name}/attachments/dicom/{operation}")

    @rule(choice=st.integers(0), change=st.sampled_from(["reconstruct", "compress", "label"]))
    def change_without_renewing_the_last_update(self, choice: int, change: str) -> None:
        # each alone: what must not be kept keeps the others from being kept
        needs = {
            "reconstruct": Needs(frozenset({"SeriesDescription"})),
            "compress": Needs(facts=frozenset({Fact.FILE_UUID})),
            "label": Needs(facts=frozenset({Fact.LABELS})),
        }[change]
        self.archive.settle()
        self._show_the_whole(needs)
        if change == "reconstruct":
            self.reconstruct(choice, Level.INSTANCE)
        elif change == "compress":
            self.compress(choice, change)
        else:
            self.label(choice, Level.INSTANCE, "PUT")
        self._show_the_whole(needs)

    @rule(chance=st.integers(1, RESTARTS))
    def restart(self, chance: int) -> None:
        if chance == RESTARTS:
            self.archive.orthanc.stop()
            self.archive.orthanc.start()

    @rule()
    def settle(self) -> None:
        self.archive.settle()

    @rule()
    def wait(self) -> None:
        self.archive.wait(1)

    @rule(data=st.data(), needs=st.fixed_dictionaries(dict.fromkeys(Level, needs)), scope=scopes, up=st.booleans())
    def query(self, data: st.DataObject, needs: Mapping[Level, Needs], scope: Scope, up: bool) -> None:
        level = data.draw(st.sampled_from(list(Level)))
        plan = plan_of(level, needs, up=up)
        name = self._one(level, data.draw(st.integers(0)), past=True) if data.draw(st.booleans()) else None
        self._compare(plan, scope, name)

    @invariant()
    def the_whole_archive_is_as_orthanc_has_it(self) -> None:
        type(self).steps += 1
        self._show_the_whole(
            Needs(frozenset({"Rows", "SliceLocation", "KVP"}), frozenset({Fact.FILE_SIZE, Fact.METADATA}))
        )

    def _show_the_whole(self, of_instances: Needs) -> None:
        """Compare all studies, series and instances."""
        tags = {level: Needs(frozenset({"SeriesDescription", "StudyDescription"})) for level in Level}
        self._compare(plan_of(Level.STUDY, {**tags, Level.INSTANCE: of_instances}), EVERYTHING, None)

    def _compare(self, plan: LevelPlan, scope: Scope, orthanc_id: str | None) -> None:
        for gateway in self.gateways:
            assert gateway.cache
            hits = gateway.cache.hits
            found, expected = gateway.show(plan, scope, orthanc_id), self.fresh.show(plan, scope, orthanc_id)
            assert found == expected
            type(self).compared += 1
            type(self).served += gateway.cache.hits > hits

    def _one(self, level: Level, choice: int, *, past: bool = False) -> str | None:
        """The id of a resource that exists, or that may have existed."""
        names = self.archive.ids(level)
        self.ids |= {(level, name) for name in names}
        if past:
            names = sorted(name for one, name in self.ids if one is level)
        return names[choice % len(names)] if names else None

    def _file(self, number: int, variant: int) -> bytes:
        """One of 24 files: 2 patients, 2 studies, 2 series, 3 instances. Variants differ in each level's values."""
        patient, study, series, index = 1 + number // 12, 1 + number // 6 % 2, 1 + number // 3 % 2, 1 + number % 3
        more: dict[str, Any] = {}
        if variant:
            more = {
                "SeriesDescription": f"Series of variant {variant}",
                "StudyDescription": f"Study of variant {variant}",
                "PatientName": f"Variant^{variant}",
                "SliceLocation": str(variant),
                "KVP": str(variant),
                "ImageComments": "x" * variant,
                "InstanceNumber": str(9 - index),
            }
        return instance(patient, study, series, index, **more)


class _Body:
    """A file as the body of a request."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        yield self._content


@pytest.fixture(scope="module")
def archive(monkeypatch_module: pytest.MonkeyPatch) -> Iterator[Archive]:
    """An empty archive."""
    orthanc = LocalOrthanc(configuration={**INDEXED_INSTANCE_TAGS, "OverwriteInstances": True})
    clock = None
    if IS_LONG:
        clock = orthanc.folder / "clock"
        clock.write_bytes(struct.pack("q", int(time.time())))
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", clock.with_suffix(".so"), source], check=True)
        within = Installation.find().inner_path
        monkeypatch_module.setenv("CLOCK", within(clock))
        monkeypatch_module.setenv("LD_PRELOAD", within(clock.with_suffix(".so")))
    with orthanc:
        yield Archive(orthanc, clock)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_two_gateways_never_show_what_is_past(archive: Archive) -> None:
    Changes.archive = archive
    capabilities = OrthancClient(ConnectionOptions(archive.orthanc.base_url)).capabilities()
    # nothing is kept on older ones
    steps = STEPS if capabilities.has_extended_find else 1
    run_state_machine_as_test(
        Changes,
        settings=settings(
            max_examples=max(1, steps // STEPS_PER_ARCHIVE),
            stateful_step_count=min(steps, STEPS_PER_ARCHIVE),
            deadline=None,
            derandomize=not IS_LONG,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
    if IS_LONG:
        Path(os.environ.get("STALENESS_REPORT", os.devnull)).write_text(
            f"{Changes.steps} steps, {Changes.compared} comparisons, {Changes.served} with kept instances\n"
        )
