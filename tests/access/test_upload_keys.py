"""An upload key belongs to a user: it is neither probed nor taken by another."""

import pytest

from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import SmallArchive
from tests.access.callers import CallerClient
from tests.access.cases import send_upload
from tests.uploads.upload_client import GRAPHQL_PATH, REST_PATH

pytestmark = [pytest.mark.live, pytest.mark.once]

KEY = "taken"


@pytest.mark.parametrize("path", [GRAPHQL_PATH, REST_PATH])
def test_key_of_another_user_is_like_a_new_key(
    callers: dict[str, CallerClient], archive: SmallArchive, path: str
) -> None:
    one, other = callers["Uploader (API token)"], callers["Manager (API token)"]
    new = send_upload(other, path, "W7-2", "not taken")
    for caller, patient_id in ((one, "W7-1"), (other, "W7-2"), (one, "W7-1")):
        answer = send_upload(caller, path, patient_id, KEY)
        assert answer.status == new.status == 200
        assert "errors" not in answer.json
    batches = UploadBatch.objects.filter(upload_key=KEY)
    assert {batch.uploaded_by: batch.patient_id for batch in batches} == {one.username: "W7-1", other.username: "W7-2"}


def test_studies_of_two_users_with_one_key_and_patient_differ(
    callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    before = len(archive.ask("/studies"))
    for name in ("Uploader (API token)", "Manager (API token)", "Uploader (session)"):
        assert send_upload(callers[name], GRAPHQL_PATH, "W7-1", KEY).status == 200
    # a session and a token of one user are the same user
    assert len(archive.ask("/studies")) == before + 2
    assert len(set(UploadBatch.objects.values_list("study_instance_uid", flat=True))) == 2
