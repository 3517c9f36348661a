"""A trash that Orthanc cannot have: nothing is deleted for good that the caller takes for restorable."""

import pytest
from django.test import Client

from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.deletion.deletion_client import ARCHIVE, resource_at, resources_of, stored_resources

pytestmark = pytest.mark.live

STUDY = resource_at((1, 1)).orthanc_id
DELETE = """mutation($id: ID!, $dryRun: Boolean, $purge: Boolean) {
  deletion: deleteStudy(orthancId: $id, dryRun: $dryRun, purge: $purge) { inTrash }
}"""


def test_without_labels_deletions_are_rejected_unless_they_are_for_good(
    orthanc: LocalOrthanc, graphql: GraphQL
) -> None:
    has_labels = connect().capabilities().has_labels
    for dry_run in (True, False):
        answer = graphql.answer(DELETE, id=STUDY, dryRun=dry_run)
        if has_labels:
            assert answer == {"data": {"deletion": {"inTrash": True}}}
        else:
            assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
            assert "purge" in answer["errors"][0]["message"]
    other = resource_at((2, 1)).orthanc_id
    status = Client().delete(f"/api/orthanc/studies/{other}/").status_code
    assert status == (200 if has_labels else 400)
    assert stored_resources(orthanc) == resources_of(ARCHIVE)
    advice = graphql("{ server { trashDays advice } }")["server"]
    assert advice["trashDays"] == 30
    assert any("ORTHANC_TRASH_DAYS" in one for one in advice["advice"]) is not has_labels
    assert graphql(DELETE, id=STUDY, purge=True) == {"deletion": {"inTrash": False}}
    assert resource_at((1, 1)) not in stored_resources(orthanc)
