"""Whatever is given for an id, on whatever route or argument: Orthanc never sees a path that was made of it."""

import base64
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from django.contrib.auth.models import User
from django.test import Client
from graphql import GraphQLArgument, GraphQLInputField, GraphQLInputObjectType, GraphQLObjectType, get_named_type
from pytest_django import Settings

from orthancproxy import urls
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.endpoints import Endpoint
from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.schema import schema
from tests.hostile_ids import HOSTILE_IDS, SOME_ID
from tests.proxy import RecordingProxy, Request

pytestmark = pytest.mark.live

MOUNT = "/api/orthanc/"
LEVELS = ("Patient", "Study", "Series", "Instance")

# every GraphQL argument and input field that takes an id, an identifier or a cursor; `value` is that of `tags`
ARGUMENTS = {
    "Query.node(id)": "node(id: $it) { id }",
    "Query.nodes(ids)": "nodes(ids: [$it]) { id }",
    "Query.patient(orthancId)": "patient(orthancId: $it) { id }",
    "Query.patient(patientId)": "patient(patientId: $it) { id }",
    "Query.study(orthancId)": "study(orthancId: $it) { id }",
    "Query.study(studyInstanceUID)": "study(studyInstanceUID: $it) { id }",
    "Query.series(orthancId)": "series(orthancId: $it) { id }",
    "Query.series(seriesInstanceUID)": "series(seriesInstanceUID: $it) { id }",
    "Query.instance(orthancId)": "instance(orthancId: $it) { id }",
    "Query.instance(sopInstanceUID)": "instance(sopInstanceUID: $it) { id }",
    "Query.patients(after)": "patients(after: $it) { nodes { id } }",
    "Query.studies(after)": "studies(after: $it) { nodes { id } }",
    "Query.seriesList(after)": "seriesList(after: $it) { nodes { id } }",
    "Query.instances(after)": "instances(after: $it) { nodes { id } }",
    "Query.uploads(after)": "uploads(after: $it) { nodes { id: uploadKey } }",
    "Query.archiveChanges(after)": "archiveChanges(after: $it) { nodes { cursor } }",
    "Subscription.archiveChanges(after)": "archiveChanges(after: $it) { cursor }",
    "Query.auditEvents(after)": "auditEvents(after: $it) { nodes { id } }",
    "Query.patients(filter.patientId)": "patients(filter: {patientId: $it}) { nodes { id } }",
    "Query.patients(filter.tags.value)": (
        'patients(filter: {tags: [{keyword: "PatientID", value: $it}]}) { nodes { id } }'
    ),
    "Query.studies(filter.patientId)": "studies(filter: {patientId: $it}) { nodes { id } }",
    "Query.studies(filter.studyInstanceUIDs)": "studies(filter: {studyInstanceUIDs: [$it]}) { nodes { id } }",
    "Query.studies(filter.tags.value)": (
        'studies(filter: {tags: [{keyword: "StudyInstanceUID", value: $it}]}) { nodes { id } }'
    ),
    "Query.seriesList(filter.seriesInstanceUIDs)": "seriesList(filter: {seriesInstanceUIDs: [$it]}) { nodes { id } }",
    "Query.seriesList(filter.tags.value)": (
        'seriesList(filter: {tags: [{keyword: "SeriesInstanceUID", value: $it}]}) { nodes { id } }'
    ),
    "Query.instances(filter.sopInstanceUIDs)": "instances(filter: {sopInstanceUIDs: [$it]}) { nodes { id } }",
    "Query.instances(filter.sopClassUIDs)": "instances(filter: {sopClassUIDs: [$it]}) { nodes { id } }",
    "Query.instances(filter.tags.value)": (
        'instances(filter: {tags: [{keyword: "SOPInstanceUID", value: $it}]}) { nodes { id } }'
    ),
    "Patient.studies(filter.patientId)": "patients { nodes { studies(filter: {patientId: $it}) { id } } }",
    "Patient.studies(filter.studyInstanceUIDs)": (
        "patients { nodes { studies(filter: {studyInstanceUIDs: [$it]}) { id } } }"
    ),
    "Patient.studies(filter.tags.value)": (
        'patients { nodes { studies(filter: {tags: [{keyword: "PatientID", value: $it}]}) { id } } }'
    ),
    "Study.series(filter.seriesInstanceUIDs)": (
        "studies { nodes { series(filter: {seriesInstanceUIDs: [$it]}) { id } } }"
    ),
    "Study.series(filter.tags.value)": (
        'studies { nodes { series(filter: {tags: [{keyword: "SeriesInstanceUID", value: $it}]}) { id } } }'
    ),
    "Series.instances(filter.sopInstanceUIDs)": (
        "seriesList { nodes { instances(filter: {sopInstanceUIDs: [$it]}) { id } } }"
    ),
    "Series.instances(filter.sopClassUIDs)": (
        "seriesList { nodes { instances(filter: {sopClassUIDs: [$it]}) { id } } }"
    ),
    "Query.auditEvents(filter.patientId)": "auditEvents(filter: {patientId: $it}) { nodes { id } }",
    "Query.auditEvents(filter.studyInstanceUID)": "auditEvents(filter: {studyInstanceUID: $it}) { nodes { id } }",
    "Query.auditEvents(filter.requestId)": "auditEvents(filter: {requestId: $it}) { nodes { id } }",
    "Query.uploads(filter.patientId)": "uploads(filter: {patientId: $it}) { nodes { id: uploadKey } }",
    "Query.shares(after)": "shares(after: $it) { nodes { id } }",
    "Query.shares(filter.studyOrthancId)": "shares(filter: {studyOrthancId: $it}) { nodes { id } }",
    # any payload is one too many
    "Mutation.deletePatient(orthancId)": "deletePatient(orthancId: $it) { id: deletedIds }",
    "Query.trash(after)": "trash(after: $it) { nodes { id } }",
    "Mutation.restoreStudy(orthancId)": "restoreStudy(orthancId: $it) { id: orthancId }",
    "Mutation.deleteStudy(orthancId)": "deleteStudy(orthancId: $it) { id: deletedIds }",
    "Mutation.deleteSeries(orthancId)": "deleteSeries(orthancId: $it) { id: deletedIds }",
    "Mutation.deleteInstance(orthancId)": "deleteInstance(orthancId: $it) { id: deletedIds }",
    "Mutation.addLabels(orthancId)": 'addLabels(level: STUDY, orthancId: $it, labels: ["a"]) { id: orthancId }',
    "Mutation.removeLabels(orthancId)": 'removeLabels(level: SERIES, orthancId: $it, labels: ["a"]) { id: orthancId }',
    "Mutation.shareStudy(input.studyOrthancId)": (
        'shareStudy(input: {studyOrthancId: $it, actions: [VIEW], expiresAt: "2100-01-01T00:00:00Z"}) { share { id } }'
    ),
    "Mutation.revokeShare(id)": "revokeShare(id: $it) { share { id } }",
    "Query.jobs(after)": "jobs(after: $it) { nodes { id } }",
    "Query.job(id)": "job(id: $it) { id }",
    "Subscription.jobUpdates(id)": "jobUpdates(id: $it) { id }",
    "Mutation.cancelJob(id)": "cancelJob(id: $it) { job { id } }",
    "Mutation.sendToModality(input.orthancIds)": (
        'sendToModality(input: {modality: "PACS", level: STUDY, orthancIds: [$it]}) { job { id } }'
    ),
    # no such server either
    "Mutation.sendToModality(input.clientMutationId)": (
        'sendToModality(input: {modality: "PACS", level: STUDY, orthancIds: [], clientMutationId: $it}) { job { id } }'
    ),
    **{
        f"Mutation.{name}(input.{field})": f"{name}(input: {{{given}}}) {{ instancesCount }}"
        for name in ("modifyPatient", "modifyStudy", "modifySeries")
        for field, given in (
            ("orthancId", 'orthancId: $it, replace: [{keyword: "StationName", value: "x"}]'),
            ("replace.value", 'orthancId: "", replace: [{keyword: "PatientID", value: $it}]'),
            ("clientMutationId", 'orthancId: "", replace: [], clientMutationId: $it'),
        )
    },
    "Mutation.mergeStudies(input.orthancId)": (
        'mergeStudies(input: {orthancId: $it, sources: ["x"]}) { instancesCount }'
    ),
    "Mutation.mergeStudies(input.clientMutationId)": (
        'mergeStudies(input: {orthancId: "", sources: [], clientMutationId: $it}) { instancesCount }'
    ),
    "Mutation.moveSeries(input.orthancIds)": "moveSeries(input: {orthancIds: [$it]}) { instancesCount }",
    "Mutation.moveSeries(input.studyOrthancId)": (
        'moveSeries(input: {orthancIds: ["x"], studyOrthancId: $it}) { instancesCount }'
    ),
    "Mutation.moveSeries(input.replace.value)": (
        'moveSeries(input: {orthancIds: [], replace: [{keyword: "StudyID", value: $it}]}) { instancesCount }'
    ),
    "Mutation.moveSeries(input.clientMutationId)": (
        "moveSeries(input: {orthancIds: [], clientMutationId: $it}) { instancesCount }"
    ),
    "Mutation.anonymizeStudy(input.orthancId)": "anonymizeStudy(input: {orthancId: $it}) { job { id } }",
    # no such study either
    **{
        f"Mutation.anonymizeStudy(input.{name})": (
            f'anonymizeStudy(input: {{orthancId: "", {name}: $it}}) {{ job {{ id }} }}'
        )
        for name in ("patientId", "clientMutationId")
    },
    "Query.findOnModality(filter.patientId)": (
        'findOnModality(modality: "PACS", filter: {patientId: $it}) { patientId }'
    ),
    "Query.findOnModality(filter.studyInstanceUIDs)": (
        'findOnModality(modality: "PACS", filter: {studyInstanceUIDs: [$it]}) { patientId }'
    ),
    "Mutation.retrieveFromModality(input.studyInstanceUIDs)": (
        'retrieveFromModality(input: {source: "PACS", studyInstanceUIDs: [$it]}) { job { id } }'
    ),
    "Mutation.retrieveFromModality(input.clientMutationId)": (
        'retrieveFromModality(input: {source: "PACS", studyInstanceUIDs: [], clientMutationId: $it}) { job { id } }'
    ),
    "Mutation.uploadPatient(input.patientId)": "uploadPatient(input: {files: [], patientId: $it}) { uploadKey }",
    "Series.instances(filter.tags.value)": (
        'seriesList { nodes { instances(filter: {tags: [{keyword: "SOPInstanceUID", value: $it}]}) { id } } }'
    ),
}
STRINGS = re.compile(r"patientId|requestId|after|value|clientMutationId")
TAKES_AN_ID = re.compile(r"^(ids?|after|value)$|(Id|Ids|UID|UIDs)$")

