"""Derives UIDs from the upload key, so that a file gets the same UID however often it is sent."""

import json
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID, uuid5

_NAMESPACE = UUID("b2b1ec6b-6b0c-4c5d-9a55-7a3ab3f4f4f1")


@dataclass(frozen=True)
class UploadUIDs:
    """UIDs of the form 2.25 (PS3.5 section B.2) for one upload key of a user for a patient.

    They depend on the PatientID too, so that two archives that use the same key get different UIDs, and on the user,
    who is empty for anonymous callers: nobody can add to the study of another user.
    """

    patient_id: str
    upload_key: str
    username: str = ""

    @cached_property
    def study(self) -> str:
        """The StudyInstanceUID of all files with this key."""
        return self._derive("study")

    def series(self, series_path: str, modality: str) -> str:
        """The SeriesInstanceUID of the files of one Modality in a folder: a series has one (PS3.3 section C.7.3.1)."""
        return self._derive("series", series_path, modality)

    def instance(self, identity: str) -> str:
        """The SOPInstanceUID of a file, by its folder and content."""
        return self._derive("instance", identity)

    def _derive(self, *parts: str) -> str:
        key = [self.upload_key, self.username] if self.username else self.upload_key
        return f"2.25.{uuid5(_NAMESPACE, json.dumps([self.patient_id, key, *parts])).int}"
