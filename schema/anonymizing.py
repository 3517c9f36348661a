"""Anonymizing a study, and reading who is who in a project."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, cast
from urllib.parse import urlencode

import strawberry

from orthancproxy.anonymization.files import AnonymizationRequest
from orthancproxy.anonymization.models import Pseudonym as Row
from orthancproxy.archive.levels import Level
from orthancproxy.dicom.differences import Difference
from orthancproxy.dicom.uncleaned_content import UncleanedContent
from orthancproxy.resolvers import anonymizing
from orthancproxy.resolvers.anonymizing import MAX_LISTED_INSTANCES
from orthancproxy.resolvers.hierarchy import get_by_orthanc_ids
from orthancproxy.schema.context import Info, gateway
from orthancproxy.schema.descriptions import describe_enum
from orthancproxy.schema.jobs import Job, shown
from orthancproxy.schema.selection import Selection
from orthancproxy.schema.types import Instance

describe_enum(
    strawberry.enum(
        UncleanedContent, name="AnonymizationWarningCode", description="What of a study cannot be cleaned, or is lost."
    ),
    {content: content.value for content in UncleanedContent},
)

ProjectName = Annotated[str, strawberry.argument(description="The name of the project.")]
Pseudonyms = Annotated[
    list[str] | None,
    strawberry.argument(description="These pseudonyms, at most 1,000; by default all, the newest first."),
]


@strawberry.enum(description="What becomes of the anonymized instances.")
class AnonymizationOutput(Enum):
    STUDY = strawberry.enum_value("study", description="They are stored as a new study.")
    ZIP = strawberry.enum_value("zip", description="They are downloaded, and never stored.")


@strawberry.input(description="What to anonymize, and what is kept.")
class AnonymizeStudyInput:
    orthanc_id: strawberry.ID = strawberry.field(description="The Orthanc id of the study.")
    project: str | None = strawberry.field(
        default=None,
        description="A project, in which each patient always has the same pseudonym and the same shift of dates. It "
        "needs `ORTHANC_PSEUDONYM_KEY`.",
    )
    patient_id: str | None = strawberry.field(
        default=None, description="The new PatientID: 1 to 64 characters of ASCII. A random one by default."
    )
    patient_name: str | None = strawberry.field(
        default=None, description="The new PatientName, as `patientId`, which is the default."
    )
    shift_dates: bool = strawberry.field(
        default=False,
        description="Keep times, and move dates back by 1 to 3,650 days, all of the patient's by the same number. By "
        "default they are removed.",
    )
    keep_series_descriptions: bool = strawberry.field(
        default=False, description="Keep SeriesDescription, unless it has a name or number of the patient in it."
    )
    keep_device: bool = strawberry.field(
        default=False, description="Keep what identifies the device, such as StationName and DeviceSerialNumber."
    )
    include_burned_in: bool = strawberry.field(
        default=False, description="Do not leave out instances that say that text is burned into their pixels."
    )
    keep_labels: bool = strawberry.field(
        default=False,
        description="Give the labels of the study to the new one. It takes the permission LABEL. Not for a ZIP.",
    )
    output: AnonymizationOutput = strawberry.field(
        default=AnonymizationOutput.STUDY, description="A new study, or a ZIP, which takes the permission DOWNLOAD."
    )
    dry_run: bool = strawberry.field(default=False, description="Show what it would do, without doing it.")
    client_mutation_id: str | None = strawberry.field(
        default=None,
        description="Anything of up to 128 characters. A request with that of an earlier one of the caller does "
        "nothing, and gets the earlier job.",
    )


@strawberry.type(description="An attribute that is changed, added or removed.")
class AnonymizedTag:
    @strawberry.field(
        description="Its keyword, after those of the sequences that it is in: `ReferencedSeriesSequence[0].Modality`; "
        "`(0029,1010)` if it has none."
    )
    def keyword(root: strawberry.Parent[Difference]) -> str:
        return root.path

    @strawberry.field(description="Its value before, null if it is added. Of binary values, the length.")
    def before(root: strawberry.Parent[Difference]) -> str | None:
        return root.before

    @strawberry.field(description="Its value after, null if it is removed.")
    def after(root: strawberry.Parent[Difference]) -> str | None:
        return root.after


@dataclass(frozen=True, slots=True)
class ShownWarning:
    """A warning, with the Orthanc ids of the instances that it is about, None if they were not looked for."""

    content: UncleanedContent
    orthanc_ids: Sequence[str] | None = None


@strawberry.type(description="What a person should look at.")
class AnonymizationWarning:
    @strawberry.field(description="For programs.")
    def code(root: strawberry.Parent[ShownWarning]) -> UncleanedContent:
        return root.content

    @strawberry.field(description="One sentence for people.")
    def message(root: strawberry.Parent[ShownWarning]) -> str:
        return root.content.value

    @strawberry.field(
        description="With `dryRun`, all instances with `BURNED_IN` or `TEXT_IN_PIXELS`, if the study has at most "
        f"{MAX_LISTED_INSTANCES:,} instances and Orthanc reads them in time; null otherwise."
    )
    def instances(root: strawberry.Parent[ShownWarning], info: Info) -> list[Instance] | None:
        if root.orthanc_ids is None:
            return None
        plan = Selection(info).resource(Level.INSTANCE)
        info.context.gateway.budget.reserve(len(root.orthanc_ids) * (1 + plan.objects))
        found = get_by_orthanc_ids(gateway(info), plan, root.orthanc_ids)
        return cast("list[Instance]", [found[one] for one in root.orthanc_ids if one in found])


@dataclass(frozen=True, slots=True)
class ShownAnonymization:
    """An anonymization, with the URL of its ZIP."""

    made: anonymizing.Anonymization
    dry_run: bool
    url: str | None = None


@strawberry.type(description="What an anonymization does.")
class AnonymizePayload:
    @strawberry.field(description="Whether this is only a prediction.")
    def dry_run(root: strawberry.Parent[ShownAnonymization]) -> bool:
        return root.dry_run

    @strawberry.field(
        description="What is changed of one instance, 1,000 attributes at most. None for a repeated `clientMutationId`."
    )
    def preview(root: strawberry.Parent[ShownAnonymization]) -> list[AnonymizedTag]:
        return cast("list[AnonymizedTag]", root.made.preview.differences)

    @strawberry.field(
        description="What cannot be cleaned, as far as one instance of each of ten series tells; with `dryRun`, also "
        "what all tell of text in their pixels."
    )
    def warnings(root: strawberry.Parent[ShownAnonymization]) -> list[AnonymizationWarning]:
        shown = root.made.preview
        found = shown.with_text or {}
        return cast("list[AnonymizationWarning]", [ShownWarning(one, found.get(one)) for one in shown.contents])

    @strawberry.field(description="The job that makes the study; null for a ZIP or with `dryRun`.")
    def job(root: strawberry.Parent[ShownAnonymization]) -> Job | None:
        return shown(root.made.job)

    @strawberry.field(description="The URL of the ZIP, which is made when it is downloaded; null for a study.")
    def download_url(root: strawberry.Parent[ShownAnonymization]) -> str | None:
        return root.url


@strawberry.type(description="Who somebody is in a project.")
class Pseudonym:
    @strawberry.field(description="The PatientID and PatientName of the patient's anonymized studies.")
    def pseudonym(root: strawberry.Parent[Row]) -> str:
        return root.pseudonym

    @strawberry.field(description="The PatientID of the original.")
    def patient_id(root: strawberry.Parent[Row]) -> str:
        return root.patient_id

    @strawberry.field(description="By how many days dates are moved in studies that keep them.")
    def days(root: strawberry.Parent[Row]) -> int:
        return root.days

    @strawberry.field(description="When the first study of the patient was anonymized for the project.")
    def created_at(root: strawberry.Parent[Row]) -> datetime.datetime:
        return root.created_at

    @strawberry.field(description="The user who did that; null for an anonymous caller.")
    def created_by(root: strawberry.Parent[Row]) -> str | None:
        return root.created_by or None


def anonymize(info: Info, given: AnonymizeStudyInput) -> ShownAnonymization:
    """Anonymize a study, or predict that. Raises like `anonymizing.anonymize`."""
    request = AnonymizationRequest(
        patient_id=given.patient_id,
        patient_name=given.patient_name,
        project=given.project,
        shifts_dates=given.shift_dates,
        keeps_series_descriptions=given.keep_series_descriptions,
        keeps_device=given.keep_device,
        includes_burned_in=given.include_burned_in,
        keeps_labels=given.keep_labels,
    )
    to_zip = given.output is AnonymizationOutput.ZIP
    if given.dry_run or to_zip:
        lists_instances = given.dry_run and "warnings" in Selection(info).names_of_object()
        made = anonymizing.preview(
            gateway(info), given.orthanc_id, request, to_zip=to_zip, lists_instances=lists_instances
        )
        url = info.context.urls.prefix + _path(given) if to_zip and not given.dry_run else None
        return ShownAnonymization(made, given.dry_run, url)
    made = anonymizing.anonymize(gateway(info), given.orthanc_id, request, given.client_mutation_id)
    return ShownAnonymization(made, dry_run=False)


def _path(given: AnonymizeStudyInput) -> str:
    """Return the URL of a ZIP below that of the REST routes."""
    texts = {"patient-id": given.patient_id, "patient-name": given.patient_name, "project": given.project}
    flags = {
        "shift-dates": given.shift_dates,
        "keep-series-descriptions": given.keep_series_descriptions,
        "keep-device": given.keep_device,
        "include-burned-in": given.include_burned_in,
    }
    query = {name: text for name, text in texts.items() if text is not None} | dict.fromkeys(
        (name for name, is_set in flags.items() if is_set), "true"
    )
    return f"studies/{given.orthanc_id}/anonymized/{'?' if query else ''}{urlencode(query)}"