# every REST route with something variable in its path, and every `*_id` parameter
DELETED = {f"{level}/<str:orthanc_id>" for level in ("patients", "studies", "series", "instances")}
PATHS = {
    *DELETED,
    "instances/<str:orthanc_id>/file",
    "instances/<str:orthanc_id>/preview",
    "instances/<str:orthanc_id>/thumbnail",
    "patients/<str:orthanc_id>/archive",
    "studies/<str:orthanc_id>/archive",
    "series/<str:orthanc_id>/archive",
    "studies/<str:orthanc_id>/anonymized",
    "series/<str:orthanc_id>/thumbnail",
}
PARAMETERS = {"studies/?patient_id", "series/?study_id", "instances/?series_id"}
VARIABLE = re.compile(r"<[^>]*>")
REST_TARGETS = sorted(PATHS | {f"{path}/" for path in PATHS} | {f"{parameter}=<>" for parameter in PARAMETERS})

ALLOWED_PATHS = [
    re.compile(
        re.escape(value.template)
        .replace(r"\{level\}", "(patients|studies|series|instances)")
        .replace(r"\{id\}", "[0-9a-f]{8}(-[0-9a-f]{8}){4}")
        .replace(r"\{frame\}", "[0-9]+")
        .replace(r"\{label\}", "[0-9A-Za-z_-]{1,64}")
        + r"(\?[A-Za-z0-9=&,;-]+)?",
        re.ASCII,
    )
    for value in vars(endpoints).values()
    if isinstance(value, Endpoint)
]
PATH_STEPS = re.compile(rb"\.\./|\.\.%2f|%2e%2e", re.IGNORECASE)


