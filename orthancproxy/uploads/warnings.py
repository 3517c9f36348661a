"""Warnings to the sender of an upload."""

from collections.abc import Iterator, Sequence
from itertools import islice

from orthancproxy.archive.records import Resource
from orthancproxy.uploads.batches import merged_series
from orthancproxy.uploads.distinct_values import comparable, disagreements
from orthancproxy.uploads.files import StoredFile
from orthancproxy.uploads.storing import BatchUpload

MAX_FOLDER_WARNINGS = 10
DEMOGRAPHICS = {"PatientName": "name", "PatientBirthDate": "birth date", "PatientSex": "sex"}


def warnings(known: Resource | None, upload: BatchUpload, files: Sequence[StoredFile], left_out: int) -> Iterator[str]:
    """Yield warnings, without values from the archive. `known` is the patient as it was before the upload."""
    yield from disagreements(upload.batch.distinct_values)
    if known is not None:
        sent = {
            "PatientName": {upload.batch.patient_name},
            "PatientBirthDate": {file.inspected.birth_date for file in files},
            "PatientSex": {file.inspected.sex for file in files},
        }
        for keyword, what in DEMOGRAPHICS.items():
            value = comparable(known.tags.get(keyword, ""))
            if value and any(other and comparable(other) != value for other in sent[keyword]):
                yield f"This patient ID is already in the archive under another {what}."
    folders = {file.inspected.series_uid: file.inspected.sent.folder for file in files}
    mixed = ((folders[series], count) for series, count in merged_series(upload.batch).items() if series in folders)
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
        yield (
            f"{left_out} files that operating systems add to folders, such as .DS_Store and Thumbs.db, or keep in the "
            "trash were left out."
        )
    if upload.lost:
        yield (
            f"{upload.lost} files that were stored before could not be stored again with their references: "
            "send them again with this key."
        )
