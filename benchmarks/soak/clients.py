"""A client of the soak: it reads, uploads and deletes, and knows every expected answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from benchmarks.soak import model
from benchmarks.soak.model import Slot, Study
from benchmarks.soak.reading import MISSING, PATHS, TREE, Reading, everything
from benchmarks.soak.traffic import Answer, Traffic

DELETE = """
mutation($id: ID!) { delete%s(orthancId: $id) { instancesCount deleted { level orthancId } remainingAncestor { id } } }
"""


class Client(Reading):
    """A client: only it changes its own patients; all clients change the shared ones."""

    def __init__(self, number: int, traffic: Traffic, seed: int, shared: Sequence[Study]) -> None:
        super().__init__(number, traffic, seed, shared)
        self._made = 0
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
        """Do one random thing."""
        [operation] = self.rng.choices(list(self._operations), list(self._operations.values()))
        operation()

    def upload(self) -> None:
        """Upload a new study in chunks, some of them twice."""
        if len(self.owned.living()) >= model.MOST_STUDIES:
            self.delete()
            return
        study = self._new_study()
        self.owned.studies.append(study)
        for chunk in study.chunks:
            for _ in range(self.rng.choice((1, 1, 1, 2))):
                self._upload_chunk("upload", study, chunk)
        self.check_study(study)

    def upload_again(self) -> None:
        """Upload a chunk of an earlier study that is stored completely, partly or not at all."""
        if self.owned.studies and len(self.owned.living()) <= model.MOST_STUDIES:
            study = self.rng.choice(self.owned.studies[-10:])
            self._upload_chunk("upload, again", study, self.rng.choice(study.chunks))
            self.check_study(study)

    def leave_upload(self) -> None:
        """Disconnect during an upload, which stores nothing."""
        study = self._new_study()
        self.traffic.break_off_upload("upload, left", study, study.files(study.chunks[0]))

    def delete(self) -> None:
        """Delete a resource of any level that exists or existed."""
        study = self.some_study()
        if study is None or (self.deleted and self.rng.random() < 0.1):
            self._delete_again()
            return
        series, number = self.rng.choice(sorted(study.stored))
        level = self.rng.choice(("INSTANCE", "INSTANCE", "INSTANCE", "SERIES", "SERIES", "STUDY", "PATIENT"))
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
        self.deleted += [*sorted(expected), *(("INSTANCE", one.ids[slot]) for one, slots in gone for slot in slots)]
        del self.deleted[:-50]

    def change_shared(self) -> None:
        """Upload or delete a study that others upload and delete at the same time."""
        study = self.rng.choice(self.shared)
        if self.rng.random() < 0.6:
            answer = self._send_chunk("upload, shared", study, self.rng.choice(study.chunks))
            if not answer.code:
                self.traffic.changed("IMPORT", None)
            return
        answer = self.traffic.graphql("tree, shared", TREE, filter={"patientId": study.patient_id})
        nodes = [] if answer.code else answer.data["patients"]["nodes"]
        if nodes:
            level, orthanc_id = self.rng.choice(everything(nodes[0]))
            if not self._delete(level, orthanc_id, "delete, shared", MISSING).code:
                self.traffic.changed("DELETION", None)

    def _new_study(self) -> Study:
        self._made += 1
        patient_id = self.rng.choice(model.patients_of(self.number))
        return model.new_study(f"{self.key}-{self._made}", patient_id, self.rng)

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
        send = self.rng.choice((self.traffic.upload_by_graphql, self.traffic.upload_by_rest))
        return send(kind, study, study.files(chunk))

    def _delete(self, level: str, orthanc_id: str, kind: str = "delete", allowed: tuple[str, ...] = ()) -> Answer:
        if self.rng.random() < 0.5:
            answer = self.traffic.graphql(kind, DELETE % level.capitalize(), allowed, id=orthanc_id)
            if not answer.code:
                [answer.data] = answer.data.values()
            return answer
        answer = self.traffic.rest(kind, f"{PATHS[level]}/{orthanc_id}/", allowed, "DELETE")
        if not answer.code:
            body = answer.data = json.loads(answer.content)
            answer.data = {**body, "deleted": [body["deleted"], *body["removedAncestors"]]}
        return answer

    def _delete_again(self) -> None:
        if self.deleted:
            level, orthanc_id = self.rng.choice(self.deleted)
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


def _rank(level: str) -> int:
    return list(PATHS).index(level)
