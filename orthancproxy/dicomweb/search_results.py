"""Renders the results of a search as DICOM JSON (PS3.18 annex F)."""

from collections.abc import Callable, Sequence
from itertools import groupby
from urllib.parse import quote

from orthancproxy.archive.dicom_json import member
from orthancproxy.archive.dicom_search import Line, SearchResults
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.archive.search_columns import FACTS, FIXED, RETRIEVE_URL, Column

_Member = Callable[[Line], bytes]


def render(results: SearchResults, level: Level, service: str) -> bytes:
    """Return the results of a search for resources of a level; `service` is the URL of the DICOMweb service."""
    parts = [
        (is_own, [_member(column, level, service) for column in group])
        for is_own, group in groupby(results.columns, lambda column: column.level is level)
    ]
    above: dict[str | None, list[bytes]] = {}
    rendered = []
    for line in results.lines:
        parent = line[-1].parent_id
        if parent not in above:
            # siblings share what is above them
            above[parent] = [b"" if is_own else _joined(members, line) for is_own, members in parts]
        members_above = above[parent]
        found = [
            _joined(members, line) if is_own else members_above[place] for place, (is_own, members) in enumerate(parts)
        ]
        rendered.append(b"{%b}" % b",".join(filter(None, found)))
    return b"[%b]" % b",".join(rendered)


def _joined(members: Sequence[_Member], line: Line) -> bytes:
    return b",".join(filter(None, [one(line) for one in members]))


def _member(column: Column, level: Level, service: str) -> _Member:
    """Return the function that renders an attribute of a result; of an absent one that is not required, nothing."""
    keyword = column.keyword
    if keyword in FIXED:
        fixed = member(keyword, FIXED[keyword])
        return lambda _: fixed
    if keyword == RETRIEVE_URL:
        return lambda line: member(keyword, f"{service}/{_path(line)}")
    place = column.level.depth - level.depth - 1
    absent = member(keyword, "") if column.is_required else b""
    if keyword in FACTS:
        _, name = FACTS[keyword]
        return lambda line: member(keyword, line[place].facts.get(name) or line[place].tags.get(keyword, ""))

    def rendered(line: Line) -> bytes:
        text = line[place].tags.get(keyword)
        return member(keyword, text) if text else absent

    return rendered


def _path(line: Line) -> str:
    study = line[0].tags.get(Level.STUDY.identifier, "")
    parts = [] if line[0].level is Level.STUDY else [f"studies/{_quoted(study)}"]
    return "/".join([*parts, *(f"{one.level.path}/{_quoted(_uid(one))}" for one in line)])


def _uid(resource: Resource) -> str:
    return resource.tags.get(resource.level.identifier, "")


def _quoted(uid: str) -> str:
    return quote(uid.rstrip(" \0"), safe="")
