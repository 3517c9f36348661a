"""Anonymizing studies: what it would change, the job that makes a new study, and a ZIP that Orthanc never has."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from secrets import token_bytes

from orthancproxy.access.actions import Action
from orthancproxy.access.policy import authorize, authorize_labels
from orthancproxy.anonymization.files import NOTHING_LEFT, SECRET_BYTES, AnonymizationRequest, Anonymizer, read_file
from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.anonymization.pseudonyms import assign
from orthancproxy.anonymization.pseudonyms import look_up as look_up_pseudonym
from orthancproxy.archive import labels
from orthancproxy.archive.levels import Level
from orthancproxy.archive.own_zip import open_zip_of
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import DICOM, ZIP, Content
from orthancproxy.audit.reads import subject_of
from orthancproxy.dicom.confidentiality import ConfidentialityOptions
from orthancproxy.dicom.deidentification import deidentify
from orthancproxy.dicom.differences import Difference, differences
from orthancproxy.dicom.file_format import DicomFile
from orthancproxy.dicom.uncleaned_content import UncleanedContent, text_in_pixels, uncleaned_content
from orthancproxy.errors import ArchiveTimeout, InvalidDicom, InvalidRequest, LimitExceeded, NotFound
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.downloads import Download, DownloadRequest, authorized_download
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.hierarchy import look_up
from orthancproxy.resolvers.job_requests import JobRequest, begin_job, made_before
from orthancproxy.resolvers.operations import ANONYMIZE, ANONYMIZE_TO_ZIP, PREVIEW_ANONYMIZATION

# of which one instance is read for the warnings
MAX_PREVIEWED_SERIES = 10
# of which Orthanc reads the files, to list those with text in their pixels: 2 ms each (1.12.7)
MAX_LISTED_INSTANCES = 2000
MAX_DIFFERENCES = 1000

_PLAN = LevelPlan(
    level=Level.STUDY,
    needs=Needs(frozenset({"PatientName"})) | labels.NEEDS,
    related={
        "series": LevelPlan(
            level=Level.SERIES,
            needs=Needs(frozenset({"Modality", "SeriesNumber"})),
            related={"instances": LevelPlan(level=Level.INSTANCE)},
        )
    },
)
_TEXT_PLAN = LevelPlan(
    level=Level.STUDY,
    related={
        "series": LevelPlan(
            level=Level.SERIES,
            needs=Needs(frozenset({"Modality"})),
            related={
                # whatever has rows has pixels
                "instances": LevelPlan(
                    level=Level.INSTANCE, needs=Needs(frozenset({"BurnedInAnnotation", "Rows", "SOPClassUID"}))
                )
            },
        )
    },
)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an anonymization changes of one instance, and what of the study it cannot clean.

    `with_text` are the Orthanc ids of all instances that have, or may have, text in their pixels; None if they were not
    looked for.
    """

    differences: Sequence[Difference] = ()
    contents: Sequence[UncleanedContent] = ()
    with_text: Mapping[UncleanedContent, Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Anonymization:
    """A preview, and the job if one was begun."""

    preview: Preview = field(default_factory=Preview)
    job: Job | None = None


def preview(
    context: RequestContext,
    orthanc_id: str,
    request: AnonymizationRequest,
    *,
    to_zip: bool,
    lists_instances: bool,
) -> Anonymization:
    """Return what an anonymization would do, without doing it, and if asked for, instances with text in their pixels.

    Raises like `anonymize`.
    """
    with audited_read(context, PREVIEW_ANONYMIZATION) as read:
        if to_zip:
            authorize(context.caller, Action.DOWNLOAD)
        study = _study(context, orthanc_id)
        read([study])
        _check(context, study, request, to_zip=to_zip)
        shown = _preview(context, study, request, _pseudonym(context, study, request))
        return Anonymization(_with_text(context, study, shown) if lists_instances else shown)


def anonymize(
    context: RequestContext, orthanc_id: str, request: AnonymizationRequest, client_mutation_id: str | None
) -> Anonymization:
    """Begin to make an anonymized copy of a study that the caller may see; return the job, and what it changes.

    Of an earlier request with the same id, there is the job only. Raises NotFound, InvalidRequest for what is asked
    for, PermissionDenied for labels or a patient that the caller may not give the copy, and LimitExceeded.
    """
    request = replace(request, scope_labels=tuple(sorted(context.caller.scope.labels)))
    asked = JobRequest(JobKind.ANONYMIZE, Level.STUDY, [orthanc_id], request.parameters, client_mutation_id)
    with audited_write(context, ANONYMIZE, orthanc_id) as event:
        asked.check()
        if made := made_before(context, asked):
            event.outcome = None
            return Anonymization(job=made)
        study = _study(context, orthanc_id)
        _describe(event, study, request)
        _check(context, study, request, to_zip=False)
        shown = _preview(context, study, request, _pseudonym(context, study, request))
        return Anonymization(shown, begin_job(context, event, asked, [orthanc_id]))


def get_anonymized_zip(
    context: RequestContext, orthanc_id: str, request: AnonymizationRequest, wanted: DownloadRequest
) -> Download:
    """Return a ZIP of the anonymized files of a study, made while it is read; each has other UIDs.

    It takes the permission to download, too. Raises NotFound and InvalidRequest.
    """
    operations = {Level.STUDY: ANONYMIZE_TO_ZIP}
    with authorized_download(context, operations, _PLAN, orthanc_id, wanted) as pending:
        authorize(context.caller, Action.DOWNLOAD)
        study = pending.resource
        pending.describe({"output": "ZIP", "project": request.project})
        _check(context, study, request, to_zip=True)
        if wanted.headers_only:
            return Download("anonymized.zip", None, Content.headers(ZIP, None))
        pseudonym = None
        if request.project:
            pseudonym = assign(request.project, study.tags.get("PatientID", ""), context.caller.username)
        anonymizer = _anonymizer(context, study, request, pseudonym)
        content = open_zip_of(*_contents(study, anonymizer))
        return Download(f"{anonymizer.identity.patient_id}.zip", None, pending.watched(content))


def _study(context: RequestContext, orthanc_id: str) -> Resource:
    found = look_up(context, _PLAN, [orthanc_id])
    if not found:
        raise NotFound("There is no such study.")
    return found[0]


def _describe(event: PendingEvent, study: Resource, request: AnonymizationRequest) -> None:
    event.subjects = [subject_of(study)]
    event.counts = {Level.STUDY.path: 1}
    event.details = {"output": "STUDY", "project": request.project}


def _check(context: RequestContext, study: Resource, request: AnonymizationRequest, *, to_zip: bool) -> None:
    """Raise InvalidRequest or PermissionDenied unless the caller may ask for this, and will see the result."""
    request.check(study.tags.get("PatientID", ""), study.tags.get("PatientName", ""))
    scope = context.caller.scope
    given = frozenset(study.labels or ())
    if to_zip:
        if request.keeps_labels:
            raise InvalidRequest("A ZIP has no labels: leave out keepLabels.")
        return
    if request.keeps_labels:
        authorize(context.caller, Action.LABEL)
        authorize_labels(context.caller, given - scope.labels)
    if scope.is_restricted and given.isdisjoint(scope.labels):
        pseudonym = _pseudonym(context, study, request)
        patient_id = pseudonym.pseudonym if pseudonym else request.patient_id
        if patient_id is None or not scope.admits_patient(patient_id):
            raise InvalidRequest("Your access scope would hide the result from you: choose a patientId that it admits.")
    # a label admits the study, and the patient with it: others' labels of a hidden patient would be seen
    authorize(context.caller, Action.ANONYMIZE, request.patient_id)


def _pseudonym(context: RequestContext, study: Resource, request: AnonymizationRequest) -> Pseudonym | None:
    if not request.project:
        return None
    return look_up_pseudonym(request.project, study.tags.get("PatientID", ""), context.caller.username)


def _anonymizer(
    context: RequestContext, study: Resource, request: AnonymizationRequest, pseudonym: Pseudonym | None
) -> Anonymizer:
    identity = request.identity(study.tags.get("PatientID", ""), token_bytes(SECRET_BYTES), pseudonym)
    return Anonymizer(context.client, request, identity)


def _preview(
    context: RequestContext, study: Resource, request: AnonymizationRequest, pseudonym: Pseudonym | None
) -> Preview:
    """Read one instance of each of the first series; show what is changed of the first that can be cleaned."""
    anonymizer = _anonymizer(context, study, request, pseudonym)
    contents: dict[UncleanedContent, None] = {}
    shown: Sequence[Difference] = ()
    for series in study.related["series"][:MAX_PREVIEWED_SERIES]:
        for instance in series.related["instances"][:1]:
            try:
                file = read_file(context.client, instance.orthanc_id)
            except InvalidDicom:
                contents[UncleanedContent.UNREADABLE] = None
                continue
            with closing(file.source):
                contents |= dict.fromkeys(uncleaned_content(file))
                if not shown and not anonymizer.leaves_out(file):
                    shown = _differences(file, anonymizer, request.options)
    return Preview(shown, list(contents))


def _with_text(context: RequestContext, study: Resource, shown: Preview) -> Preview:
    """Add the instances with text in their pixels, unless there are too many to look at, or Orthanc is too slow."""
    if sum(len(series.related["instances"]) for series in study.related["series"]) > MAX_LISTED_INSTANCES:
        return shown
    found: dict[UncleanedContent, list[str]] = {UncleanedContent.BURNED_IN: [], UncleanedContent.TEXT_IN_PIXELS: []}
    try:
        looked_up = look_up(context, _TEXT_PLAN, [study.orthanc_id])
    except (ArchiveTimeout, LimitExceeded):
        return shown
    for one in looked_up:
        for series in one.related["series"]:
            modality = series.tags.get("Modality", "")
            for instance in series.related["instances"]:
                tags = instance.tags
                content = text_in_pixels(
                    modality,
                    tags.get("SOPClassUID", ""),
                    tags.get("BurnedInAnnotation", ""),
                    has_pixels="Rows" in tags,
                )
                if content:
                    found[content].append(instance.orthanc_id)
    contents = dict.fromkeys([*shown.contents, *(content for content, ids in found.items() if ids)])
    return replace(shown, contents=list(contents), with_text=found)


def _differences(file: DicomFile, anonymizer: Anonymizer, options: ConfidentialityOptions) -> list[Difference]:
    made = deidentify(file, anonymizer.identity, options)
    found = differences(file.elements, made.elements, file.encodings, file.encodings)
    return [one for one, _ in zip(found, range(MAX_DIFFERENCES), strict=False)]


def _contents(study: Resource, anonymizer: Anonymizer) -> tuple[list[tuple[str, str]], Callable[[str], Content | None]]:
    """Return the files of a ZIP, and what opens one. Raises InvalidRequest if all are left out, before it is begun."""
    names, open_one = _names(study, anonymizer.identity.patient_id), _opener(anonymizer)
    ready: dict[str, Content] = {}
    while names and not ready:
        if first := open_one(names[0][1]):
            ready[names[0][1]] = first
        else:
            del names[0]
    if not ready:
        raise InvalidRequest(NOTHING_LEFT)
    return names, lambda one: ready.pop(one, None) or open_one(one)


def _names(study: Resource, folder: str) -> list[tuple[str, str]]:
    safe = "".join(one if one.isalnum() or one in "-_" else "_" for one in folder)
    return [
        (f"{safe}/{number:04}/{place:06}.dcm", instance.orthanc_id)
        for number, series in enumerate(study.related["series"], 1)
        for place, instance in enumerate(series.related["instances"], 1)
    ]


def _opener(anonymizer: Anonymizer) -> Callable[[str], Content | None]:
    def open_one(orthanc_id: str) -> Content | None:
        made = anonymizer.read(orthanc_id)
        if made is None:
            return None
        return Content(map(bytes, made.payload), DICOM, len(made.payload), made.source.source.close)

    return open_one
