"""What is moved to correct patients, studies and series, to merge studies, and to move series to another study."""

from collections.abc import Mapping, Sequence
from typing import Any

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level, study_orthanc_id
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import exists
from orthancproxy.dicom.correctable import tag_of
from orthancproxy.errors import InvalidRequest, NotFound
from orthancproxy.jobs.copying import stored_file
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.moves import Move, derived_uid
from orthancproxy.orthanc.client import OrthancClient

# what a series gets from the study that it is moved to
SHARED = (
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDescription",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_STUDY = LevelPlan(level=Level.STUDY, needs=Needs(facts=frozenset({Fact.LABELS})))


def plan_correction(client: OrthancClient, job: Job, seed: str) -> list[list[Move]]:
    """Return the moves of a correction.

    With new UIDs, or for another patient, studies move to where they are to be. Otherwise they would be in their own
    way: they move to studies with other UIDs, and from there back when the originals are gone. Raises NotFound, and
    InvalidRequest if a new study is there already.
    """
    level, keeps_uids = Level(job.level), job.parameters["keepUids"]
    values: dict[str, str | None] = job.parameters["values"]
    there, back = [], []
    for study in _studies(client, job.studies):
        source = _source(study)
        patient_id = values.get("PatientID") or source["patient_id"]
        uid, other_uid = source["study_uid"], derived_uid(seed, source["study_uid"])
        is_in_place = keeps_uids and patient_id == source["patient_id"]
        of_series = tuple(job.orthanc_ids) if level is Level.SERIES else None
        target_uid = other_uid if is_in_place or (not keeps_uids and of_series is None) else uid
        common: dict[str, Any] = {"target_patient_id": patient_id, "keeps_uids": keeps_uids, "values": values}
        move = Move(
            **source,
            **common,
            series=of_series,
            target_uid=target_uid,
            takes_patient=level is Level.PATIENT,
            is_new=target_uid != uid or patient_id != source["patient_id"],
        )
        check_is_new(client, move)
        there.append(move)
        if is_in_place:
            staged = {**source, "study": move.target_study, "study_uid": other_uid}
            # the values again: by them, copies are told from originals that somebody sends meanwhile
            back.append(Move(**staged, **common, target_uid=uid, is_new=of_series is None))
    return [there, back] if back else [there]


def plan_move(client: OrthancClient, job: Job, seed: str) -> list[list[Move]]:
    """Return the moves of studies, or of series, to another study. Raises NotFound, and InvalidRequest."""
    target: str | None = job.parameters["target"]
    is_merge = Level(job.level) is Level.STUDY
    every = {study.orthanc_id: study for study in _studies(client, job.studies)}
    moves = []
    for orthanc_id, study in every.items():
        if orthanc_id == target:
            continue
        source = _source(study)
        if target is None:
            target_uid, values = derived_uid(seed, source["study_uid"]), job.parameters["values"]
        else:
            target_uid, values = every[target].tags["StudyInstanceUID"], shared_values(client, target)
        move = Move(
            **source,
            target_patient_id=source["patient_id"],
            target_uid=target_uid,
            series=None if is_merge else tuple(job.orthanc_ids),
            keeps_uids=job.parameters["keepUids"],
            takes_labels=is_merge or target is None,
            is_new=target is None,
            values=values,
        )
        check_is_new(client, move)
        moves.append(move)
    return [moves]


def shared_values(client: OrthancClient, study: str) -> Mapping[str, str | None]:
    """Return what all series of a study have in common, from one of its files. Raises NotFound."""
    below = LevelPlan(level=Level.SERIES, first=1, related={"instances": LevelPlan(level=Level.INSTANCE, first=1)})
    plan = LevelPlan(level=Level.STUDY, related={"series": below})
    found = Hierarchy(client).by_ids(plan, [study], as_stored=True)
    if not found:
        raise NotFound("There is no such study.")
    [instance] = found[0].related["series"][0].related["instances"]
    with stored_file(client, instance.orthanc_id) as file:
        return {keyword: file.text(tag_of(keyword)) if tag_of(keyword) in file.elements else None for keyword in SHARED}


def check_is_new(client: OrthancClient, move: Move) -> None:
    """Raise InvalidRequest if there is a study where a new one is to be, or if Orthanc cannot find it there."""
    is_known = study_orthanc_id(move.patient_id, move.study_uid) == move.study
    if move.target_patient_id == move.patient_id and not is_known:
        raise InvalidRequest("The study has a PatientID that cannot be kept: correct its PatientID.")
    if move.is_new and exists(client, Level.STUDY, move.target_study):
        raise InvalidRequest("The patient has a study with this StudyInstanceUID already.")


def _studies(client: OrthancClient, ids: Sequence[str]) -> list[Resource]:
    found = Hierarchy(client).by_ids(_STUDY, ids, as_stored=True)
    if len(found) != len(ids):
        raise NotFound("What was to be changed has been deleted.")
    return sorted(found, key=lambda one: one.orthanc_id)


def _source(study: Resource) -> dict[str, Any]:
    return {
        "study": study.orthanc_id,
        "study_uid": study.tags["StudyInstanceUID"],
        "patient": study.parent_id,
        "patient_id": study.tags.get("PatientID", ""),
        "labels": tuple(sorted(study.facts.get("Labels") or ())),
    }