def method_of(target: str) -> str:
    """The method that a target of REST has."""
    return "DELETE" if target.rstrip("/") in DELETED else "GET"


def assert_harmless(requests: list[Request]) -> None:
    """Fail when a request is not what the gateway asks by itself, or deletes."""
    for request in requests:
        assert request.method not in ("DELETE", "PUT"), request.path[:200]
        assert any(allowed.fullmatch(request.path) for allowed in ALLOWED_PATHS), request.path[:200]
        assert not PATH_STEPS.search(request.path.encode() + request.body), request.body[:200]


@pytest.fixture(scope="module")
def recorder(archive: LocalOrthanc) -> Iterator[RecordingProxy]:
    with RecordingProxy(archive.port) as running:
        yield running


@pytest.fixture
def proxy(recorder: RecordingProxy, settings: Settings) -> RecordingProxy:
    settings.ORTHANC_BASE_URL = recorder.base_url
    recorder.requests.clear()
    return recorder


def test_harmless_request_is_recognised(client: Client, proxy: RecordingProxy) -> None:
    """The other tests prove something only when the proxy sees what is asked."""
    assert client.get(f"{MOUNT}instances/{SOME_ID}/file/").status_code == 404
    assert any(SOME_ID in f"{request.path} {request.body.decode()}" for request in proxy.requests)
    assert_harmless(proxy.requests)
    with pytest.raises(AssertionError):
        assert_harmless([Request("GET", "/tools/reset", proxy.requests[0].headers, b"")])
    with pytest.raises(AssertionError):
        assert_harmless([Request("GET", f"/instances/{SOME_ID}/../../system", proxy.requests[0].headers, b"")])
    with pytest.raises(AssertionError):
        assert_harmless([Request("DELETE", f"/instances/{SOME_ID}", proxy.requests[0].headers, b"")])


