"""What the log of changes is told of series that were replaced, and what Orthanc is to read again."""

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.labels import labels_of
from orthancproxy.archive.levels import Level, patient_orthanc_id
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.storage import exists, reconstruct
from orthancproxy.dicom.correctable import PATIENT
from orthancproxy.feed.log import Change, Kind
from orthancproxy.jobs.copying import series_of
from orthancproxy.jobs.moves import MovedSeries, ReplacementProgress
from orthancproxy.orthanc.client import OrthancClient


def changes_of(client: OrthancClient, progress: ReplacementProgress) -> list[Change]:
    """Return what was deleted, and which labels there are now. Raises ArchiveError."""
    changes: list[Change] = []
    for number, move in enumerate(progress.moves):
        gone = [one.series for one in progress.series if one.move == number]
        of_move = [(Level.SERIES, one) for one in gone] + [(Level.STUDY, move.study), (Level.PATIENT, move.patient)]
        changes += [move.change(Kind.DELETED, level, one) for level, one in of_move if not exists(client, level, one)]
        if move.takes_labels and move.labels:
            changes.append(move.labelled(labels_of(client, Level.STUDY, move.target_study)))
    return changes


def changes_of_undoing(
    client: OrthancClient, progress: ReplacementProgress, removed: list[MovedSeries]
) -> list[Change]:
    """Return which copies were deleted, with the studies and patients that were made for them. Raises ArchiveError."""
    changes: list[Change] = []
    for move, series in [(progress.moves[one.move], one.target) for one in removed]:
        patient = patient_orthanc_id(move.target_patient_id)
        of_move = [(Level.SERIES, series), (Level.STUDY, move.target_study), (Level.PATIENT, patient)]
        changes += [move.removed(level, one) for level, one in of_move if not exists(client, level, one)]
    return list(dict.fromkeys(changes))


def refresh_patients(client: OrthancClient, progress: ReplacementProgress) -> None:
    """Let Orthanc read the tags of a patient again whose studies are all new: it keeps those of its first file."""
    plan = LevelPlan(level=Level.PATIENT, related={"studies": LevelPlan(level=Level.STUDY)})
    made = {move.target_study for move in progress.moves}
    corrected = [one for one in progress.series if PATIENT & progress.moves[one.move].values.keys()]
    for moved in {progress.moves[one.move].target_patient_id: one for one in corrected}.values():
        patient = patient_orthanc_id(progress.moves[moved.move].target_patient_id)
        found = Hierarchy(client).by_ids(plan, [patient], as_stored=True)
        if found and made.issuperset(one.orthanc_id for one in found[0].related["studies"]):
            for one in (series_of(client, moved.target) or ())[:1]:
                reconstruct(client, one.orthanc_id)
