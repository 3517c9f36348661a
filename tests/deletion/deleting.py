"""Archives to delete from, known by numbers, and deleting over both transports with its answer in one form for both."""

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

# patient, study, series, instance; one of a higher level has fewer numbers
Place = tuple[int, ...]
TWIN, ITS_TWIN = 5, 6  # patients with the same study, by its UID

ARCHIVE: frozenset[Place] = frozenset({
    (1, 1, 1, 1), (1, 1, 1, 2), (1, 1, 1, 3), (1, 1, 2, 1), (1, 1, 2, 2), (1, 2, 1, 1), (1, 2, 1, 2),
    (2, 1, 1, 1),
    (3, 1, 1, 1), (3, 1, 1, 2), (3, 2, 1, 1),
    (4, 1, 1, 1), (4, 1, 2, 1),
    (TWIN, 1, 1, 1), (TWIN, 1, 1, 2), (ITS_TWIN, 1, 1, 1), (ITS_TWIN, 1, 1, 2),
})  # fmt: skip


@cache
def file(place: Place) -> bytes:
    """The instance at a place."""
    patient, *numbers = place
    if patient == ITS_TWIN:
        return instance(TWIN, *numbers, PatientID=f"P{ITS_TWIN:03d}")
    return instance(*place)


def identifiers(place: Place) -> list[str]:
    """PatientID and UIDs of what is at a place, as `tests.corpus` gives them."""
    root = f"{ROOT}.{TWIN if place[0] == ITS_TWIN else place[0]}"
    return [f"P{place[0]:03d}", *(".".join([root, *map(str, place[1 : end + 1])]) for end in range(1, len(place)))]


def level_of(place: Place) -> Level:
    return list(Level)[len(place) - 1]


@dataclass(frozen=True, slots=True, order=True)
class One:
    """A resource: its level's path and its Orthanc id."""

    level: str
    orthanc_id: str


def one(place: Place) -> One:
    """What is at a place, with the id that Orthanc makes for it."""
    digest = hashlib.sha1("|".join(identifiers(place)).encode(), usedforsecurity=False).hexdigest()
    return One(level_of(place).path, "-".join(digest[start : start + 8] for start in range(0, 40, 8)))


def resources(places: Iterable[Place]) -> frozenset[One]:
    """All that is there when there are these instances: they, and what is above them."""
    return frozenset(one(place[:end]) for place in places for end in range(1, 5))


def without(place: Place, places: Collection[Place]) -> frozenset[Place]:
    """The instances that are left when what is at a place is deleted."""
    return frozenset(other for other in places if other[: len(place)] != place)


def stored(orthanc: LocalOrthanc) -> frozenset[One]:
    """All that Orthanc has; its statistics say the same."""
    found = {level: json.loads(ask(orthanc, f"/{level.path}")) for level in Level}
    statistics = json.loads(ask(orthanc, "/statistics"))
    for level, ids in found.items():
        assert statistics[f"Count{level.path.capitalize()}"] == len(ids)
    return frozenset(One(level.path, orthanc_id) for level, ids in found.items() for orthanc_id in ids)


