"""From Orthanc's answers to records. All are asked for with `Short`: tags come as numbers, not as DCMTK's names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orthancproxy.archive.keywords import keyword_of
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import RECORDS, Resource
from orthancproxy.errors import ArchiveProtocolError
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient

CHUNK = 500  # resources named in one call


def records(level: Level, answers: Any) -> list[Resource]:
    """Make records of a list of resources. Raises ArchiveProtocolError for anything else."""
    make = RECORDS[level]
    parent = None if level is Level.PATIENT else f"Parent{level.parent.value}"
    try:
        return [make(answer["ID"], answer[parent] if parent else None, _tags(answer), answer) for answer in answers]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error


def _tags(answer: Mapping[str, Any]) -> dict[str, str]:
    tags = text_tags(answer["MainDicomTags"])
    for more in ("PatientMainDicomTags", "RequestedTags"):
        if more in answer:
            tags |= text_tags(answer[more])
    return tags


def text_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags by keyword, without sequences (lists), and binary or absent values (null)."""
    try:
        return {keyword_of(tag): value for tag, value in tags.items() if isinstance(value, str)}
    except (AttributeError, ValueError) as error:
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error


def find(client: OrthancClient, body: Mapping[str, Any]) -> list[Any]:
    """Carry out one find."""
    return _list(client.call(endpoints.FIND, body=body))


def _list(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")
    return answer


def bulk_content(client: OrthancClient, ids: Sequence[str], level: Level | None = None) -> list[Mapping[str, Any]]:
    """Resources by their ids, or those of a level below them, with metadata; unknown ids are left out."""
    body: dict[str, Any] = {"Resources": list(ids), "Metadata": True, "Short": True}
    if level:
        body["Level"] = level.value
    answers = _list(client.call(endpoints.BULK_CONTENT, body=body)) if ids else []
    if not all(isinstance(answer, dict) and isinstance(answer.get("ID"), str) for answer in answers):
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")
    return answers


def chunks(values: Iterable[str]) -> Iterator[list[str]]:
    """Cut a list into what one call may name."""
    values = list(values)
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
