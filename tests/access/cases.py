"""The rows of the access matrix: every root field and every route, with its declared operation and expected audit."""

import asyncio
import json
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient, override_settings
from django.utils import timezone
from graphql import GraphQLObjectType
from strawberry.relay import to_base64

from orthancproxy import urls
from orthancproxy.access.models import Share
from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.archive.levels import Level
from orthancproxy.audit.kinds import Authentication, EventKind
from orthancproxy.dicomweb import urls as dicomweb_urls
from orthancproxy.jobs.models import Job
from orthancproxy.orthanc.capabilities import TRASH_LABEL
from orthancproxy.resolvers.operations import (
    ANONYMIZE,
    ANONYMIZE_TO_ZIP,
    CANCEL_JOB,
    DELETE,
    DOWNLOAD,
    LABEL,
    MERGE,
    MODIFY,
    MOVE,
    PREVIEW_ANONYMIZATION,
    PREVIEW_CORRECTION,
    PREVIEW_DELETION,
    PREVIEW_LABELS,
    READ,
    READ_AUDIT,
    READ_CALLER,
    READ_CHANGES,
    READ_DESTINATIONS,
    READ_JOBS,
    READ_SHARES,
    READ_SOURCES,
    READ_TRASH,
    REIDENTIFY,
    RESTORE,
    RETRIEVE,
    REVOKE_SHARE,
    SEARCH_SOURCE,
    SEND,
    SHARE,
    STORE,
    TRASH,
    UPLOAD,
    VIEW,
    Operation,
)
from orthancproxy.schema import schema
from orthancproxy.uploads.uids import UploadUIDs
from tests.access.archive import FREE_LABEL, SmallArchive, Target
from tests.access.callers import CallerClient, GatewayResponse
from tests.corpus import instance
from tests.dicomweb.store_client import RELATED, related
from tests.uploads.upload_client import CONTENT_TYPE, GRAPHQL_PATH, REST, File, GraphQL

Subjects = frozenset[tuple[str, str]]
LEVELS = {level.path: level for level in Level}
MOUNT, DICOMWEB = "/api/orthanc/", "/dicom-web/"
DEFAULT_TARGET = Target.at(1)
NEW_PATIENT = "W7-new"  # the archive has no such patient

