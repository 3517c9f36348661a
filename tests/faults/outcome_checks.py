"""What must be so however a request ended."""

from tests.faults.fault_client import MAY_BE, Ending, Request, Row, Scene, upload
from tests.uploads.upload_client import REST

STATUSES = {
    "ARCHIVE_UNAVAILABLE": {503, 504},
    "ARCHIVE_ERROR": {502},
    "GATEWAY_UNAVAILABLE": {503},
    "LIMIT_EXCEEDED": {413},
    "INSUFFICIENT_STORAGE": {507},
}
OF_FILES = {"ARCHIVE_UNAVAILABLE", "REJECTED"}


def check_typed(ending: Ending, request: Request, codes: set[str]) -> None:
    """It has an answer, and a fault has one of these codes, and the status of it."""
    if ending.status == 0:
        # its headers were sent already
        assert request.is_download
        return
    assert ending.json or ending.is_well, ending
    assert b"Traceback" not in ending.content
    assert b"127.0.0.1" not in ending.content
    if ending.upload:
        assert {one["code"] for one in ending.upload.get("failed", ending.upload.get("failedFiles"))} <= OF_FILES
        # a study that can't be looked up is the only other thing that may be missing
        assert ending.code in {"", *codes}
    elif not ending.is_well:
        assert ending.code in codes, ending
        assert ending.status in ({200, *STATUSES[ending.code]} if "errors" in ending.json else STATUSES[ending.code])
        assert ending.status != 503 or "retry-after" in ending.headers or "errors" in ending.json


def check_audit(rows: list[Row], ending: Ending, request: Request) -> None:
    """The audit says what the caller was told."""
    assert rows, ending
    last = rows[-1]
    if request.uploads or request.deletes:
        rows = [row for row in rows if row.event != "ACCESSED"]
        intentions = [row.pk for row in rows if row.outcome == "INTENDED"]
        assert [row.intention for row in rows if row.intention] == intentions
        last = rows[-1]
    if ending.upload:
        told = ending.upload
        assert last.counts["instances"] == told["uploaded"]
        assert last.counts["alreadyStored"] == told["alreadyStored"]
        assert last.outcome == ("SUCCESS" if ending.reported else "FAILED")
    elif ending.is_well:
        assert (last.outcome, last.error_code) == ("SUCCESS", ""), rows
    elif ending.status:
        assert (last.outcome, last.error_code) == ("FAILED", ending.code), rows
    else:
        # it was begun, and broke off
        assert [row.outcome for row in rows] == ["SUCCESS", "FAILED"], rows


def check_archive(scene: Scene, ending: Ending, request: Request, name: str, before: int) -> None:
    """Orthanc has what was reported, and sending it again completes it without duplicates."""
    there = scene.instances_of(name)
    if request.uploads:
        assert ending.reported <= there <= len(scene.files)
        again = upload(scene.gateway.port, REST(), name, scene.files)
        assert again.reported == len(scene.files), again
        assert scene.instances_of(name) == len(scene.files)
        assert scene.count() == before + len(scene.files)
    elif request.deletes:
        if ending.is_well:
            assert there == 0
        elif MAY_BE not in str(ending.json):
            assert there == 2
    else:
        assert scene.count() == before
