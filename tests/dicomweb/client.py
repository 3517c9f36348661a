"""A client of the DICOMweb routes."""

from typing import Any

from django.test import Client

MOUNT = "/dicom-web"
SERVICE = f"http://testserver{MOUNT}"
DataSet = dict[str, dict[str, Any]]


def send(path: str, accept: str | None = None, method: str = "GET") -> Any:
    """Send a request to a route below the mount point."""
    return Client().generic(method, f"{MOUNT}/{path}", headers={} if accept is None else {"Accept": accept})


def search(path: str) -> list[DataSet]:
    """Return the results of a search."""
    response = send(path)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/dicom+json"
    assert response["Cache-Control"] == "private, no-store"
    found: list[DataSet] = response.json()
    for data_set in found:
        assert list(data_set) == sorted(data_set)
    return found


def values(found: list[DataSet], tag: str) -> list[Any]:
    """Return the first value of an attribute of each result, None where it has none."""
    return [data_set[tag].get("Value", [None])[0] for data_set in found]


def error(path: str, accept: str | None = None, method: str = "GET") -> tuple[int, str, str]:
    """Return the status, code and detail of an error."""
    response = send(path, accept, method)
    body = response.json()
    assert response["Content-Type"] == "application/json"
    assert set(body) == {"detail", "code"}
    assert body["detail"].endswith(".")
    return response.status_code, body["code"], body["detail"]
