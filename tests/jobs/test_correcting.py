"""Correcting patients, studies and series in an archive."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from orthancproxy.audit.models import AuditEvent
from orthancproxy.jobs.following import JobFollower
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.access.callers import api_token, bearer
from tests.conftest import GraphQL
from tests.corpus import instance, load
from tests.jobs.correcting import Archive, correct, follow
from tests.jobs.servers import clear

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
ONE = Target.at(1)
STUDY = ONE.ids["studies"]


@pytest.fixture
def graphql() -> GraphQL:
    """A client of somebody who may do everything."""
    return GraphQL(bearer(api_token(User.objects.create_superuser("manager"))))


@pytest.fixture
def archive(gateway: LocalOrthanc) -> LocalOrthanc:
    """The source with one patient of two studies, of two series of two instances with different pixels."""
    clear(gateway)
    load(
        gateway,
        [
            instance(1, study, series, number, PixelData=bytes([study, series, number, 0]) * 32)
            for study in (1, 2)
            for series in (1, 2)
            for number in (1, 2)
        ],
    )
    return gateway


@pytest.mark.parametrize("keep_uids", [False, True])
def test_a_corrected_study_takes_the_place_of_the_original(
    keep_uids: bool, archive: LocalOrthanc, graphql: GraphQL, make_follower: Make
) -> None:
    before = Archive.of(archive)
    payload = correct(graphql, "modifyStudy", STUDY, {"StudyDescription": "뇌 MRI"}, keepUids=keep_uids)
    assert payload["instancesCount"] == 4
    assert payload["changes"] == [{"keyword": "StudyDescription", "before": ["Brain study 1"], "after": "뇌 MRI"}]
    ended = follow(graphql, payload["job"], make_follower())
    assert (ended["state"], ended["error"]) == ("SUCCESS", None)
    assert ended["result"]["instancesCount"] == 4
    after, uid = Archive.of(archive), ended["study"]["studyInstanceUID"]
    assert (uid == ONE.study_uid) == keep_uids
    assert after.pixels == before.pixels
    assert after.studies() == {("P001", uid): 4, ("P001", Target.at(1, 2).study_uid): 4}
    assert after.values("StudyDescription", uid) == {"뇌 MRI"}
    assert after.values("PatientName", uid) == before.values("PatientName", ONE.study_uid)
    old, new = (
        {file.SOPInstanceUID for file in one.of_study(study)} for one, study in ((before, ONE.study_uid), (after, uid))
    )
    assert (old == new) if keep_uids else old.isdisjoint(new)
    assert [one.outcome for one in AuditEvent.objects.filter(event="MODIFIED").order_by("pk")] == [
        "INTENDED",
        "SUCCESS",
    ]
