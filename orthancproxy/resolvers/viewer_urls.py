"""URLs at which a DICOM viewer opens a study (ORTHANC_VIEWER_URL)."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Resource

TAGS = ("StudyInstanceUID", "PatientID", "AccessionNumber")
NEEDS = Needs(frozenset(TAGS))
PLACEHOLDERS = (*TAGS, "orthancId", "dicomweb")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def unknown_placeholders(template: str) -> list[str]:
    """Return what stands in braces in a template and is no placeholder."""
    return [name for name in _PLACEHOLDER.findall(template) if name not in PLACEHOLDERS]


def viewer_url(template: str, study: Resource, dicomweb: str) -> str:
    """Return the URL of a study, which holds NEEDS; `dicomweb` is the URL of the gateway's DICOMweb.

    Values are percent-encoded. An absent tag is empty.
    """
    tags = {keyword: study.tags.get(keyword, "") for keyword in TAGS}
    values: Mapping[str, str] = {**tags, "orthancId": study.orthanc_id, "dicomweb": dicomweb}
    return _PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), template)
