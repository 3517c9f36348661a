"""Other servers as sources: searching them for studies, and retrieving these."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orthancproxy.access.policy import authorize_sources
from orthancproxy.archive.destinations import Destination, sources
from orthancproxy.archive.levels import Level
from orthancproxy.archive.sources import FoundStudy, RetrieveMethod, check_method, find_studies
from orthancproxy.audit.events import Subject
from orthancproxy.conf import conf
from orthancproxy.database import storable
from orthancproxy.errors import InvalidRequest, LimitExceeded, NotFound
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.orthanc.deadline import deadline_scope
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import PendingEvent, audited_read, audited_write
from orthancproxy.resolvers.job_requests import JobRequest, begin_job, check_count, made_before
from orthancproxy.resolvers.operations import READ_SOURCES, RETRIEVE, SEARCH_SOURCE
from orthancproxy.resolvers.restoring import restore_stored

MAX_STUDIES = 100
# of LO, the longest VR of those that are searched (PS3.5 section 6.2); names have as many for each group
MAX_CHARACTERS = 64
_UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*", re.ASCII)
# the audit log has no names, and nothing that people wrote about patients
_UNAUDITED = frozenset({"PatientName", "StudyDescription"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """Which studies to retrieve, from where, and how; by Orthanc's configuration without a method."""

    source: str
    study_instance_uids: Sequence[str]
    method: RetrieveMethod | None = None
    client_mutation_id: str | None = None


def get_sources(context: RequestContext) -> list[Destination]:
    """Return the servers that the caller may search. Raises PermissionDenied for a caller with a scope."""
    with audited_read(context, READ_SOURCES):
        authorize_sources(context.caller)
        return sources(context.client, conf.ORTHANC_SOURCES)


def search_source(
    context: RequestContext, name: str, criteria: Mapping[str, str], uids: Sequence[str] | None = None
) -> list[FoundStudy]:
    """Return the studies of another server that match all criteria, by keyword, and have one of the UIDs.

    Raises InvalidRequest without a criterion, PermissionDenied for a caller with a scope, and like `find_studies`.
    """
    with audited_write(context, SEARCH_SOURCE) as event:
        authorize_sources(context.caller)
        match = {keyword: _checked(value) for keyword, value in criteria.items() if value}
        if uids is not None:
            match["StudyInstanceUID"] = _list_of(uids)
        if not any(value.strip("*") for value in match.values()):
            raise InvalidRequest("Give at least one criterion: the server would list everything that it has.")
        source = _source(context, name)
        event.details = {
            "source": source.name,
            "query": {keyword: None if keyword in _UNAUDITED else value for keyword, value in match.items()},
        }
        with deadline_scope(context.deadline):
            found = find_studies(context.client, source.name, match)
        _note(event, found)
        return found


def retrieve(context: RequestContext, request: RetrieveRequest) -> Job:
    """Begin to retrieve studies from another server; return the job.

    Raises NotFound if the server or one of the studies is unknown, PermissionDenied for a caller with a scope,
    InvalidRequest, LimitExceeded, and like `find_studies`.
    """
    uids = list(dict.fromkeys(request.study_instance_uids))
    method = request.method.name if request.method else None
    wanted = {"source": request.source, "studyInstanceUIDs": uids, "method": method}
    asked = JobRequest(JobKind.RETRIEVE, Level.STUDY, [], wanted, request.client_mutation_id)
    with audited_write(context, RETRIEVE) as event:
        authorize_sources(context.caller)
        match = {"StudyInstanceUID": _list_of(uids)}
        asked.check()
        if made := made_before(context, asked):
            event.outcome = None
            return made
        source = _source(context, request.source)
        check_method(context.client, request.method)
        event.details = {"source": source.name}
        with deadline_scope(context.deadline):
            found = find_studies(context.client, source.name, match)
        _note(event, [one for one in found if one.uid in uids])
        if {one.uid for one in found} != set(uids):
            raise NotFound("The server does not have such a study.")
        studies = [one.study.orthanc_id for one in found]
        check_count(context)
        # what is here already does not arrive, and would stay in the trash
        restore_stored(context, studies)
        return begin_job(context, event, asked, studies)


def _source(context: RequestContext, name: str) -> Destination:
    for one in sources(context.client, conf.ORTHANC_SOURCES):
        if one.name == name:
            return one
    raise NotFound("There is no such server to retrieve from.")


def _note(event: PendingEvent, found: Sequence[FoundStudy]) -> None:
    event.subjects = [Subject(one.patient_id, one.uid) for one in found]
    event.counts = {Level.STUDY.path: len(found)}


def _checked(value: str) -> str:
    if len(value) > MAX_CHARACTERS or _CONTROL.search(value) or storable(value) != value:
        raise InvalidRequest(f"A criterion has at most {MAX_CHARACTERS} characters, and neither backslashes nor lines.")
    return value


def _list_of(uids: Sequence[str]) -> str:
    """Return a list that matches any of these UIDs (PS3.4 section C.2.2.2.2)."""
    if not uids:
        raise InvalidRequest("Give at least one StudyInstanceUID.")
    if len(uids) > MAX_STUDIES:
        raise LimitExceeded(f"At most {MAX_STUDIES} studies can be named.")
    if not all(_UID.fullmatch(uid) for uid in uids):
        raise InvalidRequest("This is not a valid StudyInstanceUID.")
    return "\\".join(uids)
