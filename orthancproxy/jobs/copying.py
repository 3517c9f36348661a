"""Copies of instances with corrected attributes: made, and compared with their originals."""

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import Fact, LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.archive.storage import delete, open_file, store
from orthancproxy.conf import conf
from orthancproxy.dicom.correctable import tag_of
from orthancproxy.dicom.correction import Correction, content_digest, correct
from orthancproxy.dicom.elements import ByteRange
from orthancproxy.dicom.file_format import DicomFile, read
from orthancproxy.dicom.sources import FileRange, disk_full_as_error
from orthancproxy.dicom.text import FALLBACK_CODECS
from orthancproxy.errors import ArchiveProtocolError, InvalidRequest
from orthancproxy.orthanc.client import OrthancClient

_FACTS = frozenset({Fact.FILE_UUID, Fact.LABELS})
_PLAN = LevelPlan(level=Level.SERIES, related={"instances": LevelPlan(level=Level.INSTANCE, needs=Needs(facts=_FACTS))})


def series_of(client: OrthancClient, orthanc_id: str) -> list[Resource] | None:
    """Return the instances of a series in the order of their Orthanc ids; None if there is no such series."""
    found = Hierarchy(client).by_ids(_PLAN, [orthanc_id], as_stored=True)
    return sorted(found[0].related["instances"], key=lambda one: one.orthanc_id) if found else None


def digest_of(instances: list[Resource]) -> str:
    """Return a digest that changes if an instance is added, removed or overwritten."""
    text = " ".join(f"{one.orthanc_id} {one.facts.get('FileUuid')}" for one in instances)
    return sha256(text.encode()).hexdigest()


def files_of(client: OrthancClient, orthanc_ids: Collection[str]) -> Mapping[str, str | None]:
    """Return the FileUuids of those of these instances that there are now, by their Orthanc ids."""
    plan = LevelPlan(level=Level.INSTANCE, needs=Needs(facts=frozenset({Fact.FILE_UUID})))
    found = Hierarchy(client).by_ids(plan, list(orthanc_ids), as_stored=True)
    return {one.orthanc_id: one.facts.get("FileUuid") for one in found}


@contextmanager
def stored_file(client: OrthancClient, orthanc_id: str) -> Iterator[DicomFile]:
    """Yield the file of an instance. Raises NotFound, InvalidDicom and ArchiveError."""
    with disk_full_as_error(), tempfile.TemporaryFile() as copy:
        with closing(open_file(client, orthanc_id)) as content:
            copy.writelines(content)
        copy.flush()
        yield read(FileRange(copy, 0, copy.tell()), FALLBACK_CODECS[conf.ORTHANC_DEFAULT_ENCODING])


def copy_instance(client: OrthancClient, orthanc_id: str, correction: Correction, target: str) -> None:
    """Store a corrected copy of an instance, unless it is there, under the Orthanc id `target`.

    Raises NotFound if the instance is gone, InvalidDicom, and ArchiveError.
    """
    with stored_file(client, orthanc_id) as file:
        stored = store(client, correct(file, correction))
        if stored.instance_id != target:
            # a script of Orthanc's, or a PatientID that it reads otherwise
            if not stored.already_stored:
                delete(client, Level.INSTANCE, stored.instance_id)
            raise ArchiveProtocolError("Orthanc has stored a copy under other identifiers.")


def compare(client: OrthancClient, orthanc_id: str, target: str, values: Mapping[str, str | None]) -> None:
    """Raise InvalidRequest unless the copy has the same pixels or document, and the new values."""
    with stored_file(client, orthanc_id) as file, stored_file(client, target) as copy:
        is_same = content_digest(file) == content_digest(copy) and file.sop_class_uid == copy.sop_class_uid
        if not is_same or any(_text(copy, tag_of(keyword)) != (value or "") for keyword, value in values.items()):
            raise InvalidRequest("A copy in the archive differs from its original: nothing was deleted.")


def _text(file: DicomFile, tag: int) -> str:
    """Return the value of an element as text, also a long one."""
    element = file.elements.get(tag)
    if element is None or not isinstance(element.value, ByteRange):
        return file.text(tag)
    value = file.source.read_at(element.value.offset, element.value.length)
    return file.encodings.decode(value)[0].strip("\0 ")