def refill(orthanc: LocalOrthanc, places: Collection[Place] = ARCHIVE) -> None:
    """Let these instances be in Orthanc, and nothing else."""
    before = stored(orthanc)
    for other in before - resources(places):
        if other.level == Level.INSTANCE.path:
            ask(orthanc, f"/instances/{other.orthanc_id}", "DELETE")
    load(orthanc, [file(place) for place in sorted(places) if one(place) not in before])
    assert stored(orthanc) == resources(places)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a deletion said: what went, the resource first; or, with a code, why it did not."""

    deleted: tuple[One, ...] = ()
    remaining: One | None = None
    instances: int = 0
    status: int = 200
    code: str = ""
    message: str = ""


def expected(place: Place, places: Collection[Place] = ARCHIVE) -> Answer:
    """What deleting what is at a place has to say, when there are these instances."""
    left = resources(without(place, places))
    chain = [one(place[:end]) for end in range(len(place), 0, -1)]
    remaining = next((above for above in chain if above in left), None)
    return Answer(
        tuple(above for above in chain if above not in left), remaining, len(places) - len(without(place, places))
    )


class Send(Protocol):
    """Sends a request to the gateway; returns the status and the JSON of its answer."""

    def __call__(self, method: str, path: str, body: bytes = ..., /) -> tuple[int, Any]: ...


def in_process(method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """Send it to the gateway of this process."""
    client = Client(raise_request_exception=False)
    answer = client.generic(method, path, body, content_type="application/json")
    return answer.status_code, answer.json()


def over_http(port: int) -> Send:
    """Send it to a gateway that runs on a port of this machine."""

    def send(method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return send


Transport = Callable[[str, str], Answer]

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
class GraphQL:
    """The mutations."""

    send: Send = in_process

    def __call__(self, level: str, orthanc_id: str, **variables: Any) -> Answer:
        """Delete a resource."""
        query = MUTATION % PATHS[level].value
        body = {"query": query, "variables": {"id": orthanc_id, **variables}}
        status, content = self.send("POST", "/graphql/", json.dumps(body).encode())
        if "errors" in content:
            [error] = content["errors"]
            assert content["data"] is None
            return Answer(status=status, code=error["extensions"]["code"], message=error["message"])
        payload = content["data"]["deletion"]
        deleted = payload["deleted"]
        assert payload["dryRun"] is bool(variables.get("dryRun"))
        assert payload["deletedIds"] == [to_base64(NAMES[each["level"]].value, each["orthancId"]) for each in deleted]
        return Answer(
            tuple(One(NAMES[each["level"]].path, each["orthancId"]) for each in deleted),
            _remaining(payload["remainingAncestor"]),
            payload["instancesCount"],
            status,
        )


def _remaining(node: Mapping[str, str] | None) -> One | None:
    if node is None:
        return None
    assert node["id"] == to_base64(node["__typename"], node["orthancId"])
    return One(Level(node["__typename"]).path, node["orthancId"])


@dataclass(frozen=True, slots=True)
class REST:
    """`DELETE {level}/{id}/`."""

    send: Send = in_process

    def __call__(self, level: str, orthanc_id: str) -> Answer:
        """Delete a resource."""
        status, content = self.send("DELETE", f"/api/orthanc/{level}/{orthanc_id}/")
        if status != 200:
            assert set(content) == {"detail", "code", *(["requestId"] if status == 500 else [])}
            return Answer(status=status, code=content["code"], message=content["detail"])
        assert set(content) == {"deleted", "removedAncestors", "remainingAncestor", "instancesCount"}
        remaining = content["remainingAncestor"]
        return Answer(
            tuple(map(_named, [content["deleted"], *content["removedAncestors"]])),
            _named(remaining) if remaining else None,
            content["instancesCount"],
            status,
        )


def _named(resource: Mapping[str, str]) -> One:
    assert set(resource) == {"level", "orthancId"}
    level = NAMES[resource["level"].upper()]
    assert resource["level"] == level.value.lower()
    return One(level.path, resource["orthancId"])


TRANSPORTS: Mapping[str, type[GraphQL | REST]] = {"GraphQL": GraphQL, "REST": REST}


class DeleteProxy(RecordingProxy):
    """Does something at the moment when a DELETE comes, before it is passed on, or fails by `fault` alone."""

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.on_delete: Callable[[], object] = lambda: None
        self.fault = Fault()

    @property
    def deletes(self) -> list[str]:
        """The paths of the DELETEs that came."""
        return [request.path for request in self.requests if request.method == "DELETE"]

    def received(self, request: Request) -> Fault:
        fault = super().received(request)
        if request.method != "DELETE":
            return fault
        self.on_delete()
        return self.fault
