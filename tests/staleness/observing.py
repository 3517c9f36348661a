"""What a gateway shows to a caller, and what it must show of a snapshot."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from tests.archive.oracle import OF_ORTHANC, ROOT_FIELDS, SHOWN, Request, request
from tests.archive.oracle_archive import IDENTIFIERS, LEVELS, Node, Scope, levels_of
from tests.archive.oracle_values import integer_of, shown
from tests.staleness.connection import Connection
from tests.staleness.snapshot import Snapshot

ONE = {"patients": "patient", "studies": "study", "series": "series", "instances": "instance"}
# the fields of REST, as text without padding
REST_FIELDS: dict[str, dict[str, str]] = {
    "patients": {"patientId": "PatientID", "patientName": "PatientName"},
    "studies": {
        "studyInstanceUID": "StudyInstanceUID",
        "description": "StudyDescription",
        "studyDate": "StudyDate",
    },
    "series": {
        "seriesInstanceUID": "SeriesInstanceUID",
        "description": "SeriesDescription",
        "modality": "Modality",
        "seriesNumber": "SeriesNumber",
    },
    "instances": {
        "instanceNumber": "InstanceNumber",
        "sopInstanceUID": "SOPInstanceUID",
        "rows": "Rows",
        "sliceLocation": "SliceLocation",
    },
}
CHILD_COUNTS = {"patients": "studiesCount", "studies": "seriesCount", "series": "instancesCount"}
PARENT_PARAMETERS = {"studies": "patient_id", "series": "study_id", "instances": "series_id"}


class Gateway:
    """A gateway, for callers with several scopes."""

    def __init__(self, port: int, tokens: dict[Scope | None, str]) -> None:
        self.connection = Connection(port)
        self._tokens = tokens
        self._address = f"http://127.0.0.1:{port}".encode()

    def let(self, route: str) -> Any:
        """Let the gateway do something at once, by a route of `server`."""
        status, content = self.connection.call("POST", route)
        assert status == 200, content
        return json.loads(content)

    def graphql(self, query: str, scope: Scope | None = None, **variables: Any) -> dict[str, Any]:
        """The data of a response."""
        body = {"query": query, "variables": variables}
        status, content = self.connection.call("POST", "/graphql/", body, **self.headers(scope))
        answer = json.loads(content.replace(self._address, b""))
        assert status == 200, answer
        assert "errors" not in answer, (query, answer["errors"])
        data: dict[str, Any] = answer["data"]
        return data

    def get(self, path: str, scope: Scope | None = None) -> tuple[int, Any]:
        """The status and the content of a response of the REST API."""
        status, content = self.connection.call("GET", f"/api/orthanc/{path}", **self.headers(scope))
        return status, json.loads(content)

    def pages(self, one: Request, scope: Scope | None) -> tuple[list[Any], set[int]]:
        """All nodes of a list, page by page, and the totals that came with them."""
        found: list[Any] = []
        totals = set()
        after = None
        while True:
            page = self.graphql(one.query(), scope, after=after)[ROOT_FIELDS[one.level]]
            totals.add(page["totalCount"])
            found += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return found, totals
            after = page["pageInfo"]["endCursor"]

    def headers(self, scope: Scope | None = None) -> dict[str, str]:
        """The headers that authenticate a caller."""
        return {"Authorization": f"Bearer {self._tokens[scope]}"}


class Observer:
    """Compares what a gateway shows with a snapshot, by requests that are chosen at random."""

    def __init__(self, chance: random.Random, scopes: Iterable[Scope | None]) -> None:
        self._chance = chance
        self._scopes = list(scopes)

    def compare(self, gateway: Gateway, snapshot: Snapshot, past: Mapping[str, set[str]], *, is_swept: bool) -> None:
        """Assert that rows are the snapshot's, and if the index was swept since the last change, totals too."""
        self._compare_list(gateway, snapshot.visible(None), self._whole(), None, totals=is_swept)
        scope = self._chance.choice(self._scopes)
        visible = snapshot.visible(scope)
        match self._chance.choice(["list", "list", "one", "REST"]):
            case "list":
                one = request(self._chance, snapshot.as_archive(), True, of_orthanc=True)
                if not is_swept:
                    # studies change their place when something in them is deleted behind the gateway
                    one = replace(one, orders=[key for key in one.orders if key[0] != "LAST_UPDATE"])
                self._compare_list(gateway, visible, one, scope, totals=is_swept)
            case "one":
                level = self._chance.choice([level for level in LEVELS if past[level]] or [""])
                if level:
                    self._compare_one(gateway, visible, level, self._chance.choice(sorted(past[level])), scope)
            case _:
                self._compare_rest(gateway, visible, scope)

    def compare_totals(self, gateway: Gateway, snapshot: Snapshot) -> None:
        """Assert that the totals of root lists are exact."""
        for level in ("patients", "studies"):
            scope = self._chance.choice(self._scopes)
            self._compare_list(gateway, snapshot.visible(scope), Request(level, first=2), scope, totals=True)

    def _compare_list(
        self, gateway: Gateway, visible: list[Node], one: Request, scope: Scope | None, *, totals: bool
    ) -> None:
        expected = one.expected(levels_of(visible, one.level))
        found, counted = gateway.pages(one, scope)
        assert found == expected, _difference(one.query(), scope, found, expected)
        if totals:
            assert counted == {len(expected)}, (one.query(), scope)

    def _compare_one(
        self, gateway: Gateway, visible: list[Node], level: str, orthanc_id: str, scope: Scope | None
    ) -> None:
        one = replace(self._below(level), parents=self._chance.random() < 0.5)
        node = next((node for node in levels_of(visible, level) if node.orthanc_id == orthanc_id), None)
        query = f'{{ one: {ONE[level]}(orthancId: "{orthanc_id}") {one.selection()} }}'
        found, expected = gateway.graphql(query, scope)["one"], node and one.values(node)
        assert found == expected, _difference(query, scope, [found], [expected])

    def _compare_rest(self, gateway: Gateway, visible: list[Node], scope: Scope | None) -> None:
        level = self._chance.choice(LEVELS)
        parents = levels_of(visible, LEVELS[LEVELS.index(level) - 1]) if level != "patients" else []
        path, children = "patients/", visible
        if level != "patients":
            if not parents:
                return
            parent = self._chance.choice(parents)
            path, children = f"{level}/?{PARENT_PARAMETERS[level]}={parent.orthanc_id}", parent.children
        status, found = gateway.get(path, scope)
        assert status == 200, (path, scope, found)
        rows = [{name: row[name] for name in _rest(node)} for node, row in zip(children, found, strict=False)]
        assert rows == [_rest(node) for node in Request(level).sorted(children)], (path, scope)
        assert len(found) == len(children), (path, scope)

    def _whole(self) -> Request:
        """All resources from a level down to the instances."""
        return replace(self._below(self._chance.choice(LEVELS)), first=self._chance.choice([5, 1000, 1000]))

    def _below(self, level: str) -> Request:
        every = [*SHOWN[level], *OF_ORTHANC[level]]
        fields = tuple(self._chance.sample(every, self._chance.choice([0, 1, 3])))
        made = Request(level, fields)
        if level == LEVELS[-1]:
            return made
        return replace(made, children=self._below(LEVELS[LEVELS.index(level) + 1]))


def _difference(query: str, scope: Scope | None, found: list[Any], expected: list[Any]) -> str:
    pairs = zip_longest(found, expected)
    first = next((pair for pair in pairs if pair[0] != pair[1]), None)
    return f"{query} as {scope}: {len(found)} rows of {len(expected)}, found and expected: {first}"


def _rest(node: Node) -> dict[str, Any]:
    values: dict[str, Any] = {"orthancId": node.orthanc_id}
    values |= {name: shown(node.tags[tag]) for name, tag in REST_FIELDS[node.level].items()}
    if node.level in CHILD_COUNTS:
        values[CHILD_COUNTS[node.level]] = len(node.children)
    else:
        series = node.parent
        assert series
        values["instanceNumberInt"] = integer_of(node.tags["InstanceNumber"])
        values |= {name: shown(series.tags[IDENTIFIERS[level]]) for name, level in _ABOVE.items()}
    return values


_ABOVE = {"patientId": "patients", "studyInstanceUID": "studies", "seriesInstanceUID": "series"}
