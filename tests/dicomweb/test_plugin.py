"""The gateway answers as Orthanc's DICOMweb plugin does. docs/dicomweb.md has each difference."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import sample_studies
from tests.dicom.broken_files import shipped
from tests.dicomweb.client import MOUNT, SERVICE, DataSet
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.since("1.13.0")]

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
JSON = "application/dicom+json"
FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
STORED_FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
DECODED_FRAME = 'multipart/related; type="application/octet-stream"'
STUDY, SERIES, INSTANCE = UIDS = ("0020000D", "0020000E", "00080018")
PATIENT_ID, ROWS, PIXEL_DATA = "00100020", "00280010", "7FE00010"
OF_PATIENTS = frozenset({"00100010", "00100030", "00100040"})
DOUBLED = "1.2.999.999.99.9.9999.8888"  # a study of two patients

Response = tuple[int, str, bytes]


class Plugin:
    """An Orthanc with the plugin, which keeps no metadata yet, with the sample studies and the files of pydicom."""

    def __init__(self, orthanc: LocalOrthanc) -> None:
        self.orthanc = orthanc
        self._connection = http.client.HTTPConnection("127.0.0.1", orthanc.port, timeout=60)
        taken = [self._call("POST", "/instances", file)[0] for file in (*shipped().values(), *sample_studies())]
        assert taken.count(200) > 250

    def get(self, path: str, accept: str = JSON) -> Response:
        return self._call("GET", f"/dicom-web/{path}", None, accept)

    def _call(self, method: str, path: str, body: bytes | None = None, accept: str = "*/*") -> Response:
        for last_try in (False, True):
            try:
                self._connection.request(method, path, body, {"Accept": accept})
                response = self._connection.getresponse()
                return response.status, response.headers.get("Content-Type", ""), response.read()
            except (ConnectionError, http.client.HTTPException):
                # Orthanc closes a connection that was idle for a second
                self._connection.close()
                if last_try:
                    raise
        raise AssertionError

    def data_sets(self, path: str) -> list[DataSet]:
        """Return data sets, with URLs and empty values as the gateway has them."""
        status, _, body = self.get(path)
        assert status == 200, body
        text = body.decode().replace(f"http://127.0.0.1:{self.orthanc.port}/dicom-web", SERVICE)
        text = re.sub(r"/bulk/([0-9a-f/]+)", lambda match: f"/bulkdata/{match[1].upper()}", text)
        found: list[DataSet] = json.loads(text, object_hook=_without_empty_values)
        return found


def _without_empty_values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", [])}


@pytest.fixture(scope="module")
def loaded(start_orthanc: StartOrthanc) -> Plugin:
    return Plugin(start_orthanc(plugins=[PLUGIN]))


@pytest.fixture
def plugin(loaded: Plugin, use_orthanc: UseOrthanc) -> Plugin:
    use_orthanc(loaded.orthanc)
    return loaded


# one for all: each reads the middleware anew
CLIENT = Client()


def gateway(path: str, accept: str = JSON) -> Response:
    response: Any = CLIENT.get(f"{MOUNT}/{path}", headers={"Accept": accept})
    return response.status_code, response.headers["Content-Type"], response.getvalue()


def data_sets(path: str) -> list[DataSet]:
    status, _, body = gateway(path)
    assert status == 200, body
    found: list[DataSet] = json.loads(body, object_hook=_without_empty_values)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Where the two differ: about what, and both values; for responses, statuses or contents."""

    about: str
    theirs: Any
    ours: Any
    data_set: DataSet


def _is_of_shared_patient(found: Found) -> bool:
    return found.about in OF_PATIENTS and "Value" not in found.data_set.get(PATIENT_ID, {})


def _is_katakana(found: Found) -> bool:
    return found.about == "00100010" and found.ours["Value"][0].get("Ideographic") == "山田^太郎"


DIFFERENCES = {
    "Patients without a PatientID are one patient": _is_of_shared_patient,
    "Text of ISO_IR 13 with escape sequences": _is_katakana,
}
"""The differences of attributes that both give, by their names in docs/dicomweb.md."""


def by_uids(found: Sequence[DataSet]) -> Mapping[tuple[str, ...], DataSet]:
    """Return data sets by their UIDs, without the study of two patients, which no UID tells apart."""
    named = {tuple(data_set.get(tag, {}).get("Value", [""])[0] for tag in UIDS): data_set for data_set in found}
    return {uids: data_set for uids, data_set in named.items() if uids[0] != DOUBLED}


