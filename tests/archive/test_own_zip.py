"""ZIPs that the gateway makes of single files: their names, and what is left open."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, cast
from zipfile import ZipFile

import pytest

from orthancproxy.archive.own_zip import open_own_zip
from orthancproxy.archive.records import Instance, Series, Study
from orthancproxy.errors import ArchiveUnavailable
from orthancproxy.orthanc.client import OrthancClient


class File:
    """The response with a file: three chunks, in which its id stands."""

    length = 30

    def __init__(self, orthanc_id: str, *, is_truncated: bool) -> None:
        self.is_closed = False
        self._chunks = [f"{orthanc_id}:{number} ".encode() for number in range(3)]
        self._is_truncated = is_truncated

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._is_truncated:
            raise ArchiveUnavailable("Orthanc cannot be reached.")

    def close(self) -> None:
        self.is_closed = True


class Client:
    """An Orthanc with files; that of `truncated` breaks off."""

    def __init__(self, truncated: str = "") -> None:
        self.opened: dict[str, File] = {}
        self._truncated = truncated

    def open(self, _: object, *, id: str) -> File:  # noqa: A002  the parameter of the endpoint
        assert all(file.is_closed for file in self.opened.values()), "one file at a time"
        self.opened[id] = File(id, is_truncated=id == self._truncated)
        return self.opened[id]


def series(*instances: str, **tags: str) -> Series:
    names = {"PatientID": "1", "PatientName": "Kim", "AccessionNumber": "A", "Modality": "CT", **tags}
    return Series("series", None, names, {}, {"instances": [Instance(one, None, {}, {}) for one in instances]})


def zipped(client: Client, *below: Series) -> Any:
    return open_own_zip(cast("OrthancClient", client), Study("study", None, {}, {}, {"series": below}))


def names(*below: Series) -> Sequence[str]:
    with ZipFile(BytesIO(b"".join(zipped(Client(), *below)))) as found:
        assert found.testzip() is None
        return found.namelist()


def test_files_are_numbered_in_folders_of_patient_study_and_series() -> None:
    client = Client()
    found = b"".join(zipped(client, series("a", "b", StudyDescription="Brain", SeriesDescription="T1"), series("c")))
    with ZipFile(BytesIO(found)) as files:
        assert {name: files.read(name) for name in files.namelist()} == {
            "1 Kim/A Brain/CT T1/000001.dcm": b"a:0 a:1 a:2 ",
            "1 Kim/A Brain/CT T1/000002.dcm": b"b:0 b:1 b:2 ",
            "1 Kim/A/CT/000001.dcm": b"c:0 c:1 c:2 ",
        }


def test_folders_differ_on_systems_that_ignore_case() -> None:
    found = names(*(series("a", SeriesDescription=text) for text in ("Brain", "BRAIN", "brain", "Straße", "STRASSE")))
    folders = [name.split("/")[2] for name in found]
    assert folders == ["CT Brain", "CT BRAIN (2)", "CT brain (3)", "CT Straße", "CT STRASSE (2)"]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("end. ", "CT end"),
        ("...", "CT"),
        ('a/b\\c:d*e?f"g<h>i|j', "CT a_b_c_d_e_f_g_h_i_j"),
        ("a\n\x85b", "CT a_b"),
        ("x" * 80, "CT " + "x" * 61),
        ("뇌", "CT 뇌"),
    ],
)
def test_folders_have_names_that_windows_accepts(description: str, expected: str) -> None:
    [name] = names(series("a", SeriesDescription=description))
    assert name == f"1 Kim/A/{expected}/000001.dcm"


def test_folders_without_a_name_are_unknown() -> None:
    [name] = names(series("a", PatientID="..", PatientName=" ", AccessionNumber="", Modality=""))
    assert name == "Unknown/Unknown/Unknown/000001.dcm"


def test_each_file_is_closed_when_it_is_read() -> None:
    client = Client()
    assert b"".join(zipped(client, series("a", "b", "c")))
    assert [file.is_closed for file in client.opened.values()] == [True] * 3


def test_a_zip_that_is_closed_early_closes_its_file_and_opens_no_other() -> None:
    client = Client()
    content = zipped(client, series("a", "b"))
    chunks = iter(content)
    next(chunks)
    content.close()
    assert client.opened["a"].is_closed
    list(chunks)
    assert list(client.opened) == ["a"]


def test_a_file_that_breaks_off_is_closed_and_ends_the_zip() -> None:
    client = Client(truncated="a")
    with pytest.raises(ArchiveUnavailable):
        b"".join(zipped(client, series("a", "b")))
    assert [(name, file.is_closed) for name, file in client.opened.items()] == [("a", True)]
