"""Moves of series: from one study to another, which may be of another patient, with corrected attributes."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid5

from msgspec import Struct, convert

from orthancproxy.archive.levels import Level, orthanc_id_of, patient_orthanc_id, study_orthanc_id
from orthancproxy.feed.log import Change, Kind
from orthancproxy.jobs.rows import made_study

_NAMESPACE = UUID("6d1f0f6e-6b7e-4c0e-9d53-2f6f2c2f9a41")


def derived_uid(seed: str, uid: str) -> str:
    """Return the UID of the form 2.25 (PS3.5 section B.2) that an old one becomes in an attempt, which has a seed."""
    return f"2.25.{uuid5(_NAMESPACE, f'{seed} {uid}').int}"


class Move(Struct, frozen=True, kw_only=True):
    """Series of one study that become part of another one, which `is_new` if there is none.

    `study`, `patient` and `series` are Orthanc ids, of all series of the study if None. `values` are new ones by
    keyword, None for those that are removed. `takes_labels`: the other study gets the labels of this one, which
    are `labels` at the beginning; `takes_patient`: the other patient gets those of this one.
    """

    study: str
    study_uid: str
    patient: str
    patient_id: str
    target_patient_id: str
    target_uid: str
    series: tuple[str, ...] | None = None
    keeps_uids: bool = False
    takes_labels: bool = True
    takes_patient: bool = False
    is_new: bool = False
    values: Mapping[str, str | None] = {}
    labels: tuple[str, ...] = ()

    @property
    def target_study(self) -> str:
        """The Orthanc id of the other study."""
        return study_orthanc_id(self.target_patient_id, self.target_uid)

    def change(self, kind: Kind, level: Level, orthanc_id: str) -> Change:
        """Return a change of the study, its patient or one of its series, with the labels that it had."""
        labels = frozenset(self.labels)
        if level is Level.PATIENT:
            return Change(kind, level, orthanc_id, self.patient_id, patient_orthanc_id=orthanc_id, labels=labels)
        return Change(kind, level, orthanc_id, self.patient_id, self.study_uid, self.patient, self.study, labels)

    def removed(self, level: Level, orthanc_id: str) -> Change:
        """Return that the other study, its patient or one of its series, was deleted."""
        patient = patient_orthanc_id(self.target_patient_id)
        # None: those of a study that was there before are known from its own changes
        labels = frozenset(self.labels) if self.takes_labels else None
        if level is Level.PATIENT:
            to = self.target_patient_id
            return Change(Kind.DELETED, level, orthanc_id, to, patient_orthanc_id=patient, labels=labels)
        uids = (self.target_patient_id, self.target_uid)
        return Change(Kind.DELETED, level, orthanc_id, *uids, patient, self.target_study, labels)

    def labelled(self, labels: Iterable[str]) -> Change:
        """Return that the other study has these labels now."""
        study, patient = self.target_study, patient_orthanc_id(self.target_patient_id)
        uids = (self.target_patient_id, self.target_uid)
        return Change(Kind.LABELLED, Level.STUDY, study, *uids, patient, study, frozenset(labels))


class MovedSeries(Struct, kw_only=True):
    """A series that is moved, and how far that is. Identifiers but `uid` are Orthanc's.

    `is_ours`: what the target has is of this job. `proven` is a digest of the instances of which the copies were
    compared. `is_begun`: the originals are being deleted.
    """

    move: int
    series: str
    uid: str
    target_uid: str
    target: str
    instances: int = 0
    is_ours: bool = False
    proven: str = ""
    is_begun: bool = False


class ReplacementProgress(Struct, kw_only=True):
    """How far a replacement is: which of the `rounds` of moves, what is done with each series, and the next one.

    `after` is the Orthanc id of the last instance of that series that is done.
    """

    seed: str
    rounds: list[list[Move]]
    round: int = 0
    phase: str = "copy"
    series: list[MovedSeries] = []
    at: int = 0
    after: str = ""

    @property
    def moves(self) -> list[Move]:
        """The moves of this round."""
        return self.rounds[self.round]

    @property
    def made(self) -> list[dict[str, str]]:
        """What the studies of this round and of those before it have become, for `job.stage["made"]`."""
        begun = [move for moves in self.rounds[: self.round + 1] for move in moves]
        return [made_study(move.target_patient_id, move.target_uid, move.study_uid) for move in begun]

    def new_uid(self, move: Move, uid: str) -> str:
        """Return what the UID of an instance becomes."""
        return uid if move.keeps_uids else derived_uid(self.seed, uid)

    def target_of(self, moved: MovedSeries, sop_instance_uid: str) -> str:
        """Return the Orthanc id of the copy of an instance, whether there is one or not."""
        move = self.moves[moved.move]
        return orthanc_id_of(
            move.target_patient_id, move.target_uid, moved.target_uid, self.new_uid(move, sop_instance_uid)
        )

    def add(self, move: int, series: str, uid: str) -> None:
        """Add a series to those that are moved."""
        to = self.moves[move]
        # studies that are merged may have series with the same UID
        target_uid = uid if to.keeps_uids else derived_uid(self.seed, f"{to.study_uid} {uid}")
        target = orthanc_id_of(to.target_patient_id, to.target_uid, target_uid)
        self.series.append(MovedSeries(move=move, series=series, uid=uid, target_uid=target_uid, target=target))

    def go_to(self, phase: str, at: int = 0) -> None:
        """Go on with a phase, at a series."""
        self.phase, self.at, self.after = phase, at, ""


def progress_of(stage: Mapping[str, Any]) -> ReplacementProgress | None:
    """Return how far the replacement is of a job, None for one that has not begun to replace."""
    return convert(stage["replacing"], ReplacementProgress) if "replacing" in stage else None