OF_PATIENT: Subjects = frozenset({(DEFAULT_TARGET.patient_id, "")})
OF_STUDY: Subjects = frozenset({(DEFAULT_TARGET.patient_id, DEFAULT_TARGET.study_uid)})
OF_STUDIES: Subjects = frozenset((DEFAULT_TARGET.patient_id, Target.at(1, study).study_uid) for study in (1, 2))
OF_ALL_PATIENTS: Subjects = frozenset((Target.at(patient).patient_id, "") for patient in (1, 2, 3))
OF_ALL_STUDIES: Subjects = frozenset(
    (Target.at(patient).patient_id, Target.at(patient, study).study_uid) for patient in (1, 2, 3) for study in (1, 2)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessCase(ABC):
    """A root field or a route, called by a caller with the permission that its operation needs.

    `subjects` and `counts` are those of its audit event for a caller without a scope, with the default target. `levels`
    are those of the resources that it names. A variant runs the same code as another case. A search finds nothing
    below a resource that does not exist. What `needs_labels` is an invalid request where Orthanc has none.
    """

    operation: Operation = READ
    subjects: Subjects = frozenset()
    counts: Mapping[str, int]
    levels: tuple[str, ...] = ()
    is_variant: bool = False
    is_search: bool = False
    needs_labels: bool = False
    status: int = 200

    @property
    def uploads(self) -> bool:
        return self.operation is UPLOAD

    def is_permitted(self, caller: CallerClient) -> bool:
        return self.operation.action is None or self.operation.action in caller.actions

    def prepare(self, archive: SmallArchive) -> bool:
        """Make the archive what the case needs; return whether that has changed it."""
        return False

    def send(self, caller: CallerClient, target: Target = DEFAULT_TARGET) -> GatewayResponse:
        """Send it as a caller; with a log of changes if it reads that."""
        if self.operation is not READ_CHANGES:
            return self._send(caller, target)
        with override_settings(ORTHANC_CHANGES_DAYS=1):
            return self._send(caller, target)

    @abstractmethod
    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        pass

    @abstractmethod
    def audited_name(self, target: Target) -> str:
        """The `operation` of its audit event."""

    def audited_target(self, target: Target) -> str:
        level = self.operation.target_level
        return f"{level.path}/{target.ids[level.path]}" if level else ""

    def named_target(self, target: Target) -> str:
        """The target of its audit event where it was not looked up, or not found."""
        return self.audited_target(target)

    def audited_subjects(self, caller: CallerClient) -> Subjects:
        if self.uploads:
            return frozenset({(NEW_PATIENT, UploadUIDs(NEW_PATIENT, self.upload_key(caller), caller.username).study)})
        return self.subjects

    def upload_key(self, caller: CallerClient) -> str:
        return f"{caller.name}, {self.audited_name(DEFAULT_TARGET)}"

    @property
    def is_graphql(self) -> bool:
        return isinstance(self, FieldCase)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCase(AccessCase):
    """A root field of GraphQL: its name, and a query."""

    name: str
    query: str

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        if self.uploads:
            return send_upload(caller, GRAPHQL_PATH, upload_patient_id(target), self.upload_key(caller))
        used = {name: value for name, value in target.variables.items() if f"${name}:" in self.query}
        return caller.graphql(self.query, used)

    def audited_name(self, target: Target) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionCase(FieldCase):
    """A root field of the subscription type. What it yields first, or its errors, are the response."""

    def variables(self, caller: CallerClient) -> Mapping[str, Any]:
        """Return the variables of the query."""
        return {}

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        return asyncio.run(self._open(caller, self.variables(caller)))

    async def _open(self, caller: CallerClient, variables: Mapping[str, Any]) -> GatewayResponse:
        client, request_id = AsyncClient(enforce_csrf_checks=True, raise_request_exception=False), uuid.uuid4().hex
        client.cookies = caller.client.cookies
        headers = {"X-Request-ID": request_id, "Accept": "text/event-stream", **caller.headers}
        response: Any = await client.post(
            GRAPHQL_PATH,
            {"query": self.query, "variables": variables},
            content_type="application/json",
            headers=headers,
        )
        if response.streaming:
            await anext(aiter(response))
            content = json.dumps({"data": {self.name: "begun"}}).encode()
        else:
            # of an event stream that has only errors
            [content] = re.findall(rb"^(?:data: )?({.*})$", response.content, re.MULTILINE)
        await sync_to_async(response.close)()
        return GatewayResponse(response.status_code, dict(response.headers), content, request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashCase(FieldCase):
    """A root field of a gateway with a trash. If it `restores`, the study of the default target is there."""

    restores: bool = False

    def prepare(self, archive: SmallArchive) -> bool:
        if self.restores and archive.has_labels:
            archive.ask(f"/studies/{DEFAULT_TARGET.ids['studies']}/labels/{TRASH_LABEL}", "PUT")
            return True
        return False

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        with override_settings(ORTHANC_TRASH_DAYS=30):
            # `super()` does not know the class that `slots` makes
            return FieldCase._send(self, caller, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationCase(FieldCase):
    """The root field that revokes a share link: a new one of the caller."""

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        return caller.graphql(self.query, {"id": str(make_share(caller, target).pk)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReidentificationCase(FieldCase):
    """The root field that tells who is who in a project, which has one patient."""

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        Pseudonym.objects.update_or_create(
            project="trial", patient_id=target.patient_id, defaults={"pseudonym": "SUBJECT", "days": -1}
        )
        return caller.graphql(self.query, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCase(FieldCase):
    """A root field that names a job: a new one of the caller, which nobody follows."""

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        return caller.graphql(self.query, {"id": job_id(make_job(caller, target))})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSubscriptionCase(SubscriptionCase):
    """The root field of the subscription type that names a job."""

    def variables(self, caller: CallerClient) -> Mapping[str, Any]:
        return {"id": job_id(make_job(caller, DEFAULT_TARGET))}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCase(AccessCase):
    """A route of the REST API or of DICOMweb with a method; in `address`, `{}` are names of a target's variables."""

    method: str
    route: str
    address: str
    mount: str = MOUNT

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        address = f"{self.mount}{self.address.format_map(target.variables)}"
        if self.uploads:
            return send_upload(caller, address, upload_patient_id(target), self.upload_key(caller))
        return caller.send(self.method, address)

    def audited_name(self, target: Target) -> str:
        return f"{self.method} {self.mount}" + re.sub(r"<\w+:(\w+)>", r"{\1}", self.route)

    def named_target(self, target: Target) -> str:
        level = self.operation.target_level
        if self.mount == MOUNT or level is None:
            return self.audited_target(target)
        return f"{level.path}/{target.uids[level.path]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCase(RouteCase):
    """A route of DICOMweb that stores a file."""

    @property
    def uploads(self) -> bool:
        return False

    def _send(self, caller: CallerClient, target: Target) -> GatewayResponse:
        file = instance(901, StudyInstanceUID=target.study_uid)
        address = f"{self.mount}{self.address.format_map(target.variables)}"
        return caller.send("POST", address, related([file]), RELATED)


def make_job(caller: CallerClient, target: Target, **values: Any) -> Job:
    """Make a job of a caller that sends a study, without the gateway."""
    return Job.objects.create(
        **{
            "kind": "SEND",
            "created_by": caller.username,
            "is_identity": caller.authentication == Authentication.OPENID_CONNECT,
            "level": "Study",
            "orthanc_ids": [target.ids["studies"]],
            "parameters": {"destination": "PACS"},
            "studies": [target.ids["studies"]],
            **values,
        }
    )


def job_id(job: Job) -> str:
    """Return the global id of a job."""
    return to_base64("Job", job.pk)


def make_share(caller: CallerClient, target: Target) -> Share:
    """Make a link of a caller to a study, without the gateway."""
    user = User.objects.filter(username=caller.username).first()
    return Share.objects.create(
        token_hash=uuid.uuid4().hex,
        study_orthanc_id=target.ids["studies"],
        study_instance_uid=target.study_uid,
        patient_id=target.patient_id,
        allows_download=True,
        user=user,
        created_by=caller.username,
        expires_at=timezone.now() + timedelta(days=1),
    )


def upload_patient_id(target: Target) -> str:
    """Return the PatientID of an upload: a new one for the default target."""
    return NEW_PATIENT if target == DEFAULT_TARGET else target.patient_id


def send_upload(caller: CallerClient, address: str, patient_id: str, key: str) -> GatewayResponse:
    """Upload one file as a caller."""
    files = [File(instance(patient=900), "ct")]
    form = GraphQL() if address == GRAPHQL_PATH else REST()
    body = form.body(files, patientId=patient_id, uploadKey=key)
    # reading the study would be audited too
    body = body.replace(b"study { orthancId", b"study @skip(if: true) { orthancId")
    return caller.send("POST", address, body, CONTENT_TYPE)


def _fields() -> Iterator[tuple[str, AccessCase]]:
    def field(name: str, query: str, counts: Mapping[str, int], **more: Any) -> tuple[str, AccessCase]:
        return f"Query.{name}", FieldCase(name=name, query=query, counts=counts, **more)

    yield field(
        "node",
        "query($node: ID!) { node(id: $node) { id ... on Study { studyInstanceUID } } }",
        {"studies": 1},
        subjects=OF_STUDY,
        levels=("studies",),
    )
    yield field(
        "nodes",
        "query($nodes: [ID!]!) { nodes(ids: $nodes) { id } }",
        {"patients": 1, "series": 1},
        subjects=OF_PATIENT | OF_STUDY,
        levels=("patients", "series"),
    )
    yield field(
        "patients", "{ patients { totalCount nodes { patientId } } }", {"patients": 3}, subjects=OF_ALL_PATIENTS
    )
    yield field(
        "studies", "{ studies { totalCount nodes { studyInstanceUID } } }", {"studies": 6}, subjects=OF_ALL_STUDIES
    )
    yield field("seriesList", "{ seriesList { totalCount nodes { id } } }", {"series": 12}, subjects=OF_ALL_STUDIES)
    yield field("instances", "{ instances { totalCount nodes { id } } }", {"instances": 24}, subjects=OF_ALL_STUDIES)
    for name, level, uid, subjects in (
        ("patient", "patients", "patientId", OF_PATIENT),
        ("study", "studies", "studyUID", OF_STUDY),
        ("series", "series", "seriesUID", OF_STUDY),
        ("instance", "instances", "sopUID", OF_STUDY),
    ):
        kind, argument = ("String!", uid) if name == "patient" else ("ID!", uid.replace("UID", "InstanceUID"))
        by_id = f"query(${name}: ID!) {{ {name}(orthancId: ${name}) {{ id }} }}"
        by_uid = f"query(${uid}: {kind}) {{ {name}({argument}: ${uid}) {{ id }} }}"
        more: dict[str, Any] = {"subjects": subjects, "levels": (level,)}
        yield field(name, by_id, {level: 1}, **more)
        yield f"Query.{name} by {argument}", FieldCase(name=name, query=by_uid, counts={level: 1}, **more)
    yield field("uploads", "{ uploads { totalCount nodes { uploadKey patientId } } }", {})
    yield field(
        "auditEvents",
        "{ auditEvents { totalCount nodes { id operation } } }",
        {},
        operation=READ_AUDIT,
    )
    query = "{ archiveChanges(first: 0) { pageInfo { endCursor } } }"
    yield field("archiveChanges", query, {}, operation=READ_CHANGES)
    yield (
        "Subscription.archiveChanges",
        SubscriptionCase(
            name="archiveChanges",
            query="subscription { archiveChanges { cursor } }",
            counts={},
            operation=READ_CHANGES,
        ),
    )
    yield field("shares", "{ shares { totalCount nodes { id } } }", {}, operation=READ_SHARES)
    yield field("labels", "{ labels { label count } }", {}, needs_labels=True)
    for name, label in (("addLabels", "urgent"), ("removeLabels", FREE_LABEL)):
        for variable, level, subjects in (
            ("patient", "patients", OF_PATIENT),
            ("study", "studies", OF_STUDY),
            ("series", "series", OF_STUDY),
            ("instance", "instances", OF_STUDY),
        ):
            yield (
                f"Mutation.{name} of {level}",
                FieldCase(
                    name=name,
                    query=f"mutation(${variable}: ID!) {{ {name}(level: {variable.upper()}, orthancId: ${variable}, "
                    f'labels: ["{label}"]) {{ orthancId labels }} }}',
                    operation=LABEL[LEVELS[level]],
                    subjects=subjects,
                    counts={level: 1},
                    levels=(level,),
                    needs_labels=True,
                ),
            )
            yield (
                f"Mutation.{name} of {level} as a dry run",
                FieldCase(
                    name=name,
                    query=f"mutation(${variable}: ID!) {{ {name}(level: {variable.upper()}, orthancId: ${variable}, "
                    f'labels: ["{label}"], dryRun: true) {{ orthancId labels }} }}',
                    operation=PREVIEW_LABELS,
                    subjects=OF_STUDIES if variable == "patient" else subjects,
                    counts={"patients": 1, "studies": 2} if variable == "patient" else {"studies": 1},
                    levels=(level,),
                    needs_labels=True,
                ),
            )
    expires = (timezone.now() + timedelta(days=1)).isoformat()
    yield (
        "Mutation.shareStudy",
        FieldCase(
            name="shareStudy",
            query=f"""mutation($study: ID!) {{ shareStudy(input: {{studyOrthancId: $study, actions: [VIEW, DOWNLOAD],
                expiresAt: "{expires}"}}) {{ share {{ studyOrthancId }} }} }}""",
            counts={},
            subjects=OF_STUDY,
            operation=SHARE,
            levels=("studies",),
        ),
    )
    yield (
        "Mutation.revokeShare",
        RevocationCase(
            name="revokeShare",
            query="mutation($id: ID!) { revokeShare(id: $id) { share { studyOrthancId revokedAt } } }",
            counts={},
            subjects=OF_STUDY,
            operation=REVOKE_SHARE,
        ),
    )
    yield field("modalities", "{ modalities { name aet } }", {}, operation=READ_DESTINATIONS)
    echo = 'mutation { echoModality(name: "PACS") { modality { name } } }'
    yield (
        "Mutation.echoModality",
        FieldCase(name="echoModality", query=echo, counts={}, operation=READ_DESTINATIONS),
    )
    for name, level, subjects in (
        ("patient", "patients", OF_STUDIES),
        ("study", "studies", OF_STUDY),
        ("series", "series", OF_STUDY),
        ("instance", "instances", OF_STUDY),
    ):
        yield (
            f"Mutation.sendToModality of {level}",
            FieldCase(
                name="sendToModality",
                query=f"""mutation(${name}: ID!) {{ sendToModality(input: {{modality: "PACS",
                    level: {name.upper()}, orthancIds: [${name}]}}) {{ job {{ state }} }} }}""",
                counts={level: 1},
                subjects=subjects,
                operation=SEND[LEVELS[level]],
                levels=(level,),
            ),
        )
    yield from _corrections()
    for dry_run in (False, True):
        # a scope of the callers admits this patient
        given = f'{{orthancId: $study, patientId: "W7-subject", dryRun: {str(dry_run).lower()}}}'
        yield (
            f"Mutation.anonymizeStudy{' as a dry run' if dry_run else ''}",
            FieldCase(
                name="anonymizeStudy",
                query=f"mutation($study: ID!) {{ anonymizeStudy(input: {given}) {{ preview {{ keyword }} }} }}",
                counts={"studies": 1, "series": 2, "instances": 4} if dry_run else {"studies": 1},
                subjects=OF_STUDY,
                operation=PREVIEW_ANONYMIZATION if dry_run else ANONYMIZE,
                levels=("studies",),
            ),
        )
    yield (
        "Query.reidentify",
        ReidentificationCase(
            name="reidentify",
            query='{ reidentify(project: "trial") { pseudonym patientId } }',
            counts={},
            subjects=OF_PATIENT,
            operation=REIDENTIFY,
        ),
    )
    yield field("sources", "{ sources { name aet } }", {}, operation=READ_SOURCES)
    yield (
        "Query.findOnModality",
        FieldCase(
            name="findOnModality",
            query="""query($studyUID: ID!) { findOnModality(modality: "SELF",
                filter: {studyInstanceUIDs: [$studyUID]}) { patientId } }""",
            counts={"studies": 1},
            subjects=OF_STUDY,
            operation=SEARCH_SOURCE,
        ),
    )
    yield (
        "Mutation.retrieveFromModality",
        FieldCase(
            name="retrieveFromModality",
            query="""mutation($studyUID: ID!) { retrieveFromModality(input: {source: "SELF",
                studyInstanceUIDs: [$studyUID]}) { job { state } } }""",
            counts={"studies": 1},
            subjects=OF_STUDY,
            operation=RETRIEVE,
        ),
    )
    yield field("jobs", "{ jobs { pageInfo { startCursor } } }", {}, operation=READ_JOBS)
    yield (
        "Query.job",
        JobCase(name="job", query="query($id: ID!) { job(id: $id) { state } }", counts={}, operation=READ_JOBS),
    )
    yield (
        "Mutation.cancelJob",
        JobCase(
            name="cancelJob",
            query="mutation($id: ID!) { cancelJob(id: $id) { job { isBeingCancelled } } }",
            counts={},
            operation=CANCEL_JOB,
        ),
    )
    yield (
        "Subscription.jobUpdates",
        JobSubscriptionCase(
            name="jobUpdates",
            query="subscription($id: ID!) { jobUpdates(id: $id) { state } }",
            counts={},
            operation=READ_JOBS,
        ),
    )
    yield field("viewer", "{ viewer { username actions scopes { kind value } } }", {}, operation=READ_CALLER)
    yield field("server", "{ server { version patientsCount } }", {})
    yield (
        "Mutation.uploadPatient",
        FieldCase(
            name="uploadPatient",
            query="",
            operation=UPLOAD,
            counts={"instances": 1, "alreadyStored": 0, "failed": 0},
        ),
    )
    for name, level, subjects, counts in DELETIONS:
        for dry_run in (False, True):
            read = {"patients": 1, "studies": 2} if name == "patient" else {"patients": 1, "studies": 1}
            query = (
                f"mutation(${name}: ID!) {{ delete{name.title()}(orthancId: ${name}, dryRun: {str(dry_run).lower()}) "
                "{ dryRun deletedIds instancesCount } }"
            )
            deletion = FieldCase(
                name=f"delete{name.title()}",
                query=query,
                operation=PREVIEW_DELETION if dry_run else DELETE[LEVELS[level]],
                subjects=subjects | OF_PATIENT if dry_run and name != "patient" else subjects,
                counts=read if dry_run else counts,
                levels=(level,),
            )
            yield f"Mutation.{deletion.name}{' as a dry run' if dry_run else ''}", deletion
        if LEVELS[level] in TRASH:
            yield (
                f"Mutation.delete{name.title()} into the trash",
                TrashCase(
                    name=f"delete{name.title()}",
                    query=f"mutation(${name}: ID!) {{ delete{name.title()}(orthancId: ${name}) {{ inTrash }} }}",
                    operation=TRASH[LEVELS[level]],
                    subjects=subjects,
                    counts=counts,
                    levels=(level,),
                    needs_labels=True,
                ),
            )
    yield (
        "Mutation.restoreStudy",
        TrashCase(
            name="restoreStudy",
            query="mutation($study: ID!) { restoreStudy(orthancId: $study) { orthancId } }",
            operation=RESTORE,
            subjects=OF_STUDY,
            counts={"studies": 1},
            levels=("studies",),
            needs_labels=True,
            restores=True,
        ),
    )
    yield (
        "Query.trash",
        TrashCase(
            name="trash",
            query="{ trash { totalCount nodes { orthancId } } }",
            operation=READ_TRASH,
            counts={"studies": 1},
            subjects=OF_STUDY,
            needs_labels=True,
            restores=True,
        ),
    )


def _corrections() -> Iterator[tuple[str, AccessCase]]:
    """Corrections, merges and moves, and their predictions, which read the studies."""
    other = Target.at(1, 2).ids["studies"]
    for field_name, given, level, operation, subjects, instances in (
        (
            "modifyPatient",
            'orthancId: $patient, replace: [{keyword: "PatientComments", value: "x"}]',
            "patients",
            MODIFY[Level.PATIENT],
            OF_STUDIES,
            8,
        ),
        (
            "modifyStudy",
            'orthancId: $study, replace: [{keyword: "StudyID", value: "x"}]',
            "studies",
            MODIFY[Level.STUDY],
            OF_STUDY,
            4,
        ),
        (
            "modifySeries",
            'orthancId: $series, replace: [{keyword: "StationName", value: "x"}]',
            "series",
            MODIFY[Level.SERIES],
            OF_STUDY,
            2,
        ),
        ("mergeStudies", f'orthancId: "{other}", sources: [$study]', "studies", MERGE, OF_STUDIES, 4),
        ("moveSeries", "orthancIds: [$series]", "series", MOVE, OF_STUDY, 2),
    ):
        # studies are read with their series
        read = {} if level == "series" else {"series": instances // 2}
        variable = {"patients": "patient", "studies": "study", "series": "series"}[level]
        for dry_run in (False, True):
            query = (
                f"mutation(${variable}: ID!) {{ {field_name}(input: {{{given}, dryRun: {str(dry_run).lower()}}}) "
                "{ instancesCount } }"
            )
            yield (
                f"Mutation.{field_name}{' as a dry run' if dry_run else ''}",
                FieldCase(
                    name=field_name,
                    query=query,
                    operation=PREVIEW_CORRECTION if dry_run else operation,
                    subjects=subjects,
                    counts={"studies": len(subjects), **read} if dry_run else {level: 1, "instances": instances},
                    levels=(level,),
                ),
            )


DELETIONS: tuple[tuple[str, str, Subjects, Mapping[str, int]], ...] = (
    ("patient", "patients", OF_STUDIES, {"patients": 1, "studies": 2, "series": 4, "instances": 8}),
    ("study", "studies", OF_STUDY, {"studies": 1, "series": 2, "instances": 4}),
    ("series", "series", OF_STUDY, {"series": 1, "instances": 2}),
    ("instance", "instances", OF_STUDY, {"instances": 1}),
)


def _routes() -> Iterator[tuple[str, AccessCase]]:
    def route(method: str, name: str, address: str, counts: Mapping[str, int], **more: Any) -> Iterator[Any]:
        for slash in ("/", ""):
            path, _, query = address.partition("?")
            whole = f"{path}{slash}{'?' if query else ''}{query}"
            yield (
                f"{method} {name}{slash}",
                RouteCase(
                    method=method,
                    route=f"{name}{slash}",
                    address=whole,
                    counts=counts,
                    is_variant=method == "HEAD" or not slash,
                    **more,
                ),
            )

    for method in ("GET", "HEAD"):
        yield from route(method, "patients", "patients", {"patients": 3}, subjects=OF_ALL_PATIENTS)
        yield from route(
            method,
            "studies",
            "studies?patient_id={patient}",
            {"patients": 1, "studies": 2},
            subjects=OF_STUDIES,
            levels=("patients",),
        )
        yield from route(
            method,
            "series",
            "series?study_id={study}",
            {"studies": 1, "series": 2},
            subjects=OF_STUDY,
            levels=("studies",),
        )
        yield from route(
            method,
            "instances",
            "instances?series_id={series}",
            {"series": 1, "instances": 2},
            subjects=OF_STUDY,
            levels=("series",),
        )
        yield from route(method, "changes", "changes?limit=0", {}, operation=READ_CHANGES)
        # a HEAD request transfers nothing
        more: dict[str, Any] = {"kind": EventKind.ACCESSED, "viewed": False} if method == "HEAD" else {}
        for level, what, subjects in (
            ("instances", "file", OF_STUDY),
            ("instances", "preview", OF_STUDY),
            ("instances", "thumbnail", OF_STUDY),
            ("series", "thumbnail", OF_STUDY),
            ("patients", "archive", OF_PATIENT),
            ("studies", "archive", OF_STUDY),
            ("series", "archive", OF_STUDY),
        ):
            yield from route(
                method,
                f"{level}/<str:orthanc_id>/{what}",
                f"{level}/{{{variable(level)}}}/{what}",
                {level: 1},
                operation=replace((DOWNLOAD if what == "archive" else VIEW)[LEVELS[level]], **more),
                subjects=subjects,
                levels=(level,),
            )
        yield from route(
            method,
            "studies/<str:orthanc_id>/anonymized",
            "studies/{study}/anonymized",
            {"studies": 1},
            operation=replace(ANONYMIZE_TO_ZIP, **more),
            subjects=OF_STUDY,
            levels=("studies",),
        )
    for name, level, subjects, counts in DELETIONS:
        yield from route(
            "DELETE",
            f"{level}/<str:orthanc_id>",
            f"{level}/{{{name}}}",
            counts,
            operation=DELETE[LEVELS[level]],
            subjects=subjects,
            levels=(level,),
        )
    yield from route(
        "POST",
        "upload-patient",
        "upload-patient",
        {"instances": 1, "alreadyStored": 0, "failed": 0},
        operation=UPLOAD,
    )


def _dicomweb_routes() -> Iterator[tuple[str, AccessCase]]:
    study, series, instance = "studies/{studyUID}", "series/{seriesUID}", "instances/{sopUID}"
    searches: Iterable[tuple[str, str, Mapping[str, int], Subjects]] = (
        ("studies", "studies", {"studies": 6}, OF_ALL_STUDIES),
        ("series", "series", {"studies": 6, "series": 12}, OF_ALL_STUDIES),
        ("instances", "instances", {"studies": 6, "series": 12, "instances": 24}, OF_ALL_STUDIES),
        ("studies/<uid:study_uid>/series", f"{study}/series", {"studies": 1, "series": 2}, OF_STUDY),
        (
            "studies/<uid:study_uid>/instances",
            f"{study}/instances",
            {"studies": 1, "series": 2, "instances": 4},
            OF_STUDY,
        ),
        (
            "studies/<uid:study_uid>/series/<uid:series_uid>/instances",
            f"{study}/{series}/instances",
            {"series": 1, "instances": 2},
            OF_STUDY,
        ),
    )
    for name, address, counts, subjects in searches:
        for method in ("GET", "HEAD"):
            levels = ("studies",) if "{" in address else ()
            yield from _dicomweb(method, name, address, counts, subjects=subjects, levels=levels, is_search=True)
    for address, (_, level, subjects, counts) in zip(
        (study, f"{study}/{series}", f"{study}/{series}/{instance}"), DELETIONS[1:], strict=True
    ):
        name = address
        for variable_of, parameter in (("studyUID", "study"), ("seriesUID", "series"), ("sopUID", "instance")):
            name = name.replace(f"{{{variable_of}}}", f"<uid:{parameter}_uid>")
        yield from _dicomweb(
            "DELETE",
            name,
            address,
            counts,
            operation=DELETE[LEVELS[level]],
            subjects=subjects,
            levels=(level,),
            status=204,
        )

    for method in ("GET", "HEAD"):
        # a HEAD request transfers nothing
        more: dict[str, Any] = {"kind": EventKind.ACCESSED, "viewed": False} if method == "HEAD" else {}
        retrieved: Iterable[tuple[Sequence[str], Mapping[str, int]]] = (
            (["studies"], {"series": 2, "instances": 4}),
            (["studies", "series"], {"instances": 2}),
            (["studies", "series", "instances"], {}),
        )
        for named_levels, below in retrieved:
            level = named_levels[-1]
            name = "/".join(f"{one}/<uid:{variable(one)}_uid>" for one in named_levels)
            address = "/".join((study, series, instance)[: len(named_levels)])
            named: dict[str, Any] = {"subjects": OF_STUDY, "levels": (level,)}
            sent = replace((DOWNLOAD if level == "studies" else VIEW)[LEVELS[level]], **more)
            yield from _dicomweb(method, name, address, {level: 1}, operation=sent, **named)
            yield from _dicomweb(method, f"{name}/metadata", f"{address}/metadata", {level: 1, **below}, **named)
        for what, value in (
            ("frames/<str:frames>", "frames/1"),
            ("bulkdata/<path:attribute>", "bulkdata/7FE00010"),
            ("bulk/<path:attribute>", "bulk/7fe00010"),
        ):
            slashes = ("",) if what.startswith("bulk/") else ("", "/")
            yield from _dicomweb(
                method, f"{name}/{what}", f"{address}/{value}", {"instances": 1}, slashes, operation=sent, **named
            )
    for name, address in (("studies", "studies"), ("studies/<uid:study_uid>", study)):
        stored: dict[str, Any] = {
            "operation": STORE,
            "subjects": frozenset({("P901", DEFAULT_TARGET.study_uid)}),
            "kind": StoreCase,
        }
        yield from _dicomweb("POST", name, address, {"instances": 1, "alreadyStored": 0, "failed": 0}, **stored)


def _dicomweb_images() -> Iterator[tuple[str, AccessCase]]:
    named = "requestType=WADO&studyUID={studyUID}&seriesUID={seriesUID}&objectUID={sopUID}"
    images = [("wado", f"wado?{named}", VIEW[Level.INSTANCE])]
    path, address = "", ""
    for level, uid in ((Level.STUDY, "studyUID"), (Level.SERIES, "seriesUID"), (Level.INSTANCE, "sopUID")):
        path += f"{level.path}/<uid:{variable(level.path)}_uid>/"
        address += f"{level.path}/{{{uid}}}/"
        rendered = DOWNLOAD[level] if level is Level.STUDY else VIEW[level]
        images += [(f"{path}rendered", f"{address}rendered", rendered)]
        images += [(f"{path}thumbnail", f"{address}thumbnail", VIEW[level])]
    for what in ("rendered", "thumbnail"):
        images += [(f"{path}frames/<str:frames>/{what}", f"{address}frames/1/{what}", VIEW[Level.INSTANCE])]
    for name, address, operation in images:
        assert operation.target_level
        collection = operation.target_level.path
        for method in ("GET", "HEAD"):
            # a HEAD request transfers nothing
            more: dict[str, Any] = {"kind": EventKind.ACCESSED, "viewed": False} if method == "HEAD" else {}
            yield from _dicomweb(
                method,
                name,
                address,
                {collection: 1},
                operation=replace(operation, **more),
                subjects=OF_STUDY,
                levels=(collection,),
            )


def _dicomweb(
    method: str,
    name: str,
    address: str,
    counts: Mapping[str, int],
    slashes: Sequence[str] = ("", "/"),
    kind: type[RouteCase] = RouteCase,
    **more: Any,
) -> Iterator[Any]:
    """Yield the case of a DICOMweb route, without and with a trailing slash."""
    path, mark, query = address.partition("?")
    for slash in slashes:
        yield (
            f"{method} {DICOMWEB}{name}{slash}",
            kind(
                method=method,
                route=f"{name}{slash}",
                address=f"{path}{slash}{mark}{query}",
                mount=DICOMWEB,
                counts=counts,
                is_variant=method == "HEAD" or slash == "/",
                **more,
            ),
        )


def variable(level: str) -> str:
    return {"patients": "patient", "studies": "study", "series": "series", "instances": "instance"}[level]


CASES: Mapping[str, AccessCase] = {
    **dict(_fields()),
    **dict(_routes()),
    **dict(_dicomweb_routes()),
    **dict(_dicomweb_images()),
}
PUBLIC_ROUTES = {
    **{
        f"{method} {mount}{page}": 200
        for method in ("GET", "HEAD")
        for mount in ("", DICOMWEB)
        for page in ("schema/", "docs/")
    },
    "* ": 404,
    f"* {DICOMWEB}": 404,
}
"""The status of routes that expose nothing of the archive: they need no permission and are not audited."""


def root_fields() -> set[str]:
    """Return every root field of the schema."""
    roots = (schema._schema.query_type, schema._schema.mutation_type, schema._schema.subscription_type)
    return {f"{kind.name}.{name}" for kind in roots if isinstance(kind, GraphQLObjectType) for name in kind.fields}


def routes() -> set[str]:
    """Return every route of the REST API and of DICOMweb with each of its methods."""
    return _routes_of(urls.urlpatterns) | _routes_of(dicomweb_urls.urlpatterns, DICOMWEB)


def _routes_of(patterns: Iterable[Any], mount: str = "") -> set[str]:
    found = set()
    for pattern in patterns:
        view: Any = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
        assert view, pattern
        methods = [name for name in view.http_method_names if hasattr(view, name) and name not in ("options", "trace")]
        methods += ["head"] if "get" in methods and "head" not in methods else []
        found |= {f"{method.upper()} {mount}{pattern.pattern}" for method in methods or "*"}
    return found
