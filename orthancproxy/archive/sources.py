"""DICOM modalities of Orthanc's configuration as sources: Orthanc searches them for studies, and retrieves these."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from orthancproxy.archive.charsets import repaired
from orthancproxy.archive.levels import patient_orthanc_id, study_orthanc_id
from orthancproxy.archive.records import Patient, Study
from orthancproxy.errors import ArchiveError, ArchiveTimeout, InvalidRequest, LimitExceeded, NotFound, SourceFailed
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.responses import ANSWERS_DECODER, BEGUN_DECODER, ID_LIST_DECODER

# for which Orthanc waits for each message of the modality
MESSAGE_SECONDS = 10
# C-FIND has neither an order nor a limit: the first of more would be any
MAX_FOUND = 500
# PS3.4 section C.6.2.1.3, and what the patient's birthday is good for: telling people of one name apart
KEYWORDS = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)


class RetrieveMethod(Enum):
    """How Orthanc retrieves: the source connects to Orthanc to send, or sends over Orthanc's own connection."""

    C_MOVE = "C-MOVE"
    C_GET = "C-GET"


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study on another server, as that describes it, with its patient. Their Orthanc ids are those of a copy here."""

    study: Study
    patient: Patient

    @property
    def uid(self) -> str:
        """The StudyInstanceUID (0020,000D) by which it is retrieved."""
        return self.study.tags["StudyInstanceUID"]

    @property
    def patient_id(self) -> str:
        """Its PatientID, empty if it has none."""
        return self.study.tags.get("PatientID", "")


def find_studies(client: OrthancClient, name: str, match: Mapping[str, str]) -> list[FoundStudy]:
    """Return the studies of a modality that match, newest first: DICOM matching by the keyword (PS3.4 section C.2.2.2).

    Raises NotFound for an unknown modality, SourceFailed if it does not answer or rejects the query, LimitExceeded if
    it finds more than MAX_FOUND, and ArchiveError.
    """
    with _query(client, name, match) as search:
        return _answers(client, search)


def begin_retrieving(
    client: OrthancClient, name: str, uids: Sequence[str], method: RetrieveMethod | None, token: str
) -> str:
    """Begin to retrieve studies; return the id of Orthanc's job, which can be found by the token, too.

    Without a method, Orthanc uses that of its configuration. Raises NotFound if the modality or one of the studies is
    unknown, and like `find_studies`.
    """
    body: dict[str, Any] = {"Asynchronous": True, "Permissive": False, "UserData": token}
    if method is not None:
        check_method(client, method)
        body["RetrieveMethod"] = method.value
    # not `/modalities/{name}/move`: before 1.12 it answers when everything has arrived
    with _query(client, name, {"StudyInstanceUID": "\\".join(uids)}) as search:
        found = {one.uid for one in _answers(client, search)}
        if found - set(uids):
            # it ignores the key, and Orthanc would retrieve whatever it has found
            raise SourceFailed("The server answered with other studies than those that were asked for.")
        if found != set(uids):
            raise NotFound("The server does not have such a study.")
        return str(client.call(endpoints.RETRIEVE_ANSWERS, body=body, decoder=BEGUN_DECODER, search=search).id)


def check_method(client: OrthancClient, method: RetrieveMethod | None) -> None:
    """Raise InvalidRequest if Orthanc cannot retrieve in this way."""
    if method is RetrieveMethod.C_GET and not client.capabilities().has_c_get:
        raise InvalidRequest("This Orthanc cannot retrieve by C-GET: leave the method out.")


@contextmanager
def _query(client: OrthancClient, name: str, match: Mapping[str, str]) -> Iterator[str]:
    """Search a modality; yield the id under which Orthanc has the answers meanwhile."""
    query = {**dict.fromkeys(KEYWORDS, ""), **match}
    if not all(value.isascii() for value in match.values()):
        # otherwise Orthanc drops what its DefaultEncoding lacks: `김*` becomes `*`, and finds everything
        query["SpecificCharacterSet"] = "ISO_IR 192"
    body = {"Level": "Study", "Query": query, "Timeout": MESSAGE_SECONDS}
    try:
        made = client.call(endpoints.MODALITY_QUERY, body=body, decoder=BEGUN_DECODER, name=name)
    except ArchiveTimeout as error:
        raise SourceFailed("The server did not answer in time.") from error
    except NotFound as error:
        raise NotFound("There is no such server to retrieve from.") from error
    try:
        yield made.id
    finally:
        # Orthanc forgets them by itself
        with suppress(NotFound, ArchiveError), closing(client.open(endpoints.DELETE_QUERY, search=made.id)) as answer:
            for _ in answer:
                pass


def _answers(client: OrthancClient, search: str) -> list[FoundStudy]:
    count = len(client.call(endpoints.QUERY_ANSWERS, decoder=ID_LIST_DECODER, search=search))
    if count > MAX_FOUND:
        raise LimitExceeded(f"The server has {count} such studies; at most {MAX_FOUND} are listed: narrow the search.")
    answers = client.call(endpoints.QUERY_ANSWERS, query="expand&simplify", decoder=ANSWERS_DECODER, search=search)
    found = [_found(answer) for answer in answers if isinstance(answer.get("StudyInstanceUID"), str)]
    found.sort(key=lambda one: (one.study.tags.get("StudyDate", ""), one.study.tags.get("StudyTime", "")), reverse=True)
    return found


def _found(answer: Mapping[str, Any]) -> FoundStudy:
    # a sequence is a list, a value that Orthanc cannot decode is null
    values = {keyword: value for keyword in KEYWORDS if isinstance(value := answer.get(keyword), str)}
    tags = {keyword: repaired(keyword, value) for keyword, value in values.items()}
    patient_id = tags.get("PatientID", "").strip(" \0")
    uid = tags["StudyInstanceUID"] = tags["StudyInstanceUID"].strip(" \0")
    tags["PatientID"] = patient_id
    return FoundStudy(
        Study(study_orthanc_id(patient_id, uid), patient_orthanc_id(patient_id), tags, {}),
        Patient(patient_orthanc_id(patient_id), None, tags, {}),
    )
