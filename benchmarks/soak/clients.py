"""A client of the soak: it reads, uploads and deletes by turns, and knows what each answer should be."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
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
DELETE = """
mutation($id: ID!) { delete%s(orthancId: $id) { instancesCount deleted { level orthancId } remainingAncestor { id } } }
"""
MISSING = (NOT_FOUND,)


class Client:
    """One of the clients: nobody else changes what it owns, and everybody changes what is shared."""

    def __init__(self, number: int, traffic: Traffic, seed: int, shared: Sequence[Study]) -> None:
        self._number = number
        self.traffic = traffic
        self._key = f"soak-{seed}-{number:02d}"
        self._rng = random.Random(self._key)  # noqa: S311 - to be repeated, not to be secret
        self._shared = shared
        self._made = 0
        self._deleted: list[tuple[str, str]] = []
        self.owned = Owned()
        self._operations: dict[Callable[[], None], int] = {
            self.read_tree: 6,
            self.read_everything: 2,
            self.read_pages: 4,
            self.read_study: 8,
            self.read_lists: 6,
            self.download_file: 10,
            self.download_preview: 8,
            self.download_archive: 4,
            self.leave_download: 2,
            self.leave_upload: 2,
            self.upload: 10,
            self.upload_again: 4,
            self.delete: 8,
            self.change_shared: 6,
            self.read_shared: 4,
        }

    def step(self) -> None:
        """Do one thing."""
        [operation] = self._rng.choices(list(self._operations), list(self._operations.values()))
        operation()

    def read_tree(self) -> None:
        """All that it owns, from the patients down to the instances."""
        answer = self.traffic.graphql("tree", TREE, filter={"patientId": f"SOAK-{self._number:02d}-*"})
        if not answer.code:
            nodes = answer.data["patients"]["nodes"]
            self._compare("tree", {place: one for node in nodes for place, one in contents(node).items()})

    def read_everything(self) -> None:
        """Every patient, while others come and go."""
        answer = self.traffic.graphql("everything", EVERYTHING)
        if not answer.code:
            mine = {study.patient_id for study in self.owned.living()}
            found = {node["patientId"] for node in answer.data["patients"]["nodes"]}
            if not mine <= found:
                self.traffic.problem(f"everything: {mine - found} are missing")

    def read_pages(self) -> None:
        """Two pages of all instances, while they come and go."""
        after = None
        for _ in range(2):
            answer = self.traffic.graphql("page", PAGE, after=after)
            if answer.code or not answer.data["instances"]["pageInfo"]["hasNextPage"]:
                return
            after = answer.data["instances"]["pageInfo"]["endCursor"]

    def read_study(self) -> None:
        """A study that is there, or one that is not."""
        gone = [orthanc_id for level, orthanc_id in self._deleted if level == "STUDY"]
        study = self._some_study()
        if gone and (study is None or self._rng.random() < 0.2):
            one = self._rng.choice(gone)
            answer = self.traffic.graphql("study", STUDY, id=one)
            is_there = any(study.orthanc_id == one for study in self.owned.living())
            if not answer.code and (answer.data["study"] is not None) != is_there:
                self.traffic.problem(f"study: {one} is {'not ' if is_there else ''}there")
        elif study:
            self._check_study(study)

    def read_lists(self) -> None:
        """The lists of REST, on the way down to the instances of a series."""
        study = self._some_study()
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
        number = self._rng.choice(study.series())
        instances = self.traffic.rest("list", "instances/", series_id=study.series_ids[number])
        self._same("list of instances", instances, {study.ids[slot] for slot in study.of_series(number)})

    def download_file(self) -> None:
        """A file, with the pixels that were sent; or one that was deleted."""
        gone = [orthanc_id for level, orthanc_id in self._deleted if level == "INSTANCE"]
        study = self._some_study()
        if gone and (study is None or self._rng.random() < 0.2):
            one = self._rng.choice(gone)
            is_there = one in self.owned.contents().values()
            self._predicted("file", f"instances/{one}/file/", is_there=is_there)
        elif study:
            slot = self._rng.choice(sorted(study.stored))
            answer = self.traffic.rest("file", f"instances/{study.ids[slot]}/file/")
            [file] = study.files([slot])
            if not answer.code and not answer.content.endswith(file.pixels):
                self.traffic.problem(f"file: {study.ids[slot]} has other pixels")

    def download_preview(self) -> None:
        """A picture of an instance or a series."""
        study = self._some_study()
        if study is None:
            return
        series, number = self._rng.choice(sorted(study.stored))
        instance = study.ids[series, number]
        path = self._rng.choice(
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
        """A ZIP archive, with as many files as there should be."""
        study = self._some_study()
        if study is None:
            return
        number = self._rng.choice(study.series())
        of_patient = sum(len(one.stored) for one in self.owned.of_patient(study.patient_id))
        path, count = self._rng.choice(
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
        """Hang up in the middle of a file or an archive."""
        study = self._some_study()
        if study:
            slot = self._rng.choice(sorted(study.stored))
            path = self._rng.choice([f"instances/{study.ids[slot]}/file/", f"studies/{study.orthanc_id}/archive/"])
            self.traffic.break_off_download("download, left", path)

    def leave_upload(self) -> None:
        """Hang up in the middle of an upload, of which nothing is stored."""
        study = self._new_study()
        self.traffic.break_off_upload("upload, left", study, study.files(study.chunks[0]))

    def upload(self) -> None:
        """A new study, chunk by chunk, and each now and then twice."""
        if len(self.owned.living()) >= model.MOST_STUDIES:
            self.delete()
            return
        study = self._new_study()
        self.owned.studies.append(study)
        for chunk in study.chunks:
            for _ in range(self._rng.choice((1, 1, 1, 2))):
                self._upload_chunk("upload", study, chunk)
        self._check_study(study)

    def upload_again(self) -> None:
        """A chunk of an earlier study, of which all, some or nothing is there."""
        if self.owned.studies and len(self.owned.living()) <= model.MOST_STUDIES:
            study = self._rng.choice(self.owned.studies[-10:])
            self._upload_chunk("upload, again", study, self._rng.choice(study.chunks))
            self._check_study(study)

    def delete(self) -> None:
        """Something of any level that is there, or that was."""
        study = self._some_study()
        if study is None or (self._deleted and self._rng.random() < 0.1):
            self._delete_again()
            return
        series, number = self._rng.choice(sorted(study.stored))
        level = self._rng.choice(("INSTANCE", "INSTANCE", "INSTANCE", "SERIES", "SERIES", "STUDY", "PATIENT"))
        targets: dict[str, tuple[str, list[tuple[Study, list[Slot]]]]] = {
            "INSTANCE": (study.ids[series, number], [(study, [(series, number)])]),
            "SERIES": (study.series_ids[series], [(study, study.of_series(series))]),
            "STUDY": (study.orthanc_id, [(study, sorted(study.stored))]),
            "PATIENT": (
                model.patient_orthanc_id(study.patient_id),
                [(one, sorted(one.stored)) for one in self.owned.of_patient(study.patient_id)],
            ),
        }
        orthanc_id, gone = targets[level]
        answer = self._delete(level, orthanc_id)
        if answer.code:
            return
        instances = sum(len(slots) for _, slots in gone)
        self.traffic.changed("DELETION", instances)
        parents = [parent for one, slots in gone for parent in self.owned.forget(one, slots)]
        expected = {(level, orthanc_id), *(one for one in parents if _rank(one[0]) < _rank(level))}
        found = {(one["level"].upper(), one["orthancId"]) for one in answer.data["deleted"]}
        if found != expected or answer.data["instancesCount"] != instances:
            self.traffic.problem(f"delete: {found} are deleted, not {expected}; {answer.data['instancesCount']}")
        self._deleted += [*sorted(expected), *(("INSTANCE", one.ids[slot]) for one, slots in gone for slot in slots)]
        del self._deleted[:-50]

    def change_shared(self) -> None:
        """Upload or delete what others upload and delete at the same time."""
        study = self._rng.choice(self._shared)
        if self._rng.random() < 0.6:
            answer = self._send_chunk("upload, shared", study, self._rng.choice(study.chunks))
            if not answer.code:
                self.traffic.changed("IMPORT", None)
            return
        answer = self.traffic.graphql("tree, shared", TREE, filter={"patientId": study.patient_id})
        nodes = [] if answer.code else answer.data["patients"]["nodes"]
        if nodes:
            targets = list(_targets(nodes[0]))
            level, orthanc_id = self._rng.choice(targets)
            if not self._delete(level, orthanc_id, "delete, shared", MISSING).code:
                self.traffic.changed("DELETION", None)

    def read_shared(self) -> None:
        """Files, pictures and archives that others may delete meanwhile."""
        study = self._rng.choice(self._shared)
        answer = self.traffic.graphql("tree, shared", TREE, filter={"patientId": study.patient_id})
        nodes = [] if answer.code else answer.data["patients"]["nodes"]
        if nodes:
            level, orthanc_id = self._rng.choice(list(_targets(nodes[0])))
            kinds = ("file", "preview", "thumbnail") if level == "INSTANCE" else ("archive",)
            path = f"{_PATHS[level]}/{orthanc_id}/{self._rng.choice(kinds)}/"
            self.traffic.rest("download, shared", path, MISSING)

    def _delete_again(self) -> None:
        if self._deleted:
            level, orthanc_id = self._rng.choice(self._deleted)
            if not self._is_there(orthanc_id) and not self._delete(level, orthanc_id, "delete, again", MISSING).code:
                self.traffic.problem(f"delete, again: {level} {orthanc_id} was deleted twice")

    def _is_there(self, orthanc_id: str) -> bool:
        living = self.owned.living()
        return (
            orthanc_id in self.owned.contents().values()
            or any(orthanc_id == one.orthanc_id for one in living)
            or any(orthanc_id == one.series_ids[number] for one in living for number in one.series())
            or any(orthanc_id == model.patient_orthanc_id(one.patient_id) for one in living)
        )

    def _delete(self, level: str, orthanc_id: str, kind: str = "delete", allowed: tuple[str, ...] = ()) -> Answer:
        if self._rng.random() < 0.5:
            answer = self.traffic.graphql(kind, DELETE % level.capitalize(), allowed, id=orthanc_id)
            if not answer.code:
                [answer.data] = answer.data.values()
            return answer
        answer = self.traffic.rest(kind, f"{_PATHS[level]}/{orthanc_id}/", allowed, "DELETE")
        if not answer.code:
            body = answer.data = json.loads(answer.content)
            answer.data = {**body, "deleted": [body["deleted"], *body["removedAncestors"]]}
        return answer

    def _upload_chunk(self, kind: str, study: Study, chunk: Sequence[Slot]) -> None:
        answer = self._send_chunk(kind, study, chunk)
        if answer.code:
            return
        known = len(study.stored & set(chunk))
        if (answer.data["uploaded"], answer.data["alreadyStored"], answer.data["failed"]) != (
            len(chunk) - known,
            known,
            [],
        ):
            self.traffic.problem(f"{kind}: {answer.data} of {len(chunk)} files, of which {known} were there")
        if answer.data["study"]:
            study.orthanc_id = answer.data["study"]["orthancId"]
            study.stored.update(chunk)
        self.traffic.changed("IMPORT", None)

    def _send_chunk(self, kind: str, study: Study, chunk: Sequence[Slot]) -> Answer:
        send = self._rng.choice((self.traffic.upload_by_graphql, self.traffic.upload_by_rest))
        return send(kind, study, study.files(chunk))

    def _check_study(self, study: Study) -> None:
        """Compare one study, and learn the ids of what is new in it."""
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

    def _some_study(self) -> Study | None:
        living = self.owned.living()
        return self._rng.choice(living) if living else None

    def _new_study(self) -> Study:
        self._made += 1
        patient_id = self._rng.choice(model.patients_of(self._number))
        return model.new_study(f"{self._key}-{self._made}", patient_id, self._rng)


_PATHS = {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series", "INSTANCE": "instances"}


def _rank(level: str) -> int:
    return list(_PATHS).index(level)


def of_study(study: Any) -> dict[tuple[str, Slot], str]:
    """What a study holds, as the model has it."""
    return {
        (study["orthancId"], (series["seriesNumber"], one["instanceNumber"])): one["orthancId"]
        for series in study["series"]
        for one in series["instances"]
    }


def contents(patient: Any) -> dict[tuple[str, Slot], str]:
    """What a patient holds, as the model has it."""
    return {place: one for study in patient["studies"] for place, one in of_study(study).items()}


def _targets(patient: Any) -> list[tuple[str, str]]:
    """What could be deleted of a patient, by level."""
    found = [("PATIENT", patient["orthancId"])]
    for study in patient["studies"]:
        found.append(("STUDY", study["orthancId"]))
        for series in study["series"]:
            found.append(("SERIES", series["orthancId"]))
            found += [("INSTANCE", one["orthancId"]) for one in series["instances"]]
    return found
