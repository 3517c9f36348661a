"""What two gateways show of an archive that changes between requests is what Orthanc has at that moment.

Both have caches of their own, share an index in one PostgreSQL, and follow the archive in turn. `make staleness` takes
10,000 steps. Orthanc's clock (`clock.c`) stands still between those that set it forward.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, Installation, LocalOrthanc
from tests.archive import oracle_archive
from tests.archive.oracle_archive import IDENTIFIERS, LEVELS, SCOPES
from tests.corpus import instance
from tests.postgresql import new_database
from tests.staleness.connection import Connection
from tests.staleness.observing import ONE, Gateway, Observer
from tests.staleness.snapshot import Photographer, Snapshot
from tests.uploads.upload_client import CONTENT_TYPE, REST, REST_PATH, File
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5"), pytest.mark.long]

STEPS = int(os.environ.get("STALENESS_STEPS", "90"))
STEPS_PER_ARCHIVE = 30
IS_LONG = "STALENESS_STEPS" in os.environ
# one restart, or swap of the database, in so many that are drawn
RESTARTS = 8
SETTLED_SECONDS = 4
CONFIGURATION = {
    **INDEXED_INSTANCE_TAGS,
    "OverwriteInstances": True,
}


@dataclass
class Deployment:
    """An Orthanc with two databases, of which it has one, and two gateways."""

    orthanc: LocalOrthanc
    start: Callable[[], None]
    clock: Path
    gateways: list[Gateway] = field(default_factory=list)
    seconds: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self.api = Connection(self.orthanc.port)
        self.photographer = Photographer(self.api)

    def wait(self, seconds: int) -> None:
        """Set Orthanc's clock forward."""
        self.seconds += seconds
        with self.clock.open("r+b") as file:
            file.write(struct.pack("q", self.seconds))

    def restart(self, *, swap: bool) -> None:
        """Restart Orthanc, with its other database if `swap`."""
        self.orthanc.kill()
        if swap:
            here, there = self.orthanc.folder / "storage", self.orthanc.folder / "other"
            there.mkdir(exist_ok=True)
            here.rename(self.orthanc.folder / "kept")
            there.rename(here)
            (self.orthanc.folder / "kept").rename(there)
        self.start()


