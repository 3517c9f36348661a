"""The reads of a client of the soak, and their expected answers."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Sequence
from typing import Any

from benchmarks.soak import model
from benchmarks.soak.model import Owned, Slot, Study
from benchmarks.soak.traffic import NOT_FOUND, Answer, Traffic

TREE = """
query($filter: PatientFilter) { patients(filter: $filter, first: 100) { totalCount nodes {
  orthancId patientId studiesCount instancesCount
  studies { orthancId seriesCount series { orthancId seriesNumber instancesCount
    instances { orthancId instanceNumber rows } } }
} } }
"""
STUDY = """
query($id: ID!) { study(orthancId: $id) { orthancId instancesCount patient { patientId }
  series { orthancId seriesNumber instances { orthancId instanceNumber } } } }
"""
EVERYTHING = """
{ patients(first: 100) { totalCount nodes { patientId studies { description series { modality instancesCount } } } } }
"""
PAGE = """
query($after: String) { instances(first: 20, after: $after, orderBy: [{field: SOP_INSTANCE_UID}]) {
  totalCount nodes { orthancId rows series { modality study { studyDate patient { patientId } } } }
  pageInfo { hasNextPage endCursor }
} }
"""
MISSING = (NOT_FOUND,)
PATHS = {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series", "INSTANCE": "instances"}


class Reading:
    """Reads of the client's own patients, which no other changes, and of the shared ones."""

    def __init__(self, number: int, traffic: Traffic, seed: int, shared: Sequence[Study]) -> None:
        self.number = number
        self.traffic = traffic
        self.key = f"soak-{seed}-{number:02d}"
        self.rng = random.Random(self.key)  # noqa: S311 - repeatable, not secret
        self.shared = shared
        self.deleted: list[tuple[str, str]] = []
        self.owned = Owned()

    def read_tree(self) -> None:
        """Read all own patients down to the instances."""
        answer = self.traffic.graphql("tree", TREE, filter={"patientId": f"SOAK-{self.number:02d}-*"})
        if not answer.code:
            nodes = answer.data["patients"]["nodes"]
            self._compare("tree", {place: one for node in nodes for place, one in contents(node).items()})

    def read_everything(self) -> None:
        """Read every patient, while others are added and deleted."""
        answer = self.traffic.graphql("everything", EVERYTHING)
        if not answer.code:
            mine = {study.patient_id for study in self.owned.living()}
            found = {node["patientId"] for node in answer.data["patients"]["nodes"]}
            if not mine <= found:
                self.traffic.problem(f"everything: {mine - found} are missing")

    def read_pages(self) -> None:
        """Read two pages of all instances, while some are added and deleted."""
        after = None
        for _ in range(2):
            answer = self.traffic.graphql("page", PAGE, after=after)
            if answer.code or not answer.data["instances"]["pageInfo"]["hasNextPage"]:
                return
            after = answer.data["instances"]["pageInfo"]["endCursor"]

    def read_study(self) -> None:
        """Read a study that exists, or one that does not."""
        gone = [orthanc_id for level, orthanc_id in self.deleted if level == "STUDY"]
        study = self.some_study()
        if gone and (study is None or self.rng.random() < 0.2):
            one = self.rng.choice(gone)
            answer = self.traffic.graphql("study", STUDY, id=one)
            is_there = any(study.orthanc_id == one for study in self.owned.living())
            if not answer.code and (answer.data["study"] is not None) != is_there:
                self.traffic.problem(f"study: {one} is {'not ' if is_there else ''}there")
        elif study:
            self.check_study(study)

    def read_lists(self) -> None:
        """Read the lists of REST, down to the instances of a series."""
        study = self.some_study()
        if study is None:
            return
        patients = self.traffic.rest("list", "patients/")
        if not patients.code and study.patient_id not in {one["patientId"] for one in patients.data}:
            self.traffic.problem(f"list: {study.patient_id} is missing")
        studies = self.traffic.rest("list", "studies/", patient_id=study.patient_id)
        expected = {one.orthanc_id for one in self.owned.of_patient(study.patient_id)}
        self._same("list of studies", studies, expected)
        series = self.traffic.rest("list", "series/", study_id=study.orthanc_id)
        self._same("list of series", series, {study.series_ids[number] for number in study.series()})
        number = self.rng.choice(study.series())
        instances = self.traffic.rest("list", "instances/", series_id=study.series_ids[number])
        self._same("list of instances", instances, {study.ids[slot] for slot in study.of_series(number)})

    def read_shared(self) -> None:
        """Download files, images and ZIP files that others may delete meanwhile."""
        study = self.rng.choice(self.shared)
        answer = self.traffic.graphql("tree, shared", TREE, filter={"patientId": study.patient_id})
        nodes = [] if answer.code else answer.data["patients"]["nodes"]
        if nodes:
            level, orthanc_id = self.rng.choice(everything(nodes[0]))
            kinds = ("file", "preview", "thumbnail") if level == "INSTANCE" else ("archive",)
            path = f"{PATHS[level]}/{orthanc_id}/{self.rng.choice(kinds)}/"
            self.traffic.rest("download, shared", path, MISSING)

    def download_file(self) -> None:
        """Download a file with unchanged pixels, or one that was deleted."""
        gone = [orthanc_id for level, orthanc_id in self.deleted if level == "INSTANCE"]
        study = self.some_study()
        if gone and (study is None or self.rng.random() < 0.2):
            one = self.rng.choice(gone)
            is_there = one in self.owned.contents().values()
            self._predicted("file", f"instances/{one}/file/", is_there=is_there)
        elif study:
            slot = self.rng.choice(sorted(study.stored))
            answer = self.traffic.rest("file", f"instances/{study.ids[slot]}/file/")
            [file] = study.files([slot])
            if not answer.code and not answer.content.endswith(file.pixels):
                self.traffic.problem(f"file: {study.ids[slot]} has other pixels")

    def download_preview(self) -> None:
        """Download an image of an instance or a series."""
        study = self.some_study()
        if study is None:
            return
        series, number = self.rng.choice(sorted(study.stored))
        instance = study.ids[series, number]
        path = self.rng.choice(
            [
                f"instances/{instance}/preview/",
                f"instances/{instance}/thumbnail/",
                f"series/{study.series_ids[series]}/thumbnail/",
            ]
        )
        answer = self.traffic.rest("picture", path)
        if not answer.code and not answer.content.startswith(b"\x89PNG"):
            self.traffic.problem(f"picture: {path} is none")

    def download_archive(self) -> None:
        """Download a ZIP file with the expected number of files."""
        study = self.some_study()
        if study is None:
            return
        number = self.rng.choice(study.series())
        of_patient = sum(len(one.stored) for one in self.owned.of_patient(study.patient_id))
        path, count = self.rng.choice(
            [
                (f"patients/{model.patient_orthanc_id(study.patient_id)}", of_patient),
                (f"studies/{study.orthanc_id}", len(study.stored)),
                (f"series/{study.series_ids[number]}", len(study.of_series(number))),
            ]
        )
        answer = self.traffic.rest("archive", f"{path}/archive/")
        if not answer.code:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                if archive.testzip() or len(archive.namelist()) != count:
                    self.traffic.problem(f"archive: {path} has {len(archive.namelist())} files, not {count}")

    def leave_download(self) -> None:
        """Disconnect during the download of a file or a ZIP file."""
        study = self.some_study()
        if study:
            slot = self.rng.choice(sorted(study.stored))
            path = self.rng.choice([f"instances/{study.ids[slot]}/file/", f"studies/{study.orthanc_id}/archive/"])
            self.traffic.break_off_download("download, left", path)

    def check_study(self, study: Study) -> None:
        """Compare one study, and note the ids of its new resources."""
        answer = self.traffic.graphql("study", STUDY, id=study.orthanc_id)
        if answer.code or not study.orthanc_id:
            return
        found = answer.data["study"]
        if not found:
            self.traffic.problem(f"study: {study.orthanc_id} is missing")
            return
        for series in found["series"]:
            study.series_ids.setdefault(series["seriesNumber"], series["orthancId"])
            for one in series["instances"]:
                study.ids.setdefault((series["seriesNumber"], one["instanceNumber"]), one["orthancId"])
        expected = {(study.orthanc_id, slot): study.ids.get(slot, "unknown") for slot in study.stored}
        for difference in model.differences(expected, of_study(found)):
            self.traffic.problem(f"study: {difference}")

    def _compare(self, kind: str, found: model.Contents) -> None:
        for difference in model.differences(self.owned.contents(), found):
            self.traffic.problem(f"{kind}: {difference}")

    def _same(self, kind: str, answer: Answer, expected: set[str]) -> None:
        if not answer.code:
            found = [one["orthancId"] for one in answer.data]
            if set(found) != expected or len(found) != len(expected):
                self.traffic.problem(f"{kind}: {sorted(found)}, not {sorted(expected)}")

    def _predicted(self, kind: str, path: str, *, is_there: bool) -> None:
        answer = self.traffic.rest(kind, path, () if is_there else MISSING)
        if not answer.code and not is_there:
            self.traffic.problem(f"{kind}: {path} was deleted")

    def some_study(self) -> Study | None:
        """Return an own study that exists, None without one."""
        living = self.owned.living()
        return self.rng.choice(living) if living else None


def of_study(study: Any) -> dict[tuple[str, Slot], str]:
    """Return the contents of a study, in the form of the model."""
    return {
        (study["orthancId"], (series["seriesNumber"], one["instanceNumber"])): one["orthancId"]
        for series in study["series"]
        for one in series["instances"]
    }


def contents(patient: Any) -> dict[tuple[str, Slot], str]:
    """Return the contents of a patient, in the form of the model."""
    return {place: one for study in patient["studies"] for place, one in of_study(study).items()}


def everything(patient: Any) -> list[tuple[str, str]]:
    """Return a patient and everything below it, by level and Orthanc id."""
    found = [("PATIENT", patient["orthancId"])]
    for study in patient["studies"]:
        found.append(("STUDY", study["orthancId"]))
        for series in study["series"]:
            found.append(("SERIES", series["orthancId"]))
            found += [("INSTANCE", one["orthancId"]) for one in series["instances"]]
    return found
