"""What an Orthanc has at a moment, by its plain REST API, as resources of `tests.archive.oracle_archive`."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.archive.oracle_archive import LEVELS, OF_LEVEL, Archive, Node, Scope, levels_of
from tests.archive.oracle_values import likens
from tests.staleness.connection import Connection

_MORE_TAGS: Mapping[str, tuple[str, ...]] = {
    "patients": ("PatientSex",),
    "studies": (),
    "series": (),
    "instances": ("Rows", "SOPClassUID", "KVP", "ImageComments"),
}
_TAGS = {level: (*OF_LEVEL[level], *_MORE_TAGS[level]) for level in LEVELS}
_PARENTS = {"studies": "ParentPatient", "series": "ParentStudy", "instances": "ParentSeries"}

Payload = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """The resources of an Orthanc by level, as it returned them, and the tags of the files by Orthanc id."""

    payloads: Mapping[str, list[Payload]]
    files: Mapping[str, Payload]

    def visible(self, scope: Scope | None) -> list[Node]:
        """The patients as a caller sees them; with None, all of them."""
        admitted = [study for study in self.payloads["studies"] if scope is None or _admits(scope, study)]
        of_patient: dict[str, list[Payload]] = defaultdict(list)
        for study in sorted(admitted, key=lambda study: str(study["ID"])):
            of_patient[study["ParentPatient"]].append(study)
        found: dict[str, Node] = {}
        patients = []
        for payload in self.payloads["patients"]:
            tags = payload["MainDicomTags"]
            update = _update(payload)
            if scope is not None:
                # what is shown to a confined caller is that of the visible studies
                studies = of_patient[payload["ID"]]
                if not studies:
                    continue
                tags = {**studies[0]["PatientMainDicomTags"], "PatientID": tags.get("PatientID")}
                update = max(map(_update, studies))
            patient = self._node("patients", payload, tags, None)
            patient.tags["LastUpdate"] = update
            found[patient.orthanc_id] = patient
            patients.append(patient)
        visible = {study["ID"] for study in admitted}
        for level in LEVELS[1:]:
            for payload in self.payloads[level]:
                parent = found.get(payload[_PARENTS[level]])
                if parent is None or (level == "studies" and payload["ID"] not in visible):
                    continue
                tags = self.files[payload["ID"]] if level == "instances" else payload["MainDicomTags"]
                found[payload["ID"]] = node = self._node(level, payload, tags, parent)
                if level == "instances":
                    node.tags |= {
                        "FileSize": payload["FileSize"],
                        "FileUuid": payload["FileUuid"],
                        "TransferSyntaxUID": self.files[payload["ID"]]["TransferSyntaxUID"],
                    }
                    position = node.tags["ImagePositionPatient"]
                    node.tags["ImagePositionPatient"] = position and position.split("\\")
                else:
                    node.tags["LastUpdate"] = _update(payload)
                parent.children.append(node)
        return patients

    def as_archive(self) -> Archive:
        """The instances, for requests about them."""
        return Archive([node.tags for node in levels_of(self.visible(None), "instances")])

    def ids(self, level: str) -> list[str]:
        """The Orthanc ids of a level."""
        return sorted(payload["ID"] for payload in self.payloads[level])

    def _node(self, level: str, payload: Payload, tags: Payload, parent: Node | None) -> Node:
        own = {tag: tags.get(tag) for tag in _TAGS[level]}
        above = parent.tags if parent else {}
        labels = frozenset(payload["Labels"])
        return Node(level, payload["ID"], {**above, **own}, parent, labels=labels)


class Photographer:
    """Takes snapshots. It reads each file once, as Orthanc gives another uuid to one that it replaces."""

    def __init__(self, orthanc: Connection) -> None:
        self._orthanc = orthanc
        self._files: dict[str, Payload] = {}

    def take(self) -> Snapshot:
        """Return what Orthanc has now."""
        payloads = {level: self._get(f"/{level}?expand") for level in LEVELS}
        instances = payloads["instances"]
        self._files = {
            uuid: self._files.get(uuid) or self._file(one["ID"]) for one in instances if (uuid := one["FileUuid"])
        }
        return Snapshot(payloads, {one["ID"]: self._files[one["FileUuid"]] for one in instances})

    def _file(self, name: str) -> Payload:
        tags: Payload = self._get(f"/instances/{name}/simplified-tags")
        syntax = self._orthanc.call("GET", f"/instances/{name}/metadata/TransferSyntax")[1].decode()
        return {**tags, "TransferSyntaxUID": syntax}

    def _get(self, path: str) -> Any:
        status, body = self._orthanc.call("GET", path)
        assert status == 200, (path, status, body)
        return json.loads(body)


def _update(payload: Payload) -> str:
    text = payload["LastUpdate"]
    return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}+00:00"


def _admits(scope: Scope, study: Payload) -> bool:
    patient_id = (study["PatientMainDicomTags"].get("PatientID") or "").rstrip()
    has_label = not set(study["Labels"]).isdisjoint(scope.labels)
    return has_label or any(likens(pattern, patient_id) for pattern in scope.patterns)
