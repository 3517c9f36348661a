"""Every operation of both transports: what it takes, what it is called in the audit, and what the audit has of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLObjectType

from orthancproxy import urls
from orthancproxy.access.actions import Action
from orthancproxy.audit.kinds import EventKind
from orthancproxy.dicom.uids import UploadUIDs
from orthancproxy.schema import schema
from tests.access.archive import Target
from tests.access.callers import Answer, Caller
from tests.corpus import instance
from tests.uploads.upload_client import CONTENT_TYPE, GRAPHQL_PATH, REST, File, GraphQL

Event = EventKind
Subjects = frozenset[tuple[str, str]]
MOUNT = "/api/orthanc/"
HERE = Target.at(1)
NEW_PATIENT = "W7-new"  # the archive has no such patient

OF_PATIENT: Subjects = frozenset({(HERE.patient_id, "")})
OF_STUDY: Subjects = frozenset({(HERE.patient_id, HERE.study_uid)})
OF_STUDIES: Subjects = frozenset((HERE.patient_id, Target.at(1, study).study_uid) for study in (1, 2))
OF_ALL_PATIENTS: Subjects = frozenset((Target.at(patient).patient_id, "") for patient in (1, 2, 3))
OF_ALL_STUDIES: Subjects = frozenset(
    (Target.at(patient).patient_id, Target.at(patient, study).study_uid) for patient in (1, 2, 3) for study in (1, 2)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation, as those may do it who have `action`; without one, everybody may.

    `subjects` and `counts` are what the audit has of it for somebody who sees all, with the target HERE. `levels` are
    those of the resources that it names. What `changes` the archive is written down twice.
    """

    action: Action | None = Action.VIEW
    event: EventKind = Event.ACCESSED
    subjects: Subjects = frozenset()
    counts: Mapping[str, int]
    levels: tuple[str, ...] = ()
    changes: bool = False
    target: str = ""  # the level under which the audit names what the caller named
    is_variant: bool = False  # of another one, carried out by the same code

    @property
    def uploads(self) -> bool:
        return self.action is Action.UPLOAD

    def send(self, caller: Caller, target: Target = HERE) -> Answer:
        """Let somebody do it."""
        raise NotImplementedError

    def audited_name(self, target: Target) -> str:
        """As the audit has it."""
        raise NotImplementedError

    def audited_target(self, target: Target) -> str:
        return f"{self.target}/{target.ids[self.target]}" if self.target else ""

    def audited_subjects(self, caller: Caller) -> Subjects:
        if self.uploads:
            return frozenset({(NEW_PATIENT, UploadUIDs(NEW_PATIENT, self.upload_key(caller)).study)})
        return self.subjects

    def upload_key(self, caller: Caller) -> str:
        return f"{caller.name}, {self.audited_name(HERE)}"

    @property
    def is_graphql(self) -> bool:
        return isinstance(self, Field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Operation):
    """A root field of GraphQL: its name, and a query."""

    name: str
    query: str

    def send(self, caller: Caller, target: Target = HERE) -> Answer:
        if self.uploads:
            return send_upload(caller, GRAPHQL_PATH, patient_of(target), self.upload_key(caller))
        used = {name: value for name, value in target.variables.items() if f"${name}:" in self.query}
        return caller.graphql(self.query, used)

    def audited_name(self, target: Target) -> str:
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Operation):
    """A route of the REST API with a method; in `address`, `{}` are names of a target's variables."""

    method: str
    route: str
    address: str

    def send(self, caller: Caller, target: Target = HERE) -> Answer:
        if self.uploads:
            return send_upload(caller, f"{MOUNT}{self.address}", patient_of(target), self.upload_key(caller))
        return caller.rest(self.address.format_map(target.variables), self.method)

    def audited_name(self, target: Target) -> str:
        return f"{self.method} {MOUNT}{self.route}".replace("<str:", "{").replace(">", "}")


def patient_of(target: Target) -> str:
    """For whom is uploaded: somebody new, unless it is to be somebody else."""
    return NEW_PATIENT if target == HERE else target.patient_id


def send_upload(caller: Caller, address: str, patient_id: str, key: str) -> Answer:
    """Send a file."""
    files = [File(instance(patient=900), "ct")]
    form = GraphQL() if address == GRAPHQL_PATH else REST()
    body = form.body(files, patientId=patient_id, uploadKey=key)
    # who reads the study has that written down, too
    body = body.replace(b"study { orthancId", b"study @skip(if: true) { orthancId")
    return caller.send("POST", address, body, CONTENT_TYPE)


