"""Numbered archives to delete from, and deletions over GraphQL and REST whose results have one form."""

import hashlib
import http.client
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from django.test import Client
from strawberry.relay import to_base64

from orthancproxy.archive.levels import Level
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ROOT, ask, instance, load
from tests.proxy import Fault, RecordingProxy, Request

# the numbers of a patient, study, series and instance; a resource of a higher level has fewer numbers
Place = tuple[int, ...]
FIRST_TWIN, SECOND_TWIN = 5, 6  # two patients with studies of the same StudyInstanceUID

ARCHIVE: frozenset[Place] = frozenset({
    (1, 1, 1, 1), (1, 1, 1, 2), (1, 1, 1, 3), (1, 1, 2, 1), (1, 1, 2, 2), (1, 2, 1, 1), (1, 2, 1, 2),
    (2, 1, 1, 1),
    (3, 1, 1, 1), (3, 1, 1, 2), (3, 2, 1, 1),
    (4, 1, 1, 1), (4, 1, 2, 1),
    (FIRST_TWIN, 1, 1, 1), (FIRST_TWIN, 1, 1, 2), (SECOND_TWIN, 1, 1, 1), (SECOND_TWIN, 1, 1, 2),
})  # fmt: skip


@cache
def instance_file(place: Place) -> bytes:
    """Return the file of the instance at a place."""
    patient, *numbers = place
    if patient == SECOND_TWIN:
        return instance(FIRST_TWIN, *numbers, PatientID=f"P{SECOND_TWIN:03d}")
    return instance(*place)


def identifiers(place: Place) -> list[str]:
    """Return the PatientID and the UIDs of the resource at a place, as `tests.corpus` makes them."""
    root = f"{ROOT}.{FIRST_TWIN if place[0] == SECOND_TWIN else place[0]}"
    return [f"P{place[0]:03d}", *(".".join([root, *map(str, place[1 : end + 1])]) for end in range(1, len(place)))]


def level_of(place: Place) -> Level:
    return list(Level)[len(place) - 1]


@dataclass(frozen=True, slots=True, order=True)
class StoredResource:
    """A resource in Orthanc: the path of its level, and its Orthanc id."""

    level: str
    orthanc_id: str


def resource_at(place: Place) -> StoredResource:
    """Return the resource at a place, with the id that Orthanc derives for it."""
    digest = hashlib.sha1("|".join(identifiers(place)).encode(), usedforsecurity=False).hexdigest()
    return StoredResource(level_of(place).path, "-".join(digest[start : start + 8] for start in range(0, 40, 8)))


def resources_of(places: Iterable[Place]) -> frozenset[StoredResource]:
    """Return the instances at these places and their series, studies and patients."""
    return frozenset(resource_at(place[:end]) for place in places for end in range(1, 5))


def without(place: Place, places: Collection[Place]) -> frozenset[Place]:
    """Return the instances that remain after the resource at a place is deleted."""
    return frozenset(other for other in places if other[: len(place)] != place)


def stored_resources(orthanc: LocalOrthanc) -> frozenset[StoredResource]:
    """Return all resources in Orthanc; assert that its statistics agree."""
    found = {level: json.loads(ask(orthanc, f"/{level.path}")) for level in Level}
    statistics = json.loads(ask(orthanc, "/statistics"))
    for level, ids in found.items():
        assert statistics[f"Count{level.path.capitalize()}"] == len(ids)
    return frozenset(StoredResource(level.path, orthanc_id) for level, ids in found.items() for orthanc_id in ids)


def refill(orthanc: LocalOrthanc, places: Collection[Place] = ARCHIVE) -> None:
    """Make Orthanc have exactly these instances."""
    before = stored_resources(orthanc)
    for other in before - resources_of(places):
        if other.level == Level.INSTANCE.path:
            ask(orthanc, f"/instances/{other.orthanc_id}", "DELETE")
    load(orthanc, [instance_file(place) for place in sorted(places) if resource_at(place) not in before])
    assert stored_resources(orthanc) == resources_of(places)


@dataclass(frozen=True, slots=True)
class DeletionResult:
    """The result of a deletion: the deleted resource and its deleted ancestors, or the code of an error."""

    deleted: tuple[StoredResource, ...] = ()
    remaining: StoredResource | None = None
    instances: int = 0
    status: int = 200
    code: str = ""
    message: str = ""


def expected_result(place: Place, places: Collection[Place] = ARCHIVE) -> DeletionResult:
    """Return the result of deleting the resource at a place from an archive with these instances."""
    left = resources_of(without(place, places))
    chain = [resource_at(place[:end]) for end in range(len(place), 0, -1)]
    remaining = next((above for above in chain if above in left), None)
    return DeletionResult(
        tuple(above for above in chain if above not in left), remaining, len(places) - len(without(place, places))
    )


