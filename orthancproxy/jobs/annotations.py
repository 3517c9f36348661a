"""What people have added to resources in Orthanc, beside the files: labels, metadata and attachments."""

from orthancproxy.archive import labels as archive_labels
from orthancproxy.archive.annotations import copy_annotations
from orthancproxy.archive.levels import Level, patient_orthanc_id
from orthancproxy.archive.records import Resource
from orthancproxy.jobs.moves import Move, MovedSeries
from orthancproxy.orthanc.client import OrthancClient


def annotate(client: OrthancClient, move: Move, moved: MovedSeries, *, is_last: bool = False) -> None:
    """Give the copy of a series, its study and its patient what the original ones have.

    If it `is_last`, a new study loses the labels that the original one has lost meanwhile: it must not stay in a scope
    that the other has left. Raises ArchiveError.
    """
    pairs = [(Level.SERIES, moved.series, moved.target)]
    if move.takes_labels:
        pairs.insert(0, (Level.STUDY, move.study, move.target_study))
    if move.takes_patient and client.capabilities().has_patient_routes:
        pairs.append((Level.PATIENT, move.patient, patient_orthanc_id(move.target_patient_id)))
    for level, source, target in pairs:
        if client.capabilities().has_labels:
            is_exact = is_last and move.is_new and level is Level.STUDY
            _copy_labels(client, level, source, target, is_exact=is_exact)
        if source != target:
            copy_annotations(client, level, source, target)


def _copy_labels(client: OrthancClient, level: Level, source: str, target: str, *, is_exact: bool) -> None:
    known, wanted = (set(archive_labels.labels_of(client, level, one)) for one in (target, source))
    for label in sorted(wanted - known):
        archive_labels.add(client, level, target, label)
    for label in sorted(known - wanted) if is_exact else ():
        archive_labels.remove(client, level, target, label)


def annotate_instance(client: OrthancClient, instance: Resource, target: str) -> None:
    """Give the copy of an instance what the original one has. Raises ArchiveError."""
    for label in instance.facts.get("Labels") or ():
        archive_labels.add(client, Level.INSTANCE, target, label)
    copy_annotations(client, Level.INSTANCE, instance.orthanc_id, target)