def _fields() -> Iterator[tuple[str, Operation]]:
    def field(name: str, query: str, counts: Mapping[str, int], **more: Any) -> tuple[str, Operation]:
        return f"Query.{name}", Field(name=name, query=query, counts=counts, **more)

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
        yield f"Query.{name} by {argument}", Field(name=name, query=by_uid, counts={level: 1}, **more)
    yield field("uploads", "{ uploads { totalCount results { uploadKey patientId } } }", {})
    yield field(
        "auditEvents",
        "{ auditEvents { totalCount results { id operation } } }",
        {},
        action=Action.VIEW_AUDIT,
        event=Event.AUDIT_LOG_USED,
    )
    yield field("viewer", "{ viewer { username actions scopes { kind value } } }", {}, action=None)
    yield field("server", "{ server { version patientsCount } }", {})
    yield (
        "Mutation.uploadPatient",
        Field(
            name="uploadPatient",
            query="",
            action=Action.UPLOAD,
            event=Event.IMPORT,
            counts={"instances": 1, "alreadyStored": 0, "failed": 0},
            changes=True,
        ),
    )
    for name, level, subjects, counts in DELETIONS:
        for dry_run in (False, True):
            read = {"patients": 1, "studies": 2} if name == "patient" else {"patients": 1, "studies": 1}
            query = (
                f"mutation(${name}: ID!) {{ delete{name.title()}(orthancId: ${name}, dryRun: {str(dry_run).lower()}) "
                "{ dryRun deletedIds instancesCount } }"
            )
            deletion = Field(
                name=f"delete{name.title()}",
                query=query,
                action=Action.DELETE,
                event=Event.ACCESSED if dry_run else Event.DELETION,
                subjects=subjects | OF_PATIENT if dry_run and name != "patient" else subjects,
                counts=read if dry_run else counts,
                levels=(level,),
                changes=not dry_run,
                target="" if dry_run else level,
            )
            yield f"Mutation.{deletion.name}{' as a dry run' if dry_run else ''}", deletion


DELETIONS: tuple[tuple[str, str, Subjects, Mapping[str, int]], ...] = (
    ("patient", "patients", OF_STUDIES, {"patients": 1, "studies": 2, "series": 4, "instances": 8}),
    ("study", "studies", OF_STUDY, {"studies": 1, "series": 2, "instances": 4}),
    ("series", "series", OF_STUDY, {"series": 1, "instances": 2}),
    ("instance", "instances", OF_STUDY, {"instances": 1}),
)


def _routes() -> Iterator[tuple[str, Operation]]:
    def route(method: str, name: str, address: str, counts: Mapping[str, int], **more: Any) -> Iterator[Any]:
        for slash in ("/", ""):
            path, _, query = address.partition("?")
            whole = f"{path}{slash}{'?' if query else ''}{query}"
            yield (
                f"{method} {name}{slash}",
                Route(
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
                action=Action.DOWNLOAD,
                event=Event.TRANSFERRED,
                subjects=subjects,
                levels=(level,),
                target=level,
            )
    for name, level, subjects, counts in DELETIONS:
        yield from route(
            "DELETE",
            f"{level}/<str:orthanc_id>",
            f"{level}/{{{name}}}",
            counts,
            action=Action.DELETE,
            event=Event.DELETION,
            subjects=subjects,
            levels=(level,),
            target=level,
            changes=True,
        )
    yield from route(
        "POST",
        "upload-patient",
        "upload-patient",
        {"instances": 1, "alreadyStored": 0, "failed": 0},
        action=Action.UPLOAD,
        event=Event.IMPORT,
        changes=True,
    )


def variable(level: str) -> str:
    return {"patients": "patient", "studies": "study", "series": "series", "instances": "instance"}[level]


OPERATIONS: Mapping[str, Operation] = {**dict(_fields()), **dict(_routes())}
OPEN = {"GET schema/": 200, "HEAD schema/": 200, "GET docs/": 200, "HEAD docs/": 200, "* ": 404}
"""What tells nothing of the archive: everybody gets the same, and nothing is written down of it."""


def all_fields() -> set[str]:
    """Every root field of the schema."""
    roots = (schema._schema.query_type, schema._schema.mutation_type, schema._schema.subscription_type)
    return {f"{kind.name}.{name}" for kind in roots if isinstance(kind, GraphQLObjectType) for name in kind.fields}


def all_routes() -> set[str]:
    """Every route of the REST API with each method that it takes."""
    found = set()
    for pattern in urls.urlpatterns:
        view: Any = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
        assert view, pattern
        methods = [name for name in view.http_method_names if hasattr(view, name) and name not in ("options", "trace")]
        methods += ["head"] if "get" in methods and "head" not in methods else []
        found |= {f"{method.upper()} {pattern.pattern}" for method in methods or "*"}
    return found