class Send(Protocol):
    """Sends a request to the gateway; returns the status and the JSON of its answer."""

    def __call__(self, method: str, path: str, body: bytes = ..., /) -> tuple[int, Any]: ...


def in_process(method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """Send a request to the gateway in this process."""
    client = Client(raise_request_exception=False)
    answer = client.generic(method, path, body, content_type="application/json")
    return answer.status_code, answer.json()


def over_http(port: int) -> Send:
    """Return a function that sends requests to a gateway on a local port."""

    def send(method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return send


MUTATION = """
mutation Delete($id: ID!, $dryRun: Boolean) {
  deletion: delete%s(orthancId: $id, dryRun: $dryRun) {
    dryRun deleted { level orthancId } deletedIds instancesCount remainingAncestor { __typename ...Left }
  }
}
fragment Left on Node { id ... on Patient { orthancId } ... on Study { orthancId } ... on Series { orthancId } }
"""
PATHS: Mapping[str, Level] = {level.path: level for level in Level}
NAMES: Mapping[str, Level] = {level.name: level for level in Level}


@dataclass(frozen=True, slots=True)
class GraphQLDeletion:
    """Deletion by the GraphQL mutations."""

    send: Send = in_process

    def __call__(self, level: str, orthanc_id: str, **variables: Any) -> DeletionResult:
        """Delete a resource."""
        query = MUTATION % PATHS[level].value
        body = {"query": query, "variables": {"id": orthanc_id, **variables}}
        status, content = self.send("POST", "/graphql/", json.dumps(body).encode())
        if "errors" in content:
            [error] = content["errors"]
            assert content["data"] is None
            return DeletionResult(status=status, code=error["extensions"]["code"], message=error["message"])
        payload = content["data"]["deletion"]
        deleted = payload["deleted"]
        assert payload["dryRun"] is bool(variables.get("dryRun"))
        assert payload["deletedIds"] == [to_base64(NAMES[each["level"]].value, each["orthancId"]) for each in deleted]
        return DeletionResult(
            tuple(StoredResource(NAMES[each["level"]].path, each["orthancId"]) for each in deleted),
            _remaining(payload["remainingAncestor"]),
            payload["instancesCount"],
            status,
        )


def _remaining(node: Mapping[str, str] | None) -> StoredResource | None:
    if node is None:
        return None
    assert node["id"] == to_base64(node["__typename"], node["orthancId"])
    return StoredResource(Level(node["__typename"]).path, node["orthancId"])


@dataclass(frozen=True, slots=True)
class RESTDeletion:
    """Deletion by `DELETE {level}/{id}/`."""

    send: Send = in_process

    def __call__(self, level: str, orthanc_id: str) -> DeletionResult:
        """Delete a resource."""
        status, content = self.send("DELETE", f"/api/orthanc/{level}/{orthanc_id}/")
        if status != 200:
            assert set(content) == {"detail", "code", *(["requestId"] if status == 500 else [])}
            return DeletionResult(status=status, code=content["code"], message=content["detail"])
        assert set(content) == {"deleted", "removedAncestors", "remainingAncestor", "instancesCount"}
        remaining = content["remainingAncestor"]
        return DeletionResult(
            tuple(map(_resource, [content["deleted"], *content["removedAncestors"]])),
            _resource(remaining) if remaining else None,
            content["instancesCount"],
            status,
        )


def _resource(resource: Mapping[str, str]) -> StoredResource:
    assert set(resource) == {"level", "orthancId"}
    level = NAMES[resource["level"].upper()]
    assert resource["level"] == level.value.lower()
    return StoredResource(level.path, resource["orthancId"])


Transport = GraphQLDeletion | RESTDeletion
TRANSPORTS: Mapping[str, type[Transport]] = {"GraphQL": GraphQLDeletion, "REST": RESTDeletion}


class DeleteProxy(RecordingProxy):
    """A proxy that calls `on_delete` before it forwards a DELETE, and answers it with `fault` if that is set."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.on_delete: Callable[[], object] = lambda: None
        self.fault = Fault()

    @property
    def deletes(self) -> list[str]:
        """The paths of the DELETE requests."""
        return [request.path for request in self.requests if request.method == "DELETE"]

    def received(self, request: Request) -> Fault:
        fault = super().received(request)
        if request.method != "DELETE":
            return fault
        self.on_delete()
        return self.fault