# the threads that upload look after their connections to the database
@pytest.mark.django_db(transaction=True)
class TestGraphQL:
    def test_the_table_has_every_argument_that_takes_an_id(self) -> None:
        found = {
            f"{kind.name}.{name}({argument})"
            for kind in schema._schema.type_map.values()
            if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
            for name, field in kind.fields.items()
            for argument in id_arguments(field.args)
        }
        assert found == set(ARGUMENTS)

    @pytest.mark.parametrize("argument", ARGUMENTS)
    def test_hostile_ids_are_rejected_or_unknown(self, client: Client, proxy: RecordingProxy, argument: str) -> None:
        kind = "String!" if STRINGS.search(argument) else "ID!"
        root = argument.partition(".")[0].lower()
        operation = root if root in ("mutation", "subscription") else "query"
        query = f"{operation}($it: {kind}) {{ {ARGUMENTS[argument]} }}"
        # nobody changes labels without a name
        client.force_login(User.objects.create_superuser("root"), "orthancproxy.project.login.PasswordBackend")
        for name, hostile in HOSTILE_IDS.items():
            for given in (hostile, *disguised(argument, hostile)):
                answer = client.post(
                    "/graphql/", {"query": query, "variables": {"it": given}}, content_type="application/json"
                )
                # half a character is no JSON
                assert answer.status_code == (400 if "\ud800" in given else 200), name
                content = answer.json()
                codes = {error["extensions"]["code"] for error in content.get("errors", ())}
                assert codes <= {"BAD_USER_INPUT", "NOT_FOUND"}, name
                # an empty text is no criterion: everything matches
                assert not has_resources(content.get("data")) or (hostile == "" and "filter" in argument), name
                assert_harmless(proxy.requests)
        proxy.requests.clear()


def id_arguments(
    given: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField], within: tuple[str, ...] = ()
) -> Iterator[str]:
    """The arguments whose names say that they take an id, and the fields of input objects, joined by dots."""
    for name, argument in given.items():
        kind = get_named_type(argument.type)
        if isinstance(kind, GraphQLInputObjectType):
            if kind.name not in within:
                yield from (f"{name}.{below}" for below in id_arguments(kind.fields, (*within, kind.name)))
        elif TAKES_AN_ID.search(name):
            yield name


def disguised(argument: str, hostile: str) -> list[str]:
    """A hostile text inside of what the gateway itself gives out: global ids and cursors."""
    prefixes = {"id": LEVELS, "ids": LEVELS, "after": ("offset", "position")}
    name = argument.partition("(")[2].rstrip(")")
    return [
        base64.b64encode(f"{prefix}:{hostile}".encode(errors="surrogatepass")).decode()
        for prefix in prefixes.get(name, ())
    ]


def has_resources(data: Any) -> bool:
    match data:
        case dict():
            return "id" in data or any(map(has_resources, data.values()))
        case list():
            return any(map(has_resources, data))
        case _:
            return False