class Changes(RuleBasedStateMachine):
    """Changes an archive, and looks at it through both gateways after each step."""

    deployment: ClassVar[Deployment]
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.api = self.deployment.api
        self.gateways = self.deployment.gateways
        self.past: dict[str, set[str]] = {level: set() for level in LEVELS}
        self.is_swept = False
        self.upload_keys = [str(uuid.uuid4()) for _ in range(2)]

    @initialize(seed=st.integers(0, 2**32 - 1))
    def fill(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.observer = Observer(self.chance, SCOPES)
        self.instances = oracle_archive.archive(self.chance, patients=3).instances
        for name in self._ids("patients"):
            self._change("DELETE", f"/patients/{name}")
        for number, tags in enumerate(self.instances):
            if number % 2:
                self._change("POST", "/instances", instance(**tags))
        self.deployment.wait(SETTLED_SECONDS)

    @rule(number=st.integers(0, 99), variant=st.integers(0, 3))
    def store(self, number: int, variant: int) -> None:
        self._change("POST", "/instances", self._file(number, variant))

    @rule(number=st.integers(0, 99), gateway=st.integers(0, 1), key=st.integers(0, 1))
    def upload(self, number: int, gateway: int, key: int) -> None:
        patient_id = self.instances[number % len(self.instances)]["PatientID"]
        values = {"patientId": patient_id, "patientName": "홍^길동", "uploadKey": self.upload_keys[key]}
        body = REST().body([File(self._file(number, 1))], **values)
        gateway_api = self.gateways[gateway].connection
        status, content = gateway_api.call(
            "POST", REST_PATH, body, **{"Content-Type": CONTENT_TYPE}, **self.gateways[gateway].headers()
        )
        assert status in (200, 400, 409), content
        self.is_swept = False

    @rule(choice=st.integers(0, 99), level=st.sampled_from([*LEVELS, "instances", "instances"]))
    def delete(self, choice: int, level: str) -> None:
        if name := self._one(level, choice):
            self._change("DELETE", f"/{level}/{name}")

    @rule(choice=st.integers(0, 99), level=st.sampled_from([*LEVELS, "instances"]), gateway=st.integers(0, 1))
    def delete_through_a_gateway(self, choice: int, level: str, gateway: int) -> None:
        if name := self._one(level, choice):
            mutation = f'mutation {{ delete{ONE[level].capitalize()}(orthancId: "{name}") {{ dryRun }} }}'
            self.gateways[gateway].graphql(mutation)
            self.is_swept = False

    @rule(
        choice=st.integers(0, 99),
        level=st.sampled_from(LEVELS),
        label=st.sampled_from(oracle_archive.LABELS),
        method=st.sampled_from(["PUT", "DELETE"]),
    )
    def label(self, choice: int, level: str, label: str, method: str) -> None:
        if name := self._one(level, choice):
            self._change(method, f"/{level}/{name}/labels/{label}")

    @rule(
        choice=st.integers(0, 99),
        level=st.sampled_from(["studies", "series"]),
        text=st.sampled_from(["a", "MRI 뇌", "홍^길동"]),
        keep_uids=st.booleans(),
        keep_source=st.booleans(),
    )
    def modify(self, choice: int, level: str, text: str, keep_uids: bool, keep_source: bool) -> None:
        keep = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"] if keep_uids else []
        tags = {"StudyDescription": text} if level == "studies" else {}
        replaced = {**tags, "SeriesDescription": text, "KVP": "99", "Modality": "US"}
        body = {"Replace": replaced, "Keep": keep, "Force": True, "KeepSource": keep_source or keep_uids}
        if name := self._one(level, choice):
            self._try("POST", f"/{level}/{name}/modify", body)

    @rule(choice=st.integers(0, 99), name=st.sampled_from(["Kim 철수", "M\u00fcller"]), keep_source=st.booleans())
    def modify_a_patient(self, choice: int, name: str, keep_source: bool) -> None:
        replaced = {"PatientID": self.chance.choice(["P0", "KR-2", "AB_"]), "PatientName": name}
        if one := self._one("patients", choice):
            self._try(
                "POST", f"/patients/{one}/modify", {"Replace": replaced, "Force": True, "KeepSource": keep_source}
            )

    @rule(choice=st.integers(0, 99), level=st.sampled_from(LEVELS))
    def reconstruct(self, choice: int, level: str) -> None:
        if name := self._one(level, choice):
            before = self.deployment.photographer.take()
            self._try("POST", f"/{level}/{name}/reconstruct", {})
            after = self.deployment.photographer.take()
            # it leaves no trace: for the tags of an index `manage.py rebuild_index` is for that, for the modalities
            # that are kept a restart of the gateways
            if _main_tags(before, "patients", "studies") != _main_tags(after, "patients", "studies"):
                self.gateways[0].let("/rebuild")
            if _modalities(before) != _modalities(after):
                self.gateways[0].let("/rebuild")
                for gateway in self.gateways:
                    gateway.let("/forget")

    @rule(choice=st.integers(0, 99), operation=st.sampled_from(["compress", "uncompress"]))
    def compress(self, choice: int, operation: str) -> None:
        if name := self._one("instances", choice):
            self._try("POST", f"/instances/{name}/attachments/dicom/{operation}", b"")

    @rule(choice=st.integers(0, 99), change=st.sampled_from(["reconstruct", "compress", "label", "overwrite"]))
    def change_what_was_kept(self, choice: int, change: str) -> None:
        self.deployment.wait(SETTLED_SECONDS)
        self.both_gateways_show_what_orthanc_has()
        match change:
            case "reconstruct":
                self.reconstruct(choice, "instances")
            case "compress":
                self.compress(choice, "compress")
            case "label":
                self.label(choice, "instances", "red", "PUT")
            case _:
                self.store(choice, 1)

    @rule(chance=st.integers(1, RESTARTS), swap=st.booleans())
    def restart(self, chance: int, swap: bool) -> None:
        if chance == RESTARTS:
            self.deployment.restart(swap=swap)
            self.is_swept = False
            if swap:
                # another database takes longer to appear than from one look of the follower to the next
                self.gateways[0].let("/rebuild")

    @rule(seconds=st.sampled_from([1, SETTLED_SECONDS, SETTLED_SECONDS]))
    def wait(self, seconds: int) -> None:
        self.deployment.wait(seconds)

    @rule(gateway=st.integers(0, 1))
    def sweep(self, gateway: int) -> None:
        self.gateways[gateway].let("/sweep")
        self.is_swept = True
        snapshot = self.deployment.photographer.take()
        for one in self.gateways:
            self.observer.compare_totals(one, snapshot)

    @rule(choice=st.integers(0, 99), level=st.sampled_from(["patients", "studies"]), gateway=st.integers(0, 1))
    def delete_and_sweep(self, choice: int, level: str, gateway: int) -> None:
        # before a list is read, which corrects the index as well
        self.delete(choice, level)
        self.sweep(gateway)

    @invariant()
    def both_gateways_show_what_orthanc_has(self) -> None:
        type(self).steps += 1
        snapshot = self.deployment.photographer.take()
        for level in LEVELS:
            self.past[level] |= set(snapshot.ids(level))
        for gateway in self.gateways:
            self.observer.compare(gateway, snapshot, self.past, is_swept=self.is_swept)

    def _change(self, method: str, path: str, body: Any = None) -> None:
        status, content = self.api.call(method, path, body)
        assert status == 200, (path, content)
        self.is_swept = False

    def _try(self, method: str, path: str, body: Any) -> None:
        """Change what Orthanc may refuse to change, such as a series whose UIDs are malformed."""
        status, _ = self.api.call(method, path, body)
        note(f"{path}: {status}")
        self.is_swept = False

    def _ids(self, level: str) -> list[str]:
        return sorted(json.loads(self.api.call("GET", f"/{level}")[1]))

    def _one(self, level: str, choice: int) -> str | None:
        """The id of a resource that exists, if there is any."""
        names = self._ids(level)
        return names[choice % len(names)] if names else None

    def _file(self, number: int, variant: int) -> bytes:
        """A file of the archive; as a variant, with the identifiers of one and the values of another."""
        tags = self.instances[number % len(self.instances)]
        if variant:
            identifiers = {tag: tags[tag] for tag in IDENTIFIERS.values()}
            others = self.chance.choice(self.instances)
            more = {"KVP": str(variant), "Rows": 8, "ImageComments": "x" * variant}
            tags = {**others, **identifiers, **more}
        return instance(**tags)


def _main_tags(snapshot: Snapshot, *levels: str) -> dict[str, Any]:
    return {one["ID"]: one["MainDicomTags"] for level in levels for one in snapshot.payloads[level]}


def _modalities(snapshot: Snapshot) -> dict[str, Any]:
    return {name: tags.get("Modality") for name, tags in _main_tags(snapshot, "series").items()}


@pytest.fixture(scope="module")
def deployment(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An empty archive, and two gateways."""
    orthanc = LocalOrthanc(configuration=CONFIGURATION)
    clock = orthanc.folder / "clock"
    clock.write_bytes(struct.pack("q", int(time.time())))
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", clock.with_suffix(".so"), source], check=True)
    within = Installation.find().inner_path

    def start() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLOCK", within(clock))
            patch.setenv("LD_PRELOAD", within(clock.with_suffix(".so")))
            orthanc.start()

    with ExitStack() as stack:
        stack.callback(shutil.rmtree, orthanc.folder, ignore_errors=True)
        stack.callback(orthanc.kill)
        start()
        options = {
            "DATABASE_URL": new_database(postgresql),
            "ORTHANC_INDEX": "true",
            "ORTHANC_CACHE_MIN_AGE": "1.5",
        }
        ports = [
            stack.enter_context(
                serving(
                    orthanc.base_url,
                    tmp_path_factory.mktemp("gateway"),
                    # one of them takes Orthanc for a large one over SQLite
                    settings={**options, "WALKS_INDEX": walks_index},
                    application="tests.staleness.server:application",
                )
            ).port
            for walks_index in ("", "true")
        ]
        tokens = dict(zip(dict.fromkeys(SCOPES), Gateway(ports[0], {}).let("/callers"), strict=True))
        gateways = [Gateway(port, tokens) for port in ports]
        # a sweep beside the first build would have its totals changed by what the build has read before
        wait_until(lambda: {_index_state(gateway) for gateway in gateways} == {"READY"})
        yield Deployment(orthanc, start, clock, gateways)


def _index_state(gateway: Gateway) -> str:
    state: str = gateway.graphql("{ server { index { state } } }")["server"]["index"]["state"]
    return state


def test_two_gateways_show_what_orthanc_has(deployment: Deployment) -> None:
    Changes.deployment = deployment
    began = time.monotonic()
    run_state_machine_as_test(
        Changes,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_PER_ARCHIVE),
            stateful_step_count=min(STEPS, STEPS_PER_ARCHIVE),
            deadline=None,
            derandomize=not IS_LONG,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        ),
    )
    hits = sum(gateway.let("/hits") for gateway in deployment.gateways)
    assert hits
    seconds = time.monotonic() - began
    Path(os.environ.get("STALENESS_REPORT", os.devnull)).write_text(
        f"{Changes.steps} steps in {seconds:.0f} s, {hits} lists and counts that were kept were shown\n"
    )
