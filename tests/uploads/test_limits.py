"""Requests beyond the limits of an upload are rejected as a whole."""

import pytest
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.uploads.upload_client import Transport, is_stored, slices

pytestmark = pytest.mark.live


def test_too_many_files_are_rejected(
    orthanc: LocalOrthanc, settings: Settings, transport: Transport, patient_id: str
) -> None:
    settings.ORTHANC_MAX_UPLOAD_FILES = 3
    outcome = transport(slices(4), patientId=patient_id)
    assert (outcome.status, outcome.code) == (413, "LIMIT_EXCEEDED")
    assert not is_stored(orthanc, patient_id)
    assert not UploadBatch.objects.exists()
    assert transport(slices(3), patientId=patient_id).counts == (3, 0, 0)


def test_too_many_bytes_are_rejected(
    orthanc: LocalOrthanc, settings: Settings, transport: Transport, patient_id: str
) -> None:
    size = sum(len(file.content) for file in slices(3))
    settings.ORTHANC_MAX_UPLOAD_BYTES = size - 1
    outcome = transport(slices(3), patientId=patient_id)
    assert (outcome.status, outcome.code) == (413, "LIMIT_EXCEEDED")
    assert not is_stored(orthanc, patient_id)
    assert not UploadBatch.objects.exists()
    settings.ORTHANC_MAX_UPLOAD_BYTES = size
    assert transport(slices(3), patientId=patient_id).counts == (3, 0, 0)


def test_djangos_own_limits_do_not_apply(
    orthanc: LocalOrthanc, settings: Settings, transport: Transport, patient_id: str
) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 1
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 1
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10
    assert transport(slices(5), patientId=patient_id).counts == (5, 0, 0)
