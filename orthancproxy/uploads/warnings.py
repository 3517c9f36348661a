"""Warnings to the sender of an upload."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from orthancproxy.archive.records import Resource
from orthancproxy.uploads.files import InspectedFile, StoredFile
from orthancproxy.uploads.storing import BatchUpload

MAX_FOLDER_WARNINGS = 10
DEMOGRAPHICS = {"PatientName": "name", "PatientBirthDate": "birth date", "PatientSex": "sex"}


def warnings(known: Resource | None, upload: BatchUpload, files: Sequence[StoredFile], left_out: int) -> Iterator[str]:
    """Yield warnings, without values from the archive. `known` is the patient as it was before the upload."""
    yield from _merged([file.inspected for file in files], upload.old_study_uids)
    if known is not None:
        sent = {
            "PatientName": {upload.batch.patient_name},
            "PatientBirthDate": {file.inspected.birth_date for file in files},
            "PatientSex": {file.inspected.sex for file in files},
        }
        for keyword, what in DEMOGRAPHICS.items():
            value = _comparable(known.tags.get(keyword, ""))
            if value and any(other and _comparable(other) != value for other in sent[keyword]):
                yield f"This patient ID is already in the archive under another {what}."
    folders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file in files:
        folders[file.inspected.sent.folder, file.inspected.series_uid].add(file.inspected.old_series_uid)
    mixed = ((folder, len(uids)) for (folder, _), uids in folders.items() if len(uids) > 1)
    for folder, count in islice(mixed, MAX_FOLDER_WARNINGS):
        yield f"The folder “{folder}” contains files of {count} series, which became one."
    if guessed := sum(file.text_guessed for file in files):
        yield (
            f"{guessed} files have text that is not in their SpecificCharacterSet. Its character set was guessed: "
            "check names and descriptions."
        )
    if signed := sum(file.was_signed for file in files):
        yield f"{signed} files had digital signatures, which were removed: they do not apply to the stored files."
    if left_out:
        yield f"{left_out} files that operating systems add to folders, such as .DS_Store and Thumbs.db, were left out."
    if upload.lost:
        yield (
            f"{upload.lost} files that were stored before could not be stored again with their references: "
            "send them again with this key."
        )


def _merged(files: Sequence[InspectedFile], old_study_uids: frozenset[str]) -> Iterator[str]:
    """Warn of what differs in the files and is one in a study: they may be of several patients."""
    values = {
        "patient IDs": {file.patient_id for file in files},
        "patient names": {_comparable(file.patient_name) for file in files},
        "birth dates": {file.birth_date for file in files},
        "sexes": {file.sex for file in files},
        "studies": old_study_uids,
        "study dates": {file.study_date for file in files},
        "study times": {file.study_time for file in files},
    }
    counts = [(len(different - {""}), what) for what, different in values.items()]
    if mixed := [f"{count} {what}" for count, what in counts if count > 1]:
        yield f"The files have {', '.join(mixed)}, and became one study: check that they are of one patient."


def _comparable(value: str) -> str:
    """A value without padding and without delimiters of empty components at its end (PS3.5 section 6.2)."""
    return unicodedata.normalize("NFC", value).strip(" \0").rstrip("^= ")
