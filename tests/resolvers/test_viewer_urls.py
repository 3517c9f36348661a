"""URLs at which a viewer opens a study."""

from orthancproxy.archive.records import Study
from orthancproxy.resolvers.viewer_urls import viewer_url

STUDY = Study("an-orthanc-id", None, {"StudyInstanceUID": "1.2.3", "PatientID": "P 1&x=2/ㄱ"}, {})


def test_values_are_percent_encoded_and_absent_tags_are_empty() -> None:
    template = "https://v.example.org/{orthancId}?p={PatientID}&s={StudyInstanceUID}&a={AccessionNumber}&d={dicomweb}"
    assert viewer_url(template, STUDY, "https://g.example.org/dicom-web") == (
        "https://v.example.org/an-orthanc-id?p=P%201%26x%3D2%2F%E3%84%B1&s=1.2.3&a="
        "&d=https%3A%2F%2Fg.example.org%2Fdicom-web"
    )
