"""The URLs in an answer lead back to where the caller reached the gateway."""

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc

pytestmark = pytest.mark.live

PROXY = {
    "x-forwarded-host": "pacs.example.org",
    "x-forwarded-proto": "https",
    "x-forwarded-prefix": "/gateway",
}


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [(True, "https://pacs.example.org/gateway/api/orthanc/"), (False, "http://testserver/api/orthanc/")],
)
def test_links_are_right_behind_a_proxy_that_is_trusted(
    trusted: bool, expected: str, archive: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings
) -> None:
    use_orthanc(archive)
    settings.ALLOWED_HOSTS = ["testserver", "pacs.example.org"]
    settings.ORTHANC_TRUST_FORWARDED = trusted
    settings.USE_X_FORWARDED_HOST = trusted
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if trusted else None
    query = "{ instances(first: 1) { nodes { fileUrl previewUrl thumbnailUrl series { archiveUrl thumbnailUrl } } } }"

    response = Client().post("/graphql/", {"query": query}, content_type="application/json", headers=PROXY)

    [node] = response.json()["data"]["instances"]["nodes"]
    urls = [node["fileUrl"], node["previewUrl"], node["thumbnailUrl"], *node["series"].values()]
    assert all(url.startswith(expected) for url in urls), urls


def test_every_link_can_be_followed(archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(archive)
    query = """{ patients(first: 1) { nodes { archiveUrl studies(first: 1) { archiveUrl series(first: 1) {
        archiveUrl thumbnailUrl instances(first: 1) { fileUrl previewUrl thumbnailUrl } } } } } }"""
    client = Client()
    answer = client.post("/graphql/", {"query": query}, content_type="application/json").json()
    [patient] = answer["data"]["patients"]["nodes"]
    [study] = patient["studies"]
    [series] = study["series"]
    [instance] = series["instances"]
    for node in (patient, study, series, instance):
        for name in (name for name in node if name.endswith("Url")):
            response = client.get(node[name])
            assert response.status_code == 200, node[name]
            assert b"".join(response) if response.streaming else response.content


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", None),
        ("/ohif/viewer?StudyInstanceUIDs={StudyInstanceUID}", "http://testserver/ohif/viewer?StudyInstanceUIDs={}"),
        ("weasis://{dicomweb}/{StudyInstanceUID}", "weasis://http%3A%2F%2Ftestserver%2Fdicom-web/{}"),
    ],
)
def test_a_study_has_the_url_of_the_viewer_that_is_configured(
    template: str, expected: str | None, archive: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings
) -> None:
    use_orthanc(archive)
    settings.ORTHANC_VIEWER_URL = template
    query = "{ studies(first: 1) { nodes { studyInstanceUID viewerUrl } } }"
    answer = Client().post("/graphql/", {"query": query}, content_type="application/json").json()
    [study] = answer["data"]["studies"]["nodes"]
    assert study["viewerUrl"] == (expected and expected.format(study["studyInstanceUID"]))
