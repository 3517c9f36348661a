"""What is asked for an anonymization, and the files of the archive after it."""

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from orthancproxy.anonymization import pseudonyms
from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.archive.storage import open_file
from orthancproxy.conf import conf
from orthancproxy.dicom import file_format
from orthancproxy.dicom.confidentiality import ConfidentialityOptions
from orthancproxy.dicom.deidentification import Deidentified, NewIdentity, deidentify
from orthancproxy.dicom.file_format import DicomFile
from orthancproxy.dicom.sources import MAX_IN_MEMORY_BYTES, FileRange, InMemory, Source, open_spool
from orthancproxy.dicom.text import FALLBACK_CODECS
from orthancproxy.dicom.uncleaned_content import UncleanedContent, uncleaned_content
from orthancproxy.errors import InvalidDicom, InvalidRequest
from orthancproxy.orthanc.client import OrthancClient

SECRET_BYTES = 32
NOTHING_LEFT = "No instance of the study can be anonymized: they are documents, or have burned-in text."
# the files keep their SpecificCharacterSet; a backslash separates values
_PSEUDONYM = re.compile(r"[ -\[\]-~]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymizationRequest:
    """What is asked for: a new identity, or that of a `project`, and what is kept.

    `scope_labels` are those labels of the study by which the caller sees it: the result gets them, too.
    """

    patient_id: str | None = None
    patient_name: str | None = None
    project: str | None = None
    shifts_dates: bool = False
    keeps_series_descriptions: bool = False
    keeps_device: bool = False
    includes_burned_in: bool = False
    keeps_labels: bool = False
    scope_labels: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """What the table of jobs has of it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._items()}

    def _items(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__dataclass_fields__]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the request of a row of that table."""
        return cls(**{**parameters, "scope_labels": tuple(parameters["scope_labels"])})

    @property
    def options(self) -> ConfidentialityOptions:
        """What the files keep."""
        return ConfidentialityOptions(
            shifts_dates=self.shifts_dates,
            keeps_series_description=self.keeps_series_descriptions,
            keeps_device=self.keeps_device,
        )

    def check(self, patient_id: str = "", patient_name: str = "") -> None:
        """Raise InvalidRequest for what cannot be done, or would keep the identity of the original."""
        for name, value, original in (
            ("patientId", self.patient_id, patient_id),
            ("patientName", self.patient_name, patient_name),
        ):
            if value is None:
                continue
            if not _PSEUDONYM.fullmatch(value) or value.strip() != value:
                raise InvalidRequest(f"{name} must have 1 to 64 characters of ASCII, without backslashes.")
            if value.casefold() == original.strip().casefold():
                raise InvalidRequest(f"{name} is that of the original.")
        if self.project is not None:
            pseudonyms.check_project(self.project)
            if self.patient_id is not None or self.patient_name is not None:
                raise InvalidRequest("A project has pseudonyms of its own: leave out patientId and patientName.")

    def identity(self, patient_id: str, secret: bytes, pseudonym: Pseudonym | None = None) -> NewIdentity:
        """Return whom the patient becomes: in a project, with this pseudonym; else as asked for, or somebody random."""
        if pseudonym:
            name, days = pseudonym.pseudonym, pseudonym.days
        else:
            name, days = pseudonyms.derive(secret, "patient", patient_id)
        new = self.patient_id or name
        shift = timedelta(days=days if self.shifts_dates else 0)
        return NewIdentity(patient_id=new, patient_name=self.patient_name or new, secret=secret, shift=shift)


@dataclass(frozen=True, slots=True)
class Anonymizer:
    """Anonymizes files of the archive, all with one identity. Thread-safe."""

    client: OrthancClient
    request: AnonymizationRequest
    identity: NewIdentity

    def read(self, orthanc_id: str) -> Deidentified | None:
        """Return the file of an instance, anonymized; None if it is left out, since it cannot be cleaned.

        Raises NotFound and ArchiveError.
        """
        try:
            file = read_file(self.client, orthanc_id)
            if self.leaves_out(file):
                file.source.close()
                return None
            return deidentify(file, self.identity, self.request.options)
        except InvalidDicom:
            # Orthanc takes files of which nobody can tell what is in them
            return None

    def leaves_out(self, file: DicomFile) -> bool:
        """Whether a file cannot be cleaned, and is not asked for nevertheless."""
        return any(
            content.is_left_out and not (content is UncleanedContent.BURNED_IN and self.request.includes_burned_in)
            for content in uncleaned_content(file)
        )


def read_file(client: OrthancClient, orthanc_id: str) -> DicomFile:
    """Return the parsed file of an instance. Raises NotFound, ArchiveError, InvalidDicom and InsufficientStorage."""
    return file_format.read(_source(client, orthanc_id), FALLBACK_CODECS.get(conf.ORTHANC_DEFAULT_ENCODING, "latin_1"))


def _source(client: OrthancClient, orthanc_id: str) -> Source:
    content = open_file(client, orthanc_id)
    with closing(content):
        if content.length is not None and content.length <= MAX_IN_MEMORY_BYTES:
            return InMemory(b"".join(content))
        with open_spool() as spool:
            size = sum(spool.write(chunk) for chunk in content)
            spool.flush()
            return FileRange(spool, 0, size)
