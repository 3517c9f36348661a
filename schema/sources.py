"""Other servers as sources: what is found there, and the inputs for searching and retrieving."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

import strawberry

from orthancproxy.archive import sources as archive
from orthancproxy.archive.sources import RetrieveMethod
from orthancproxy.jobs.models import Job as Row
from orthancproxy.resolvers import sources
from orthancproxy.resolvers.sources import MAX_STUDIES
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.inputs import DateRange
from orthancproxy.schema.person_names import PersonName
from orthancproxy.schema.shown_studies import ShownStudies
from orthancproxy.schema.types import Study

METHODS = {
    RetrieveMethod.C_MOVE: "The server connects to Orthanc, and sends: it must know Orthanc's AET and address.",
    RetrieveMethod.C_GET: "The server sends over Orthanc's own connection. Orthanc 1.12.6 and newer can do that.",
}
describe_enum(strawberry.enum(RetrieveMethod, name="RetrieveMethod", description="How studies are retrieved."), METHODS)

SourceName = Annotated[str, strawberry.argument(description="The name of one of the `sources`.")]
WILDCARDS = "`*` and `?` are wildcards. Whether case matters is up to the server."


@strawberry.input(description="Every given field must match, as the server understands it. At least one is needed.")
class SourceFilter:
    patient_id: str | None = strawberry.field(default=None, description=f"PatientID. {WILDCARDS}")
    patient_name: str | None = strawberry.field(
        default=None, description=f"PatientName as stored, such as `Hong*`. {WILDCARDS}"
    )
    accession_number: str | None = strawberry.field(default=None, description=f"AccessionNumber. {WILDCARDS}")
    description: str | None = strawberry.field(default=None, description=f"StudyDescription. {WILDCARDS}")
    study_date: DateRange | None = strawberry.field(default=None, description="StudyDate.")
    modality: str | None = strawberry.field(
        default=None, description="At least one series has this one. Not all servers can search for it."
    )
    study_instance_uids: list[strawberry.ID] | None = strawberry.field(
        name="studyInstanceUIDs", default=None, description=f"Any of these, {MAX_STUDIES} at most."
    )

    def criteria(self) -> dict[str, str]:
        """Return what must match, by keyword, but for the UIDs. Raises InvalidRequest."""
        return {
            "PatientID": self.patient_id or "",
            "PatientName": self.patient_name or "",
            "AccessionNumber": self.accession_number or "",
            "StudyDescription": self.description or "",
            "StudyDate": self.study_date.matching() if self.study_date else "",
            "ModalitiesInStudy": self.modality or "",
        }


@dataclass(frozen=True, slots=True)
class ShownStudy:
    """One of the studies that are shown together."""

    found: archive.FoundStudy
    copies: ShownStudies


Parent = strawberry.Parent[ShownStudy]


@strawberry.type(description="A study on another server, as that describes it. What it does not tell is null.")
class FoundStudy:
    @strawberry.field(name="studyInstanceUID", description="StudyInstanceUID (0020,000D).")
    def study_instance_uid(root: Parent) -> strawberry.ID:
        return strawberry.ID(root.found.uid)

    @strawberry.field(description="PatientID (0010,0020).")
    def patient_id(root: Parent) -> str | None:
        return root.found.patient.patient_id

    @strawberry.field(
        description="PatientName (0010,0010) as stored there. Orthanc drops letters that are not in its own "
        "`DefaultEncoding`."
    )
    def patient_name(root: Parent) -> str | None:
        return root.found.patient.patient_name

    @strawberry.field(description="PatientName, parsed into components.")
    def name(root: Parent) -> PersonName | None:
        return cast("PersonName | None", root.found.patient.name)

    @strawberry.field(description="PatientBirthDate (0010,0030).")
    def birth_date(root: Parent) -> datetime.date | None:
        return root.found.patient.birth_date

    @strawberry.field(description="PatientSex (0010,0040): M, F or O.")
    def sex(root: Parent) -> str | None:
        return root.found.patient.sex

    @strawberry.field(description="StudyDescription (0008,1030).")
    def description(root: Parent) -> str | None:
        return root.found.study.description

    @strawberry.field(description="StudyDate (0008,0020).")
    def study_date(root: Parent) -> datetime.date | None:
        return root.found.study.study_date

    @strawberry.field(description="StudyTime (0008,0030).")
    def study_time(root: Parent) -> datetime.time | None:
        return root.found.study.study_time

    @strawberry.field(description="AccessionNumber (0008,0050).")
    def accession_number(root: Parent) -> str | None:
        return root.found.study.accession_number

    @strawberry.field(description="ModalitiesInStudy (0008,0061).")
    def modalities(root: Parent) -> list[str]:
        return root.found.study.modalities

    @strawberry.field(description="Number of series there.")
    def series_count(root: Parent) -> int | None:
        return root.found.study.series_count or None

    @strawberry.field(description="Number of instances there.")
    def instances_count(root: Parent) -> int | None:
        return root.found.study.instances_count or None

    @strawberry.field(
        description="The same study of the same patient here, of which a part may have arrived; null if it is not here."
    )
    def study(root: Parent, info: Info) -> Study | None:
        return cast("Study | None", root.copies.study(info, root.found.study.orthanc_id))


@strawberry.input(description="Which studies to retrieve, and from where.")
class RetrieveInput:
    source: str = strawberry.field(description="The name of one of the `sources`.")
    study_instance_uids: list[strawberry.ID] = strawberry.field(
        name="studyInstanceUIDs", description=f"The StudyInstanceUIDs, {MAX_STUDIES} at most."
    )
    method: RetrieveMethod | None = strawberry.field(
        default=None, description="How; by default as Orthanc's configuration says: by C-MOVE, unless it says C-GET."
    )
    client_mutation_id: str | None = strawberry.field(
        default=None,
        description="Anything of up to 128 characters. A request with that of an earlier one of the caller retrieves "
        "nothing, and gets the earlier job.",
    )


def find(info: Info, name: str, given: SourceFilter) -> list[FoundStudy]:
    """Search another server. Raises like `sources.search_source`."""
    found = sources.search_source(gateway(info), name, given.criteria(), given.study_instance_uids)
    return cast("list[FoundStudy]", shown_studies(found))


def shown_studies(found: Sequence[archive.FoundStudy]) -> list[ShownStudy]:
    """Return studies with what their fields share."""
    copies = ShownStudies([*dict.fromkeys(one.study.orthanc_id for one in found)])
    return [ShownStudy(one, copies) for one in found]


def retrieve(info: Info, given: RetrieveInput) -> Row:
    """Begin to retrieve. Raises like `sources.retrieve`."""
    request = sources.RetrieveRequest(given.source, given.study_instance_uids, given.method, given.client_mutation_id)
    return sources.retrieve(gateway(info), request)
