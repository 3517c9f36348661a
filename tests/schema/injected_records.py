"""Records that no Orthanc has, in the place of those that the resolvers find: as many as wanted, or with faults."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from django.test import RequestFactory

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan
from orthancproxy.archive.records import RESOURCE_TYPES, Page, Resource
from orthancproxy.audit.events import Author
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.endpoints import STATISTICS, Endpoint
from orthancproxy.orthanc.find_limits import FindLimits
from orthancproxy.orthanc.plugins import Plugins
from orthancproxy.orthanc.responses import Statistics
from orthancproxy.resolvers import hierarchy
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.schema.context import GraphQLContext

RIGHT_TAGS: Mapping[str, Sequence[str]] = {
    "PatientID": ["P1", "P2"],
    "PatientName": ["Hong^Gildong=洪^吉洞=홍^길동", "Kim^Minsu", "X"],
    "PatientBirthDate": ["19500315"],
    "PatientSex": ["F", "M"],
    "NumberOfPatientRelatedStudies": ["2"],
    "NumberOfPatientRelatedInstances": ["20"],
    "StudyInstanceUID": ["1.2.3"],
    "StudyDate": ["20260131"],
    "StudyTime": ["101530.5"],
    "StudyDescription": ["Brain"],
    "ModalitiesInStudy": ["CT\\MR"],
    "NumberOfStudyRelatedSeries": ["3"],
    "NumberOfStudyRelatedInstances": ["30"],
    "SeriesInstanceUID": ["1.2.3.4"],
    "SeriesNumber": ["1", "2"],
    "Modality": ["CT"],
    "SeriesDate": ["20260131"],
    "SeriesTime": ["1015"],
    "NumberOfSeriesRelatedInstances": ["10"],
    "SOPInstanceUID": ["1.2.3.4.5"],
    "InstanceNumber": ["1", "2", "3"],
    "Rows": ["512"],
    "Columns": ["512"],
    "NumberOfFrames": ["1"],
    "PixelSpacing": ["0.5\\0.25"],
    "SliceThickness": ["1.5"],
    "SliceLocation": ["-10", "10.25"],
    "ImagePositionPatient": ["-100\\-90.5\\1"],
    "ImageOrientationPatient": ["1\\0\\0\\0\\1\\0"],
    "KVP": ["120"],
}
RIGHT_FACTS: Mapping[str, Sequence[Any]] = {
    "LastUpdate": ["20260131T101530"],
    "IsStable": [True, False],
    "Labels": [[], ["a", "b"]],
    "FileSize": [1234],
    "FileUuid": ["uuid"],
    "SopClassUid": ["1.2.840.10008.5.1.4.1.1.2"],
    "TransferSyntax": ["1.2.840.10008.1.2.1"],
}
WRONG_TAGS: Sequence[Any] = [
    "",
    "nonsense",
    "-1",
    "2147483648",
    "1e400",
    "0.5\\x",
    5,
    1.5,
    True,
    b"1",
    ["1"],
    {},
    object,
]
WRONG_FACTS: Sequence[Any] = [
    "",
    "12",
    "nonsense",
    2**31,
    -1,
    1.0,
    1.5,
    True,
    [None],
    ["a", 5],
    "ab",
    ("a", "b"),
    {"a": 1},
]
NO_MAPPINGS: Sequence[Any] = [None, {}, []]
NO_IDS: Sequence[Any] = [None, 5]
ODD_LISTS: Sequence[Callable[[list[Any]], Any]] = [
    tuple,
    iter,
    len,
    str,
    lambda items: dict(enumerate(items)),
    lambda items: dict(enumerate(items)).values(),
]
FAULTS = ("no tag", "no tags", "odd tag", "no fact", "odd fact", "no facts", "no id", "no link", "odd link", "odd item")


@dataclass(frozen=True)
class Archive:
    """What it holds, as what it is made from: the same one makes the same records for the same plan."""

    length: int
    seed: int = 0
    faults: Sequence[str] = ()
    rate: int = 0

    def page(self, _context: RequestContext, plan: LevelPlan) -> Page:
        """As `hierarchy.get_page`."""
        random = Random(f"{self.seed} page")
        return Page(tuple(self._records(plan, random)), random.random() < 0.5, 7 if plan.total else None)

    def one(self, _context: RequestContext, plan: LevelPlan, name: str) -> Resource | None:
        """As `hierarchy.get_by_orthanc_id` and `get_by_identifier`."""
        return self._record(plan, Random(f"{self.seed} {name}"), name)

    def several(self, _context: RequestContext, plan: LevelPlan, names: Sequence[str]) -> Mapping[str, Resource]:
        """As `hierarchy.get_by_orthanc_ids`."""
        return {name: self._record(plan, Random(f"{self.seed} {name}"), name) for name in names}

    def _records(self, plan: LevelPlan, random: Random) -> list[Resource]:
        length = random.choice([self.length, 0, 1]) if self.rate else self.length
        return [self._record(plan, random, f"{plan.level.value}-{index}") for index in range(length)]

    def _strikes(self, random: Random, fault: str) -> bool:
        return fault in self.faults and random.randrange(1000) < self.rate

    def _record(self, plan: LevelPlan, random: Random, name: str) -> Resource:
        tags: Any = {keyword: random.choice(values) for keyword, values in RIGHT_TAGS.items()}
        for keyword in RIGHT_TAGS:
            if self._strikes(random, "no tag"):
                del tags[keyword]
            elif self._strikes(random, "odd tag"):
                tags[keyword] = random.choice(WRONG_TAGS)
        facts: Any = {fact: random.choice(values) for fact, values in RIGHT_FACTS.items()}
        for fact in RIGHT_FACTS:
            if self._strikes(random, "no fact"):
                del facts[fact]
            elif self._strikes(random, "odd fact"):
                facts[fact] = random.choice(WRONG_FACTS)
        related = {link: self._linked(plan.level, related_plan, random) for link, related_plan in plan.related.items()}
        for link in plan.related:
            if self._strikes(random, "no link"):
                related[link] = None
        return RESOURCE_TYPES[plan.level](
            orthanc_id=random.choice(NO_IDS) if self._strikes(random, "no id") else name,
            parent_id=None,
            tags=random.choice(NO_MAPPINGS) if self._strikes(random, "no tags") else tags,
            facts=random.choice(NO_MAPPINGS) if self._strikes(random, "no facts") else facts,
            related=related,
        )

    def _linked(self, level: Level, plan: LevelPlan, random: Random) -> Any:
        """What a link leads to: one record above, several below."""
        if plan.level.depth < level.depth:
            record = self._record(plan, random, "above")
            return self._odd_item(plan, record, random) if self._strikes(random, "odd link") else record
        records: Any = self._records(plan, random)
        if self._strikes(random, "odd item"):
            records.insert(random.randrange(len(records) + 1), self._odd_item(plan, records, random))
        if self._strikes(random, "odd link"):
            return random.choice(ODD_LISTS)(records)
        return records

    def _odd_item(self, plan: LevelPlan, right: Any, random: Random) -> Any:
        other = RESOURCE_TYPES[random.choice([level for level in Level if level is not plan.level])]
        odd = other(orthanc_id="odd", parent_id=None, tags={}, facts={}, related={})
        return random.choice([None, ValueError("an error as a value"), "text", right, odd, _more(type(odd))])

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the root fields find these records."""
        monkeypatch.setattr(hierarchy, "get_page", self.page)
        monkeypatch.setattr(hierarchy, "get_by_orthanc_id", self.one)
        monkeypatch.setattr(hierarchy, "get_by_identifier", self.one)
        monkeypatch.setattr(hierarchy, "get_by_orthanc_ids", self.several)


def _more(kind: type[Resource]) -> Resource:
    """A record of a class that is only derived from one of ours."""
    more: type[Resource] = type(f"More{kind.__name__}", (kind,), {})
    return more(orthanc_id="more", parent_id=None, tags={}, facts={}, related={})


def _call(endpoint: Endpoint, *, body: Any = None, query: str = "", decoder: Any = None) -> Any:
    """An empty Orthanc without plugins."""
    return Statistics(0, 0, 0, 0, 0) if endpoint == STATISTICS else []


def context() -> GraphQLContext:
    """What resolvers get for a request of somebody who may do everything."""
    made = GraphQLContext(RequestFactory().get("/graphql/"))
    made.__dict__["gateway"] = RequestContext(Caller(actions=frozenset(Action)), Author())
    made.__dict__["capabilities"] = Capabilities(
        "x", "1.13.0", "", True, True, True, None, {}, {}, False, None, FindLimits(_call), Plugins(_call)
    )
    return made