def compare(theirs: Sequence[DataSet], ours: Sequence[DataSet]) -> Iterator[Found]:
    """Yield the differences of attributes that both give."""
    assert len(theirs) == len(ours)
    theirs_by_uids, ours_by_uids = by_uids(theirs), by_uids(ours)
    assert theirs_by_uids.keys() == ours_by_uids.keys()
    for uids, data_set in ours_by_uids.items():
        other = theirs_by_uids[uids]
        for tag in data_set.keys() & other.keys():
            if data_set[tag] != other[tag]:
                yield Found(tag, other[tag], data_set[tag], data_set)


def unexplained(found: Sequence[Found]) -> list[Found]:
    return [one for one in found if not any(explains(one) for explains in DIFFERENCES.values())]


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
def test_searches_find_the_same(plugin: Plugin, level: str) -> None:
    found = list(compare(plugin.data_sets(level), data_sets(level)))
    assert unexplained(found) == []
    for name, explains in DIFFERENCES.items():
        assert any(map(explains, found)), name


def test_metadata_are_the_same(plugin: Plugin) -> None:
    studies = sorted({uids[0] for uids in by_uids(plugin.data_sets("studies")) if uids[0]})
    added = set()
    for study in studies:
        theirs, ours = plugin.data_sets(f"studies/{study}/metadata"), data_sets(f"studies/{study}/metadata")
        assert list(compare(theirs, ours)) == []
        for uids, data_set in by_uids(theirs).items():
            own = by_uids(ours)[uids]
            assert data_set.keys() <= own.keys()
            added |= own.keys() - data_set.keys()
    # DataSetTrailingPadding; and images whose pixels are missing, or of a deflated file
    assert added == {"FFFCFFFC", PIXEL_DATA}


def parts(response: Response) -> list[tuple[str, bytes]]:
    """Return the parts of a response: their media types, and contents."""
    boundary = re.findall(r'boundary="?([^;"]+)', response[1])[0].encode()
    found = []
    for part in response[2].split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        [media_type] = re.findall(r"(?i)content-type: ([^\r]*)", head.decode())
        found.append((media_type, content.removesuffix(b"\r\n")))
    return found


def instances(plugin: Plugin) -> Iterator[tuple[str, DataSet]]:
    """Yield the paths and attributes of pydicom's instances, and of one of each sample series."""
    samples = b"".join(file[:4096] for file in sample_studies())
    every = by_uids(plugin.data_sets("instances"))
    one_each = {uids[:2]: uids for uids in every}.values()
    for uids, data_set in every.items():
        if uids in one_each or uids[2].encode() not in samples:
            yield "studies/{}/series/{}/instances/{}".format(*uids), data_set


def test_files_are_the_same(plugin: Plugin) -> None:
    for path, _ in instances(plugin):
        [(media_type, theirs)], [(ours_type, ours)] = parts(plugin.get(path, FILE)), parts(gateway(path, FILE))
        assert theirs == ours
        # the gateway's has the transfer syntax as well
        assert (media_type, ours_type.partition(";")[0]) == ("application/dicom", "application/dicom")


def test_frames_are_the_same(plugin: Plugin) -> None:
    decoded = set()
    for path, data_set in instances(plugin):
        theirs, ours = plugin.get(f"{path}/frames/1", STORED_FRAME), gateway(f"{path}/frames/1", STORED_FRAME)
        if ROWS not in data_set or (theirs[0], ours[0]) == (400, 404):
            assert (theirs[0], ours[0]) == (400, 404), path
            continue
        [(_, frame)], [(media_type, own)] = parts(theirs), parts(ours)
        assert frame == own, path
        if media_type not in decoded:
            decoded.add(media_type)
            theirs, ours = plugin.get(f"{path}/frames/1", DECODED_FRAME), gateway(f"{path}/frames/1", DECODED_FRAME)
            assert ours[0] == 200
            # neither Orthanc nor its plugin decodes JPEG 2000, which the gateway sends as stored
            assert parts(ours) == (parts(theirs) if theirs[0] == 200 else [(media_type, own)])
            assert theirs[0] == 200 or "1.2.840.10008.1.2.4.9" in media_type
    assert len(decoded) > 5


def test_the_plugin_does_not_tell_studies_of_one_uid_apart(plugin: Plugin) -> None:
    path = f"studies/{DOUBLED}/metadata"
    assert plugin.get(path)[0] == 404
    assert len(data_sets(path)) == 2


def test_each_difference_is_documented() -> None:
    text = Path(__file__).parents[2].joinpath("docs/dicomweb.md").read_text()
    for name in DIFFERENCES:
        assert f"| {name} |" in text
