"""Uploads of broken files: each file has one outcome, Orthanc keeps running, and stored files can be read."""

import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from django.test import Client

from orthancproxy.dicom.conversion import SIGNATURES
from orthancproxy.dicom.elements import ByteRange, Elements
from orthancproxy.dicom.file_format import DicomFile, read
from orthancproxy.dicom.sources import InMemory
from orthancproxy.dicom.text import ASCII_VRS, TEXT_VRS, Encodings, encodings_of, vr_of
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.batches import known_uids
from orthancproxy.uploads.models import UploadBatch, UploadedFile
from tests.conftest import UseOrthanc
from tests.dicom.broken_files import Broken, changed
from tests.dicom.comparison import REWRITTEN
from tests.dicom.hostile_files import built
from tests.uploads.upload_client import REST, File, Outcome, count_instances

pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.filterwarnings("ignore::UserWarning")]

SEED = 6
CHANGED = 600  # of those of the corpus
AT_ONCE = 400  # files in a request
FOLDER = "broken"
PATIENT = {0x00100010, 0x00100020}
# LengthToEnd is no longer true, and text is in UTF-8
LEFT = {0x00080001, 0x00080005}
CODES = {"NOT_DICOM", "UNREADABLE", "UNSAFE", "TOO_LARGE", "EMPTY", "REJECTED"}


def corpus(seed: int = SEED, count: int = CHANGED) -> list[Broken]:
    """All that are built, and some of the changes of shipped files, no two of the same content."""
    files = [*built(), *random.Random(seed).sample(list(changed(seed, 16)), count)]
    return list({file.content: file for file in files}.values())


def upload(files: Sequence[Broken], patient_id: str) -> Outcome:
    """One upload, request by request; its last outcome, with the counts of all."""
    counts: Counter[str] = Counter()
    for start in range(0, len(files), AT_ONCE):
        part = [File(file.content, FOLDER, f"{index}.dcm") for index, file in enumerate(files[start : start + AT_ONCE])]
        outcome = REST()(part, patientId=patient_id, uploadKey=patient_id)
        assert outcome.code is None, outcome.body
        assert sum(outcome.counts) == len(part)
        assert len({failure.index for failure in outcome.failed}) == len(outcome.failed)
        counts.update(outcome.codes)
        counts["stored"] += outcome.uploaded
        counts["already stored"] += outcome.already_stored
    print(len(files), counts)  # noqa: T201  the figures, for whoever asks pytest for them (-rP)
    assert counts["already stored"] == 0
    assert set(counts) - {"stored", "already stored"} <= CODES
    assert counts["stored"] > len(files) // 5
    return Outcome(outcome.status, outcome.body, key=outcome.key, uploaded=counts["stored"], study_id=outcome.study_id)


@pytest.mark.django_db(transaction=True)
def test_each_broken_file_has_one_outcome_and_stored_files_can_be_read(
    start_orthanc: Callable[..., LocalOrthanc],
    use_orthanc: UseOrthanc,
    patient_id: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "pydicom")
    orthanc = use_orthanc(start_orthanc())
    pid = orthanc.pid
    files = corpus()
    outcome = upload(files, patient_id)
    assert orthanc.pid == pid is not None
    assert count_instances(orthanc) == outcome.uploaded

    batch = UploadBatch.objects.get(upload_key=patient_id)
    rows = {row.identity: row for row in batch.files.filter(outcome=UploadedFile.Outcome.STORED)}
    assert len(rows) == outcome.uploaded
    uids, _ = known_uids(batch)
    # one for all: each reads the middleware anew
    client = Client()
    changed_values: dict[str, list[str]] = {}
    for file in files:
        row = rows.pop(hashlib.sha256(FOLDER.encode() + b"\0" + file.content).hexdigest(), None)
        if row is None:
            continue
        back = asked_for(client, f"/api/orthanc/instances/{row.orthanc_id}/file/")
        assert back[:132] == bytes(128) + b"DICM", file.name
        sent, stored = read(InMemory(file.content)), read(InMemory(back))
        assert (stored.text(0x00100020), stored.study_instance_uid) == (patient_id, batch.study_instance_uid)
        assert (stored.series_instance_uid, stored.sop_instance_uid) == (row.series_uid, row.sop_uid)
        if found := differences(sent, stored, uids):
            changed_values[file.name] = found
    assert not rows
    assert changed_values == {}


def asked_for(client: Client, path: str) -> bytes:
    """A file, from the gateway."""
    response = client.get(path)
    assert response.status_code == 200
    return response.getvalue()


def differences(sent: DicomFile, stored: DicomFile, uids: Mapping[str, str]) -> list[str]:
    """Where a stored file is another one than was sent, beyond what the contract rewrites."""
    old, new = (dict(_values(file, file.elements, file.encodings, uids)) for file in (sent, stored))
    return [
        f"{path}: {old.get(path)!r} is {new.get(path)!r}" for path in old.keys() | new if old.get(path) != new.get(path)
    ]


def _values(
    file: DicomFile, elements: Elements, encodings: Encodings, uids: Mapping[str, str], path: str = ""
) -> Iterator[tuple[str, object]]:
    """Each value by its path: text decoded, without padding; a UID that the upload replaces is told as such."""
    for tag, element in elements.items():
        here = f"{path}/{tag:08X}"
        if tag in (SIGNATURES if path else SIGNATURES | REWRITTEN) or tag & 0xFFFF == 0 or tag in LEFT:
            continue
        if isinstance(element.value, list):
            yield here, len(element.value)
            for number, item in enumerate(element.value):
                yield from _values(file, item, encodings_of(item, encodings), uids, f"{here}[{number}]")
            continue
        value = element.value
        if isinstance(value, ByteRange):
            value = file.source.read_at(value.offset, value.length)
        vr = vr_of(element, elements)
        if vr == "UI":
            yield here, [_uid(one.strip("\0 "), uids) for one in value.decode("latin-1").split("\\")]
        elif path and tag in PATIENT:
            # what repeats the file's own follows it
            text = encodings.decode(value)[0].strip("\0 ")
            yield here, "the file's own" if text and text == file.text(tag) else text
        elif vr in TEXT_VRS | ASCII_VRS and not element.undefined:
            yield here, encodings.decode(value)[0].strip("\0 ")
        else:
            yield here, value.rstrip(b"\0 ")


def _uid(uid: str, uids: Mapping[str, str]) -> str:
    """Of several files with one UID, each is as good as the others."""
    return "of the upload" if uid in uids or uid.startswith("2.25.") else uid
