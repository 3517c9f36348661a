"""Renders the results of a search as DICOM JSON (PS3.18 annex F)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import quote

from orthancproxy.archive.dicom_json import member, writer
from orthancproxy.archive.dicom_search import Line, SearchResults
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import Resource
from orthancproxy.archive.search_columns import FACTS, FIXED, RETRIEVE_URL, Column


@dataclass(frozen=True, slots=True)
class _Family:
    """What siblings share: the members from the levels above, with gaps for their own, and the URL of their parent."""

    members: list[bytes]
    url: str


def render(results: SearchResults, level: Level, service: str) -> bytes:
    """Return the results of a search for resources of a level; `service` is the URL of the DICOMweb service."""
    parts: list[Column | Sequence[Column]] = []
    for is_own, columns in groupby(results.columns, lambda column: column.level is level):
        group = list(columns)
        parts += group if is_own else [group]
    own = [(place, column) for place, column in enumerate(parts) if isinstance(column, Column)]
    tags = [(place, *_of_tag(one)) for place, one in own if one.keyword not in {*FIXED, *FACTS, RETRIEVE_URL}]
    others = [(place, _of_other(one)) for place, one in own if one.keyword in {*FACTS, RETRIEVE_URL}]
    families: dict[str | None, _Family] = {}
    rendered = []
    for line in results.lines:
        resource = line[-1]
        family = families.get(resource.parent_id)
        if family is None:
            family = families[resource.parent_id] = _family(line, parts, service)
        members = family.members.copy()
        for place, keyword, write, absent in tags:
            text = resource.tags.get(keyword)
            members[place] = write(text) if text else absent
        for place, function in others:
            members[place] = function(resource, family.url)
        rendered.append(b"{%b}" % b",".join(filter(None, members)))
    return b"[%b]" % b",".join(rendered)


def _family(line: Line, parts: Sequence[Column | Sequence[Column]], service: str) -> _Family:
    above = {one.level: one for one in line[:-1]}
    members = []
    for part in parts:
        if isinstance(part, Column):
            members.append(member(part.keyword, FIXED[part.keyword]) if part.keyword in FIXED else b"")
        else:
            members.append(b",".join(filter(None, [_shared(above[column.level], column) for column in part])))
    steps = [(one.level, one.tags.get(one.level.identifier, "")) for one in line[:-1]]
    if line[0].level is not Level.STUDY:
        steps.insert(0, (Level.STUDY, line[0].tags.get(Level.STUDY.identifier, "")))
    return _Family(members, "/".join([service, *(f"{level.path}/{_quoted(uid)}" for level, uid in steps)]))


def _shared(resource: Resource, column: Column) -> bytes:
    keyword, write, absent = _of_tag(column)
    text = resource.tags.get(keyword)
    return write(text) if text else absent


def _of_tag(column: Column) -> tuple[str, Callable[[str], bytes], bytes]:
    """Return the keyword of a tag, the function that renders its text, and what an absent one is rendered as."""
    return column.keyword, writer(column.keyword), member(column.keyword, "") if column.is_required else b""


def _of_other(column: Column) -> Callable[[Resource, str], bytes]:
    """Return the function that renders an attribute that is not a tag, of a resource and the URL of its parent."""
    keyword, write = column.keyword, writer(column.keyword)
    if keyword == RETRIEVE_URL:
        return lambda one, url: write(f"{url}/{one.level.path}/{_quoted(one.tags.get(one.level.identifier, ''))}")
    _, name = FACTS[keyword]
    return lambda one, _: write(one.facts.get(name) or one.tags.get(keyword, ""))


def _quoted(uid: str) -> str:
    return quote(uid.rstrip(" \0"), safe="")
