"""Projects: the same patient has the same pseudonym and shift of dates, and who is who is read by few."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings

from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.anonymization.pseudonyms import assign, derive, look_up
from orthancproxy.errors import InvalidRequest
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.anonymization.archive import files, parsed
from tests.anonymization.conftest import ANONYMIZE
from tests.conftest import GraphQL
from tests.corpus import instance, load

pytestmark = pytest.mark.django_db(transaction=True)

Anonymize = Callable[..., dict[str, Any]]


@pytest.mark.live
class TestStudies:
    def made(self, gateway: LocalOrthanc, anonymize: Anonymize, patient: int, study: int, project: str) -> Any:
        load(gateway, [instance(patient, study)])
        job = anonymize(Target.at(patient, study).ids["studies"], project=project, shiftDates=True)
        [file] = files(gateway, job["study"]["orthancId"])
        return parsed(file)

    def test_a_patient_has_one_pseudonym_and_shift_in_a_project(
        self, gateway: LocalOrthanc, anonymize: Anonymize
    ) -> None:
        first, second = (self.made(gateway, anonymize, 1, study, "trial") for study in (1, 2))
        assert first.PatientID == second.PatientID == first.PatientName
        assert first.StudyInstanceUID != second.StudyInstanceUID

        def date(text: str) -> datetime:
            return datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007

        shifts = {date(one.StudyDate) - date(f"202{number}0211") for number, one in ((1, first), (2, second))}
        assert len(shifts) == 1
        assert shifts.pop().days == Pseudonym.objects.get().days

    def test_other_patients_and_projects_have_other_pseudonyms(
        self, gateway: LocalOrthanc, anonymize: Anonymize
    ) -> None:
        made = [
            self.made(gateway, anonymize, 1, 1, "trial"),
            self.made(gateway, anonymize, 2, 1, "trial"),
            self.made(gateway, anonymize, 1, 1, "other"),
        ]
        assert len({one.PatientID for one in made}) == 3

    def test_a_preview_assigns_no_pseudonym(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        load(gateway, [instance(1)])
        given = {"orthancId": Target.at(1).ids["studies"], "project": "trial", "dryRun": True}
        shown = graphql(ANONYMIZE, input=given)["anonymizeStudy"]["preview"]
        [after] = [one["after"] for one in shown if one["keyword"] == "PatientID"]
        assert after == look_up("trial", "P001").pseudonym
        assert not Pseudonym.objects.exists()

    def test_there_are_no_projects_without_a_key(
        self, gateway: LocalOrthanc, graphql: GraphQL, settings: Settings
    ) -> None:
        settings.ORTHANC_PSEUDONYM_KEY = ""
        load(gateway, [instance(1)])
        error = graphql.error(ANONYMIZE, input={"orthancId": Target.at(1).ids["studies"], "project": "trial"})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert "ORTHANC_PSEUDONYM_KEY" in error["message"]

    def test_patients_without_id_have_no_pseudonym_in_a_project(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        load(gateway, [instance(1, PatientID="")])
        study = graphql("{ studies { nodes { orthancId } } }")["studies"]["nodes"][0]["orthancId"]
        error = graphql.error(ANONYMIZE, input={"orthancId": study, "project": "trial"})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


class TestPseudonyms:
    @pytest.fixture(autouse=True)
    def _key(self, settings: Settings) -> None:
        settings.ORTHANC_PSEUDONYM_KEY = "a key"

    def test_a_pseudonym_depends_on_the_key_the_project_and_the_patient(self) -> None:
        names = [derive(key, project, patient)[0] for key in (b"1", b"2") for project in "ab" for patient in "cd"]
        assert len(set(names)) == 8
        assert derive(b"1", "a", "bc") != derive(b"1", "ab", "c")

    def test_dates_are_moved_back_by_up_to_ten_years(self) -> None:
        days = [derive(b"key", str(number))[1] for number in range(2000)]
        assert -3650 <= min(days) < -3500
        assert -150 < max(days) <= -1

    def test_what_is_assigned_outlives_the_key(self, settings: Settings) -> None:
        before = assign("trial", "P1")
        settings.ORTHANC_PSEUDONYM_KEY = "another key"
        assert assign("trial", "P1").pseudonym == before.pseudonym
        assert assign("trial", "P2").pseudonym != derive(b"a key", "trial", "P2")[0]

    def test_padding_is_no_part_of_a_patient_id(self) -> None:
        assert assign("trial", "P1 ").pk == assign("trial", "P1").pk
        with pytest.raises(InvalidRequest):
            assign("trial", " \0")

    def test_requests_at_the_same_time_assign_one(self) -> None:
        def run(_: int) -> str:
            try:
                return assign("trial", "P1").pseudonym
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(run, range(8)))) == 1
        assert Pseudonym.objects.count() == 1
