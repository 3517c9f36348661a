"""DICOM files and ZIP archives: every byte as it is stored, and the headers that a browser needs."""

import hashlib
import zipfile
from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, Client
from pydicom import dcmread
from pytest_django import Settings

from orthancproxy.orthanc.calls import recording
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT, instance, load
from tests.orthancs import StartOrthanc
from tests.rest.conftest import Gallery

pytestmark = pytest.mark.live


class TestFile:
    @pytest.fixture(autouse=True)
    def _archive(self, gallery: Gallery, use_orthanc: UseOrthanc) -> None:
        use_orthanc(gallery.orthanc)

    @pytest.mark.parametrize("name", ["CT_small", "rtplan", "examples_ybr_color"])
    def test_is_what_was_stored(self, gallery: Gallery, name: str) -> None:
        response = Client().get(gallery.address(name, "file"))
        assert response.status_code == 200
        assert response.getvalue() == gallery.files[name]
        assert response["Content-Type"] == "application/dicom"
        assert response["Content-Length"] == str(len(gallery.files[name]))
        assert response["Content-Disposition"].startswith("attachment; filename=")
        assert response["Cache-Control"] == "private, no-cache"
        assert response["Accept-Ranges"] == "bytes"

    async def _stored(self, gallery: Gallery) -> bytes:
        response: Any = await AsyncClient().get(gallery.address("CT_small", "file"))
        assert response.is_async
        return b"".join([piece async for piece in response])

    def test_is_sent_asynchronously_by_asgi(self, gallery: Gallery) -> None:
        assert async_to_sync(self._stored)(gallery) == gallery.files["CT_small"]

    def test_releases_its_database_connection_before_it_is_sent(
        self, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # as it is with PostgreSQL, where a pool gets it back
        monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
        connection.close()
        response = Client().get(gallery.address("CT_small", "file"))
        assert connection.connection is None
        assert response.getvalue() == gallery.files["CT_small"]

    def test_head_returns_the_length_without_fetching_the_file(self, gallery: Gallery) -> None:
        address = gallery.address("CT_small", "file")
        with recording() as log:
            response = Client().head(address)
        assert (response.status_code, response.content) == (200, b"")
        assert response["Content-Length"] == str(len(gallery.files["CT_small"]))
        assert not [call for call in log.calls if call.template.endswith("/file")]
        whole = Client().get(address)
        assert whole.getvalue()
        assert response["ETag"] == whole["ETag"]

    def test_trailing_slash_is_optional(self, gallery: Gallery) -> None:
        response = Client().get(gallery.address("CT_small", "file").rstrip("/"))
        assert response.getvalue() == gallery.files["CT_small"]

    def test_only_the_name_of_the_file_has_patient_data(self, gallery: Gallery) -> None:
        response = Client().get(gallery.address("CT_small", "file"))
        assert response.getvalue()
        del response["Content-Disposition"]
        assert "CT_small" not in str(response.headers)


class TestZip:
    @pytest.fixture(autouse=True)
    def _archive(self, archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
        use_orthanc(archive)

    @pytest.mark.parametrize(("level", "depth", "count"), [("patients", 1, 12), ("studies", 2, 6), ("series", 3, 3)])
    def test_has_every_file(self, level: str, depth: int, count: int) -> None:
        parts = ("P001", f"{ROOT}.1.1", f"{ROOT}.1.1.1")[:depth]
        orthanc_id = _orthanc_id(parts)
        response = Client().get(f"/api/orthanc/{level}/{orthanc_id}/archive/")
        assert response.status_code == 200
        assert response["Content-Type"] == "application/zip"
        name = "_".join(("Kim001_Minsu", "2021-02-11_Brain_study_1", "1_Series_1")[:depth])
        assert response["Content-Disposition"] == f'attachment; filename="{name}.zip"'
        with zipfile.ZipFile(BytesIO(response.getvalue())) as found:
            assert found.testzip() is None
            uids = {dcmread(BytesIO(found.read(name))).SOPInstanceUID for name in found.namelist()}
        assert len(uids) == count
        assert all(uid.startswith(f"{(ROOT + '.1', *parts[1:])[-1]}.") for uid in uids)

    def test_head_creates_no_zip(self) -> None:
        with recording() as log:
            response = Client().head(f"/api/orthanc/patients/{_orthanc_id(('P001',))}/archive/")
            assert (response.status_code, response.getvalue()) == (200, b"")
        assert response["Content-Type"] == "application/zip"
        assert "Content-Length" not in response
        assert not [call for call in log.calls if call.template.endswith("/archive")]

    @pytest.mark.parametrize("has_setting", [True, False])
    @pytest.mark.parametrize("header", ["X-Accel-Redirect", "X-Sendfile", ""])
    def test_is_left_to_nginx_only_if_both_say_so(self, header: str, has_setting: bool, settings: Settings) -> None:
        settings.ORTHANC_ACCEL_REDIRECT = "/orthanc-files/" if has_setting else ""
        address = f"patients/{_orthanc_id(('P001',))}/archive"
        response = Client().get(f"/api/orthanc/{address}/", headers={"X-Sendfile-Type": header})
        is_left = has_setting and header == "X-Accel-Redirect"
        assert response.get("X-Accel-Redirect", "") == (f"/orthanc-files/{address}" if is_left else "")
        assert bool(response.getvalue()) is not is_left

    @pytest.mark.once
    def test_has_a_length_if_orthanc_sends_it(
        self, start_session_orthanc: StartOrthanc, use_orthanc: UseOrthanc
    ) -> None:
        orthanc = start_session_orthanc(configuration={"SynchronousZipStream": False})
        load(orthanc, [instance()])
        use_orthanc(orthanc)
        response = Client().get(f"/api/orthanc/patients/{_orthanc_id(('P001',))}/archive/")
        assert response["Content-Length"] == str(len(response.getvalue()))

    def test_resource_of_another_level_is_not_found(self) -> None:
        patient = _orthanc_id(("P001",))
        for level in ("studies", "series"):
            response = Client().get(f"/api/orthanc/{level}/{patient}/archive/")
            assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")

    def test_instance_has_no_zip_route(self) -> None:
        response = Client().get(f"/api/orthanc/instances/{_orthanc_id(('P001',))}/archive/")
        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


def _orthanc_id(parts: tuple[str, ...]) -> str:
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))