class TestREST:
    def test_the_table_has_every_route_and_parameter_that_takes_an_id(self, client: Client) -> None:
        routes = {str(route.pattern) for route in urls.urlpatterns if route.pattern.regex.groups}
        assert routes == PATHS | {f"{path}/" for path in PATHS}
        described = client.get(f"{MOUNT}schema/", headers={"accept": "application/json"}).json()["paths"]
        parameters = {
            f"{path.removeprefix(MOUNT)}?{parameter['name']}"
            for path, operations in described.items()
            for operation in operations.values()
            for parameter in operation.get("parameters", ())
            if parameter["in"] == "query" and re.search(r"(^|_)(u?id)s?$", parameter["name"])
        }
        assert parameters == PARAMETERS

    @pytest.mark.parametrize("target", REST_TARGETS)
    def test_hostile_ids_are_rejected_or_unknown(self, client: Client, proxy: RecordingProxy, target: str) -> None:
        for name, hostile in HOSTILE_IDS.items():
            path = address(target, quoted(hostile))
            if is_list(target, hostile):
                assert client.delete(path).status_code == 405
                continue
            answers = {method: client.generic(method, path) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")}
            assert answers[method_of(target)].status_code in (400, 404), name
            assert answers["HEAD"].status_code == answers["GET"].status_code, name
            for method, answer in answers.items():
                assert answer.status_code in (400, 404, 405), (name, method)
                assert answer["Content-Type"] == "application/json", (name, method)
                if method != "HEAD":
                    assert set(answer.json()) == {"detail", "code"}, (name, method)
            assert_harmless(proxy.requests)


def address(target: str, given: str) -> str:
    return MOUNT + VARIABLE.sub(lambda _: given, target)


def is_list(target: str, given: str) -> bool:
    """Whether the address is that of a list, which can't be deleted: nothing follows the level."""
    return given == "" and target in DELETED


def quoted(text: str) -> str:
    """The text as one segment of a path, or as the value of a parameter."""
    return quote_from_bytes(text.encode(errors="surrogatepass"), safe="")


@pytest.fixture(scope="module")
def gateway(recorder: RecordingProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the gateway as it is deployed. Django's test client would tidy paths up before it sends them."""
    with serving(recorder.base_url, tmp_path_factory.mktemp("gateway")) as running:
        yield running.port


def ask(port: int, target: str, method: str = "GET") -> tuple[int, str]:
    """Send a request line as it is; return the status and the media type of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    media_type = re.search(r"^content-type: *([^;\r\n]*)", head, re.IGNORECASE | re.MULTILINE)
    return int(head.split(" ")[1]), media_type[1] if media_type else ""


# what may stand in a request line: printable ASCII
RAW = {name: text for name, text in HOSTILE_IDS.items() if re.fullmatch(r"[!-~]*", text)}
ELSEWHERE = (
    "/../tools/reset",
    "//tools/reset",
    "/..%2ftools%2freset",
    "/graphql/../tools/reset",
    "/graphql/..%2f..%2ftools%2freset",
    "/static/..%2f..%2fsystem",
    "/static/../../../../etc/passwd",
    "/livez/../system",
    f"{MOUNT}../../tools/reset",
    f"{MOUNT}..%2f..%2ftools%2freset",
    f"{MOUNT}tools/reset",
    f"{MOUNT}system",
    f"{MOUNT}/instances//file/",
    f"{MOUNT}instances/..;/tools/reset/file/",
    f"{MOUNT}instances/%c0%ae%c0%ae%c0%afsystem/file/",
    f"{MOUNT}instances/..\\system/file/",
    f"{MOUNT}instances/..%5csystem/file/",
    f"{MOUNT}instances/{SOME_ID}%00/file/",
    f"{MOUNT}instances/{SOME_ID}%0a/file/",
    f"{MOUNT}instances/{SOME_ID}/file/%0a",
    f"{MOUNT}instances/{SOME_ID}/file/../../../../tools/reset",
    f"{MOUNT}instances/{SOME_ID}%2ffile/",
    "http://127.0.0.1/tools/reset",
)


class TestRequestLines:
    @pytest.mark.parametrize("target", REST_TARGETS)
    def test_hostile_ids_are_rejected_or_unknown(self, gateway: int, recorder: RecordingProxy, target: str) -> None:
        recorder.requests.clear()
        for name, hostile in RAW.items():
            for given in {hostile, quoted(hostile)}:
                method = method_of(target)
                status, media_type = ask(gateway, address(target, given), method)
                # the path ends at the question mark, and what has this path can't be read
                is_cut = given == f"{SOME_ID}?x=" and target.rstrip("/") in PATHS and method == "GET"
                refusals = (405,) if is_cut or is_list(target, hostile) else (400, 404)
                assert (status in refusals, media_type) == (True, "application/json"), name
        assert_harmless(recorder.requests)

    @pytest.mark.parametrize("target", ELSEWHERE)
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_other_urls_are_not_found(self, gateway: int, recorder: RecordingProxy, target: str, method: str) -> None:
        recorder.requests.clear()
        status, media_type = ask(gateway, target, method)
        assert status in (400, 404, 405)
        assert media_type == "application/json"
        assert_harmless(recorder.requests)

    def test_harmless_request_is_recognised(self, gateway: int, recorder: RecordingProxy) -> None:
        recorder.requests.clear()
        assert ask(gateway, f"{MOUNT}instances/{SOME_ID}/file/")[0] == 404
        assert any(SOME_ID in f"{request.path} {request.body.decode()}" for request in recorder.requests)
