"""A small archive whose resources tests may delete, and which can be refilled."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from strawberry.relay import to_base64

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ROOT, ask, instance, load

PATIENTS, STUDIES, SERIES, INSTANCES = 3, 2, 2, 2
LABEL = "ward-7"
LABELLED = ((1, 1), (2, 1))  # patient and study
FREE_LABEL = "teaching"
"""A label that no scope names. The first patient has it, their first study, its first series and its first instance."""


@dataclass(frozen=True, slots=True)
class Target:
    """A patient, one of their studies, one of its series, and one of its instances, by their DICOM identifiers."""

    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str

    @classmethod
    def at(cls, patient: int, study: int = 1, series: int = 1, number: int = 1) -> Self:
        """Return the target with these numbers, identified as `tests.corpus.instance` does."""
        uid = f"{ROOT}.{patient}.{study}"
        return cls(f"P{patient:03d}", uid, f"{uid}.{series}", f"{uid}.{series}.{number}")

    @property
    def ids(self) -> dict[str, str]:
        """The Orthanc ids by the path of their level."""
        names = [self.patient_id, self.study_uid, self.series_uid, self.sop_uid]
        levels = ("patients", "studies", "series", "instances")
        return {level: _orthanc_id(*names[: depth + 1]) for depth, level in enumerate(levels)}

    @property
    def uids(self) -> dict[str, str]:
        """The UIDs by the path of their level."""
        return {"studies": self.study_uid, "series": self.series_uid, "instances": self.sop_uid}

    @property
    def variables(self) -> dict[str, Any]:
        """The variables of the queries and routes in `tests.access.cases`."""
        ids = self.ids
        return {
            "patient": ids["patients"],
            "study": ids["studies"],
            "series": ids["series"],
            "instance": ids["instances"],
            "patientId": self.patient_id,
            "studyUID": self.study_uid,
            "seriesUID": self.series_uid,
            "sopUID": self.sop_uid,
            "node": to_base64("Study", ids["studies"]),
            "nodes": [to_base64("Patient", ids["patients"]), to_base64("Series", ids["series"])],
        }


def _orthanc_id(*identifiers: str) -> str:
    """Return the Orthanc id: the SHA-1 digest of the identifiers from the PatientID on."""
    digest = hashlib.sha1("|".join(identifiers).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


UNKNOWN_TARGET = Target("NOBODY", "1.2.3.4.999", "1.2.3.4.999.1", "1.2.3.4.999.1.1")
"""Resources that are not in the archive."""


class SmallArchive:
    """The resources in an Orthanc, and a method to restore them."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self.orthanc = orthanc
        self.has_labels = tuple(map(int, orthanc.version.split(".")[:2])) >= (1, 12)
        self._files = {
            Target.at(patient, study, series, number).ids["instances"]: instance(patient, study, series, number)
            for patient in range(1, PATIENTS + 1)
            for study in range(1, STUDIES + 1)
            for series in range(1, SERIES + 1)
            for number in range(1, INSTANCES + 1)
        }
        self.patients = {Target.at(patient).ids["patients"] for patient in range(1, PATIENTS + 1)}
        self.refill()

    def ask(self, path: str, method: str = "GET") -> Any:
        """Return the response of Orthanc, without the gateway."""
        return json.loads(ask(self.orthanc, path, method) or b"null")

    def refill(self) -> None:
        """Restore the archive: store the missing files, and delete all others."""
        for patient in set(self.ask("/patients")) - self.patients:
            self.ask(f"/patients/{patient}", "DELETE")
        missing = self._files.keys() - set(self.ask("/instances"))
        load(self.orthanc, [self._files[name] for name in sorted(missing)])
        if self.has_labels:
            for path, labels in self.labels().items():
                for label in labels:
                    self.ask(f"{path}/labels/{label}", "DELETE")
            for study in LABELLED:
                self.ask(f"/studies/{Target.at(*study).ids['studies']}/labels/{LABEL}", "PUT")
            for level, orthanc_id in Target.at(1).ids.items():
                self.ask(f"/{level}/{orthanc_id}/labels/{FREE_LABEL}", "PUT")

    def state(self) -> tuple[Any, ...]:
        """Return values that differ after anything was stored, deleted or changed."""
        return self.ask("/statistics"), self.ask("/changes?last"), self.labels()

    def labels(self) -> dict[str, list[str]]:
        """Return the labels of all resources that have some, by their path in Orthanc."""
        if not self.has_labels:
            return {}
        found = {}
        names = self.ask("/tools/labels")
        for path, level in (
            ("patients", "Patient"),
            ("studies", "Study"),
            ("series", "Series"),
            ("instances", "Instance"),
        ):
            body = {"Level": level, "Query": {}, "Labels": names, "LabelsConstraint": "Any", "Expand": True}
            for one in json.loads(ask(self.orthanc, "/tools/find", "POST", json.dumps(body).encode())) if names else ():
                found[f"/{path}/{one['ID']}"] = one["Labels"]
        return found

    def disk_size(self, level: str, *orthanc_ids: str) -> int:
        """Return the size in bytes of the files of these resources."""
        return sum(int(self.ask(f"/{level}/{one}/statistics")["DiskSize"]) for one in orthanc_ids)
