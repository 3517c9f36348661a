"""From Orthanc's answers to records. All are asked for with `Short`: tags come as numbers, not as DCMTK's names."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, cast

from orthancproxy.archive.keywords import KEYWORDS
from orthancproxy.archive.levels import Level
from orthancproxy.archive.records import RESOURCE_TYPES, Resource
from orthancproxy.errors import ArchiveProtocolError, NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.payloads import RESOURCE_LIST_DECODER, Attachment, ResourcePayload

MAX_IDS_PER_CALL = 500  # resources named in one call
MAX_ATTEMPTS = 3

_DICOM_ATTACHMENT = 1  # the content type of the attachment that is the DICOM file

_PARENTS: Mapping[Level, Callable[[ResourcePayload], str | None]] = {
    Level.PATIENT: lambda _: None,
    Level.STUDY: attrgetter("parent_patient"),
    Level.SERIES: attrgetter("parent_study"),
    Level.INSTANCE: attrgetter("parent_series"),
}


def to_resources(level: Level, answers: list[ResourcePayload]) -> list[Resource]:
    """Make records of a list of resources, which is used up. Raises ArchiveProtocolError for what is no such level."""
    make = RESOURCE_TYPES[level]
    found = cast("list[Any]", answers)
    try:
        for position, answer in enumerate(answers):
            parent = _parent(level, answer)
            # one by one in the place of the other: 30,000 instances are heavy
            found[position] = make(answer.id, parent, _tags(answer), _facts(level, answer))
    except ValueError as error:
        # what is no tag among the tags
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.") from error
    return found


def _parent(level: Level, answer: ResourcePayload) -> str | None:
    parent = _PARENTS[level](answer)
    if parent is None and level is not Level.PATIENT:
        raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")
    return parent


def _tags(answer: ResourcePayload) -> dict[str, str]:
    tags = _text_tags(answer.main_dicom_tags)
    if answer.patient_main_dicom_tags:
        tags |= _text_tags(answer.patient_main_dicom_tags)
    if answer.requested_tags:
        tags |= _text_tags(answer.requested_tags)
    return tags


def _text_tags(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags by keyword, without sequences (lists), and binary or absent values (null)."""
    return {KEYWORDS[tag]: value for tag, value in tags.items() if value.__class__ is str}


def _facts(level: Level, answer: ResourcePayload) -> dict[str, Any]:
    """What Orthanc told besides the tags: expanded answers have it in other places than a find with ResponseContent."""
    facts: dict[str, Any] = {} if answer.labels is None else {"Labels": answer.labels}
    metadata = answer.metadata
    if level is Level.INSTANCE:
        if answer.attachments is not None:
            facts["FileSize"], facts["FileUuid"] = _dicom_file(answer.attachments)
        elif answer.file_size is not None:
            facts["FileSize"], facts["FileUuid"] = answer.file_size, answer.file_uuid
        if metadata is not None:
            facts["SopClassUid"], facts["TransferSyntax"] = metadata.sop_class_uid, metadata.transfer_syntax
        return facts
    facts["LastUpdate"] = answer.last_update or (metadata and metadata.last_update)
    facts["IsStable"] = answer.is_stable
    below = {"Studies": answer.studies, "Series": answer.series, "Instances": answer.instances}
    return facts | {name: children for name, children in below.items() if children is not None}


def _dicom_file(attachments: list[Attachment]) -> tuple[int, str | None]:
    """The size in bytes and the uuid of the attachment that is the DICOM file."""
    for attachment in attachments:
        if attachment.content_type == _DICOM_ATTACHMENT:
            return attachment.uncompressed_size, attachment.uuid
    return 0, None


def find(client: OrthancClient, body: Mapping[str, Any]) -> list[ResourcePayload]:
    """Carry out one find."""
    found: list[ResourcePayload] = client.call(endpoints.FIND, body=body, decoder=RESOURCE_LIST_DECODER)
    return found


def bulk_content(
    client: OrthancClient, ids: Sequence[str], level: Level | None = None, *, with_metadata: bool = False
) -> list[ResourcePayload]:
    """Resources by their ids, or those of a level below them; unknown ids are left out."""
    # metadata make it take twice as long (1.10.1: 680 ms instead of 400 ms for 10,000 instances)
    body: dict[str, Any] = {"Resources": list(ids), "Metadata": with_metadata, "Short": True}
    if level:
        body["Level"] = level.value
    found: list[ResourcePayload] = _ask_again(client, body) if ids else []
    return found


def _ask_again(client: OrthancClient, body: Mapping[str, Any]) -> Any:
    """Carry out a bulk-content. Where something below is deleted meanwhile, Orthanc fails as a whole (1.10.1)."""
    for _ in range(MAX_ATTEMPTS - 1):
        with suppress(NotFound):
            return client.call(endpoints.BULK_CONTENT, body=body, decoder=RESOURCE_LIST_DECODER)
    return client.call(endpoints.BULK_CONTENT, body=body, decoder=RESOURCE_LIST_DECODER)


def batched(values: Iterable[str]) -> Iterator[list[str]]:
    """Cut a list into what one call may name."""
    values = list(values)
    for start in range(0, len(values), MAX_IDS_PER_CALL):
        yield values[start : start + MAX_IDS_PER_CALL]
