"""Whatever happens in Orthanc, two gateways over one index show what Orthanc has at that moment."""

import http.client
import json
import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from orthancproxy.archive import storage
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.index_keeper import IndexKeeper
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, Filter, LevelPlan, Needs, Order
from orthancproxy.archive.search import words
from orthancproxy.index.store import DjangoIndex
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5"), pytest.mark.django_db]

# `STALENESS_STEPS=10000` for a long run
STEPS = int(os.environ.get("STALENESS_STEPS", "200"))
STEPS_PER_EXAMPLE = 25
SHOWN_TAGS = ("PatientName", "PatientID", "StudyDescription", "StudyDate")
NEEDS = Needs(frozenset(SHOWN_TAGS[:3]), frozenset({Fact.CHANGES}))
PLANS = [
    replace(plan, needs=NEEDS, first=3, total=True)
    for plan in (
        LevelPlan(level=Level.STUDY),
        LevelPlan(level=Level.STUDY, offset=2),
        LevelPlan(level=Level.STUDY, order=(Order("LastUpdate", descending=True),)),
        LevelPlan(level=Level.STUDY, filter=Filter((("ModalitiesInStudy", "MR"),))),
        LevelPlan(level=Level.STUDY, filter=Filter((("StudyDate", "20220101-"),))),
        LevelPlan(level=Level.STUDY, filter=Filter(search=words("김2"))),
        LevelPlan(level=Level.PATIENT),
        LevelPlan(level=Level.PATIENT, filter=Filter((("PatientSex", "F"),))),
    )
]
NUMBERS = st.integers(1, 3)
CHOICES = st.integers(0, 99)


class Staleness(RuleBasedStateMachine):
    orthanc: LocalOrthanc
    client: OrthancClient

    def __init__(self) -> None:
        super().__init__()
        for patient in self._found(Level.PATIENT):
            storage.delete(self.client, Level.PATIENT, patient.orthanc_id)
        index = DjangoIndex("here")
        self.keepers = [IndexKeeper(self.client, index), IndexKeeper(self.client, DjangoIndex("here"))]
        self.keepers[0].build()

    def _found(self, level: Level) -> Any:
        return Hierarchy(self.client).page(LevelPlan(level=level)).resources

    @rule(patient=NUMBERS, study=NUMBERS, series=NUMBERS, number=NUMBERS)
    def store(self, patient: int, study: int, series: int, number: int) -> None:
        load(self.orthanc, [instance(patient, study, series, number)])

    @rule(level=st.sampled_from(Level), choice=CHOICES)
    def delete(self, level: Level, choice: int) -> None:
        if found := self._found(level):
            chosen = found[choice % len(found)].orthanc_id
            storage.delete(self.client, level, chosen)

    @rule(level=st.sampled_from([Level.PATIENT, Level.STUDY]), choice=CHOICES)
    def reconstruct(self, level: Level, choice: int) -> None:
        if found := self._found(level):
            chosen = found[choice % len(found)].orthanc_id
            self._post(f"/{level.path}/{chosen}/reconstruct", {})

    @rule(choice=CHOICES, name=st.sampled_from(["홍^길동", "Kim^2", ""]), keep=st.booleans())
    def modify(self, choice: int, name: str, *, keep: bool) -> None:
        if found := self._found(Level.STUDY):
            chosen = found[choice % len(found)].orthanc_id
            body = {"Replace": {"StudyDescription": name}, "KeepSource": keep, "Force": True}
            self._post(f"/studies/{chosen}/modify", body)

    @rule(patient=NUMBERS, study=NUMBERS, description=st.sampled_from(["other", "more"]))
    def overwrite(self, patient: int, study: int, description: str) -> None:
        load(self.orthanc, [instance(patient, study, StudyDescription=description)])

    @rule(keeper=st.integers(0, 1))
    def sweep(self, keeper: int) -> None:
        self.keepers[keeper].sweep()
        for plan in PLANS:
            assert self._page(plan, self.keepers[keeper]) == self._page(plan)

    @invariant()
    def what_is_shown_is_in_orthanc(self) -> None:
        for plan, keeper in zip(PLANS, self.keepers * len(PLANS), strict=False):
            shown, expected = self._page(plan, keeper), self._page(plan)
            assert shown[0] == expected[0], plan

    def _page(self, plan: LevelPlan, keeper: IndexKeeper | None = None) -> tuple[Any, ...]:
        page = Hierarchy(self.client, keeper=keeper).page(plan)
        shown = [(one.orthanc_id, [one.tags.get(tag) for tag in SHOWN_TAGS], one.last_update) for one in page.resources]
        return shown, page.has_next, page.total

    def _post(self, path: str, body: Any) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.orthanc.port)
        connection.request("POST", path, json.dumps(body))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        connection.close()


@pytest.fixture
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc(configuration={"OverwriteInstances": True})


def test_nothing_stale_is_shown(orthanc: LocalOrthanc) -> None:
    Staleness.orthanc = orthanc
    Staleness.client = OrthancClient(ConnectionOptions(orthanc.base_url))
    run_state_machine_as_test(
        Staleness,
        settings=settings(
            max_examples=STEPS // STEPS_PER_EXAMPLE,
            stateful_step_count=STEPS_PER_EXAMPLE,
            deadline=None,
            database=None,
            derandomize="STALENESS_STEPS" not in os.environ,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
