"""The commands in README.md and docs/ do what the pages say, run exactly as printed."""

import json
import os
import re
import subprocess
import zipfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pytest
import requests

from orthancproxy.sandbox.gateway import CHECKOUT, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, free_port
from orthancproxy.schema import schema
from tests.access.archive import Target
from tests.browser.users import User, create_token, make
from tests.corpus import ask, instance, load, stored_files
from tests.doc_examples import example
from tests.jobs.servers import clear
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

pytestmark = pytest.mark.live

ADDRESS = "http://127.0.0.1:8000"
UPLOADING = "docs/uploading.md"


@pytest.fixture(scope="module")
def shared_orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc(configuration=INDEXED_INSTANCE_TAGS)


@pytest.fixture(scope="module")
def gateway_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def gateway(shared_orthanc: LocalOrthanc, gateway_folder: Path) -> Iterator[str]:
    with serving(shared_orthanc.base_url, gateway_folder, settings={"ORTHANC_PSEUDONYM_KEY": "k" * 32}) as gateway:
        yield gateway.address


@pytest.fixture
def orthanc(shared_orthanc: LocalOrthanc) -> LocalOrthanc:
    """An empty Orthanc."""
    for patient in json.loads(ask(shared_orthanc, "/patients")):
        ask(shared_orthanc, f"/patients/{patient}", "DELETE")
    return shared_orthanc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files named in the examples: two series of one study."""
    for number, name in enumerate(("T1", "T2"), 1):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0001.dcm").write_bytes(instance(series=number, StudyDescription="Head"))
    return tmp_path


def graphql(gateway: str, query: str, token: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else None
    return requests.post(f"{gateway}/graphql/", json={"query": query}, headers=headers, timeout=60).json()


def run(command: str, gateway: str, folder: Path, **variables: str) -> Any:
    """Return the JSON that an example prints; only the port is replaced. `variables` are those of the shell."""
    assert ADDRESS in command
    result = subprocess.run(
        ["sh", "-euc", command.replace(ADDRESS, gateway)],
        cwd=folder,
        # without the developer's proxy and configuration
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **variables},
        capture_output=True,
        timeout=120,
        check=True,
    )
    return json.loads(result.stdout)


def test_the_query_returns_the_hierarchy(orthanc: LocalOrthanc, gateway: str, tmp_path: Path) -> None:
    load(orthanc, [instance(StudyDescription="Head")])
    answer = run(example("README.md", "The query", "sh"), gateway, tmp_path)
    [patient] = answer["data"]["patients"]["nodes"]
    assert patient == {"patientName": "Kim001^Minsu=金1^民洙=김1^민수", "studies": [{"description": "Head"}]}


def test_the_rest_upload_makes_one_study_with_a_series_for_each_folder(
    orthanc: LocalOrthanc, gateway: str, folder: Path
) -> None:
    command = example(UPLOADING, "Over REST", "sh")
    assert command == example("README.md", "Uploading", "sh")
    answer = run(command, gateway, folder)
    documented = json.loads(example(UPLOADING, "Over REST", "json"))
    assert answer.keys() == documented.keys()
    counted = ("patientId", "studyDescription", "uploaded", "alreadyStored", "failedFiles", "warnings")
    assert {name: answer[name] for name in counted} == {name: documented[name] for name in counted}

    assert json.loads(ask(orthanc, "/studies")) == [answer["studyId"]]
    assert sorted(json.loads(ask(orthanc, "/series"))) == sorted(answer["orthancSeriesIds"])
    files = list(stored_files(orthanc))
    assert len(files) == 2
    assert {(str(file.PatientID), str(file.PatientName)) for file in files} == {("P2026-0001", "P2026-0001")}
    assert {file.StudyInstanceUID for file in files} == {answer["studyUid"]}
    assert len({file.SeriesInstanceUID for file in files}) == 2
    assert {file.StudyDescription for file in files} == {"Brain MRI Scan"}


def test_the_graphql_upload_makes_one_study_with_a_series_for_each_folder(
    orthanc: LocalOrthanc, gateway: str, folder: Path
) -> None:
    answer = run(example(UPLOADING, "Over GraphQL", "sh"), gateway, folder)
    [study] = json.loads(ask(orthanc, "/studies"))
    assert answer == {"data": {"uploadPatient": {"uploaded": 2, "failed": [], "study": {"orthancId": study}}}}

    files = list(stored_files(orthanc))
    assert len(files) == 2
    names = {(str(file.PatientID), str(file.PatientName)) for file in files}
    assert names == {("P2026-0001", "Hong^Gildong=洪^吉洞=홍^길동")}
    assert len({file.SeriesInstanceUID for file in files}) == 2
    # the files' own, since they agree
    assert {file.StudyDescription for file in files} == {"Head"}


def test_the_nested_query_is_valid(orthanc: LocalOrthanc, gateway: str) -> None:
    load(orthanc, [instance(StudyDescription="Head")])
    answer = graphql(gateway, example("README.md", "The query", "graphql"))
    [patient] = answer["data"]["patients"]["nodes"]
    [study] = patient["studies"]
    [series] = study["series"]
    assert len(series["instances"]) == series["instancesCount"] == 1


def test_the_deletion_reports_and_deletes_nothing(orthanc: LocalOrthanc, gateway: str) -> None:
    load(orthanc, [instance(StudyDescription="Head")])
    [series] = json.loads(ask(orthanc, "/series"))
    answer = graphql(gateway, example("docs/graphql.md", "Deleting", "graphql").replace("…", series))
    deletion = answer["data"]["deleteSeries"]
    assert [deleted["level"] for deleted in deletion["deleted"]] == ["SERIES", "STUDY", "PATIENT"]
    assert len(deletion["deletedIds"]) == 3
    assert deletion["remainingAncestor"] is None
    assert json.loads(ask(orthanc, "/series")) == [series]


@pytest.mark.since("1.12.0")
def test_labels_are_added_counted_and_removed(
    orthanc: LocalOrthanc, gateway: str, gateway_folder: Path, tmp_path: Path
) -> None:
    load(orthanc, [instance(StudyDescription="Head")])
    [study] = json.loads(ask(orthanc, "/studies"))
    make(gateway_folder, manager := User("manager", ["Manager"]))
    shell = {"TOKEN": create_token(gateway_folder, manager), "STUDY": study}
    page = ("docs/operations.md", "Labels")
    answer = run(example(*page, "sh", "addLabels"), gateway, tmp_path, **shell)
    documented = json.loads(example(*page, "json"))
    documented["data"]["addLabels"]["resource"]["id"] = answer["data"]["addLabels"]["resource"]["id"]
    assert answer == documented
    read = graphql(gateway, example(*page, "graphql"))["data"]
    assert read["labels"] == [{"label": "teaching", "count": 1}, {"label": "urgent", "count": 1}]
    assert read["studies"]["nodes"] == [{"orthancId": study, "labels": ["teaching", "urgent"]}]
    answer = run(example(*page, "sh", "removeLabels"), gateway, tmp_path, **shell)
    assert answer == {"data": {"removeLabels": {"labels": ["teaching"]}}}
    assert json.loads(ask(orthanc, f"/studies/{study}/labels")) == ["teaching"]


def test_a_study_is_corrected_and_studies_are_merged(
    orthanc: LocalOrthanc, gateway: str, gateway_folder: Path, tmp_path: Path
) -> None:
    load(orthanc, [instance(1, study, 1, number, PatientName="Kim^Minsu") for study in (1, 2) for number in (1, 2)])
    study, other = (Target.at(1, number).ids["studies"] for number in (1, 2))
    make(gateway_folder, corrector := User("corrector", ["Manager"]))
    shell = {"TOKEN": create_token(gateway_folder, corrector), "STUDY": study, "OTHER": other}
    predicted = run(example("docs/operations.md", "Correct", "sh"), gateway, tmp_path, **shell)
    assert predicted == json.loads(example("docs/operations.md", "Correct", "json"))
    merged = run(example("docs/operations.md", "Merge and split", "sh"), gateway, tmp_path, **shell)
    assert merged["data"]["mergeStudies"]["instancesCount"] == 2
    wait_until(lambda: json.loads(ask(orthanc, "/studies")) == [study])
    assert len(json.loads(ask(orthanc, f"/studies/{study}/instances"))) == 4
    headers = {"Authorization": f"Bearer {shell['TOKEN']}"}
    wait_until(partial(has_ended, gateway, headers, merged["data"]["mergeStudies"]["job"]["id"]))
    for title, operation, level in (
        ("Correct", "modifyPatient", "patients"),
        ("Correct", "modifyStudy", "studies"),
        ("Correct", "modifySeries", "series"),
        ("Merge and split", "moveSeries", "series"),
    ):
        [first, *_] = json.loads(ask(orthanc, f"/{level}"))
        query = example("docs/operations.md", title, "graphql", operation).replace("…", first)
        answer = requests.post(f"{gateway}/graphql/", json={"query": query}, headers=headers, timeout=60).json()
        [payload] = answer["data"].values()
        assert payload["job"]["state"] == "PENDING"
        wait_until(partial(has_ended, gateway, headers, payload["job"]["id"]))


def has_ended(gateway: str, headers: dict[str, str], job: str) -> bool:
    """Whether a job has succeeded."""
    query = {"query": "query($id: ID!) { job(id: $id) { state error { message } } }", "variables": {"id": job}}
    found = requests.post(f"{gateway}/graphql/", json=query, headers=headers, timeout=60).json()["data"]["job"]
    assert found["error"] is None
    return bool(found["state"] == "SUCCESS")


@pytest.fixture(scope="module")
def gateway_with_trash(
    shared_orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("gateway")
    with serving(shared_orthanc.base_url, folder, settings={"ORTHANC_TRASH_DAYS": "30"}) as gateway:
        yield gateway.address, folder


@pytest.mark.since("1.12.0")
def test_a_study_is_deleted_into_the_trash_and_restored(
    orthanc: LocalOrthanc, gateway_with_trash: tuple[str, Path], tmp_path: Path
) -> None:
    gateway, folder = gateway_with_trash
    load(orthanc, [instance(StudyDescription="Head")])
    [study] = json.loads(ask(orthanc, "/studies"))
    make(folder, manager := User("manager", ["Manager"]))
    shell = {"TOKEN": create_token(folder, manager), "STUDY": study}
    page = ("docs/operations.md", "Trash")
    answer = run(example(*page, "sh", "deleteStudy"), gateway, tmp_path, **shell)
    assert answer == json.loads(example(*page, "json"))
    [node] = graphql(gateway, example(*page, "graphql", "trash("))["data"]["trash"]["nodes"]
    assert node.pop("trashedAt")
    assert node == {"orthancId": study, "description": "Head", "trashedBy": "manager"}
    answer = run(example(*page, "sh", "restoreStudy"), gateway, tmp_path, **shell)
    assert answer == {"data": {"restoreStudy": {"study": {"description": "Head", "trashedAt": None}}}}
    purge = example(*page, "graphql", "purge").replace("…", study)
    answer = graphql(gateway, purge, shell["TOKEN"])
    assert answer == {"data": {"deleteStudy": {"inTrash": False, "instancesCount": 1}}}
    assert json.loads(ask(orthanc, "/studies")) == []


def test_a_study_is_anonymized_after_a_preview(
    orthanc: LocalOrthanc, gateway: str, gateway_folder: Path, tmp_path: Path
) -> None:
    load(orthanc, [instance(StudyDescription="Head")])
    [study] = json.loads(ask(orthanc, "/studies"))
    make(gateway_folder, analyst := User("analyst", ["Manager"]))
    shell = {"TOKEN": create_token(gateway_folder, analyst), "STUDY": study}
    page = ("docs/operations.md", "Anonymize")
    shown = run(example(*page, "sh"), gateway, tmp_path, **shell)["data"]["anonymizeStudy"]
    tags = {one["keyword"]: (one["before"], one["after"]) for one in shown["preview"]}
    assert tags["StudyDescription"] == ("Head", None)
    assert [one["code"] for one in shown["warnings"]] == ["FACE"]
    answer = requests.post(
        f"{gateway}/graphql/",
        json={"query": example(*page, "graphql").replace("…", study)},
        headers={"Authorization": f"Bearer {shell['TOKEN']}"},
        timeout=60,
    ).json()
    assert answer["data"]["anonymizeStudy"]["job"]["state"] == "PENDING"
    wait_until(lambda: len(json.loads(ask(orthanc, "/studies"))) == 2)
    files = {one.PatientID: one for one in stored_files(orthanc)}
    made = files[tags["PatientID"][1]]
    assert (made.PatientName, made.get("StudyDescription")) == (made.PatientID, None)

    make(gateway_folder, root := User("root", is_superuser=True))
    query = example("docs/operations.md", "Projects", "graphql").replace("…", made.PatientID)
    [found] = graphql(gateway, query, create_token(gateway_folder, root))["data"]["reidentify"]
    assert (found["pseudonym"], found["patientId"]) == (made.PatientID, "P001")

    query = example("docs/operations.md", "Into a ZIP", "graphql").replace("…", study)
    url = graphql(gateway, query, shell["TOKEN"])["data"]["anonymizeStudy"]["downloadUrl"]
    content = requests.get(url, headers={"Authorization": f"Bearer {shell['TOKEN']}"}, timeout=60).content
    with zipfile.ZipFile(BytesIO(content)) as files_of_zip:
        [name] = files_of_zip.namelist()
    assert name.startswith("SUBJECT-1/")


OPERATIONS = "docs/operations.md"
# examples of the others are on the pages about uploading, deleting and sharing
OF_OTHER_PAGES = {"uploadPatient", "shareStudy", "revokeShare", "deletePatient", "deleteSeries", "deleteInstance"}


def test_each_operation_has_an_example() -> None:
    page = (CHECKOUT / OPERATIONS).read_text("utf-8")
    blocks = re.findall(r"^```(?:sh|graphql)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    mutation = schema._schema.mutation_type
    assert mutation
    assert {name for name in mutation.fields if not any(f"{name}(" in block for block in blocks)} == OF_OTHER_PAGES


@pytest.fixture(scope="module")
def pacs_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def sending_orthanc(pacs_port: int, start_orthanc: StartOrthanc) -> LocalOrthanc:
    """An Orthanc with the configuration of the examples, in which the PACS is on this machine."""
    configuration = {
        **json.loads(example(OPERATIONS, "Send", "json")),
        **json.loads(example(OPERATIONS, "Retrieve", "json", "DicomModalities")),
        "DicomPort": free_port(),
        "DicomAlwaysAllowStore": True,
    }
    configuration["DicomModalities"]["PACS"][1:] = ["127.0.0.1", pacs_port]
    return start_orthanc(configuration=configuration)


@pytest.fixture(scope="module")
def pacs(pacs_port: int, sending_orthanc: LocalOrthanc, start_orthanc: StartOrthanc) -> LocalOrthanc:
    """The PACS of the examples, which knows the Orthanc as they say."""
    known: Any = sending_orthanc._configuration
    sender = {known["DicomAet"]: [known["DicomAet"], "127.0.0.1", known["DicomPort"]]}
    configuration = {"DicomServerEnabled": True, "DicomPort": pacs_port, "DicomAet": "PACS", "DicomModalities": sender}
    return start_orthanc(configuration={**configuration, "DefaultEncoding": "Utf8"})


@pytest.fixture
def sending_gateway(sending_orthanc: LocalOrthanc, pacs: LocalOrthanc, tmp_path: Path) -> Iterator[str]:
    for one in (sending_orthanc, pacs):
        clear(one)
    settings = {"ORTHANC_DESTINATIONS": "PACS,peer:ARCHIVE", "ORTHANC_SOURCES": "PACS"}
    with serving(sending_orthanc.base_url, tmp_path, settings=settings) as gateway:
        yield gateway.address


def test_a_study_is_sent_and_its_job_is_followed(
    sending_orthanc: LocalOrthanc, pacs: LocalOrthanc, sending_gateway: str, tmp_path: Path
) -> None:
    load(sending_orthanc, [instance(StudyDescription="Head")])
    make(tmp_path, manager := User("manager", ["Manager"]))
    token = create_token(tmp_path, manager)
    [study] = json.loads(ask(sending_orthanc, "/studies"))
    servers = graphql(sending_gateway, example(OPERATIONS, "Send", "graphql", "modalities"), token)["data"]
    assert servers["modalities"] == [
        {"name": "PACS", "kind": "DICOM", "aet": "PACS"},
        {"name": "ARCHIVE", "kind": "PEER", "aet": None},
    ]
    answer = graphql(sending_gateway, example(OPERATIONS, "Send", "graphql", "echoModality"), token)
    assert answer == {"data": {"echoModality": {"isReachable": True}}}
    mutation = example(OPERATIONS, "Send", "graphql", "sendToModality").replace("…", study)
    job = graphql(sending_gateway, mutation, token)["data"]["sendToModality"]["job"]
    assert job["state"] == "PENDING"
    command = example(OPERATIONS, "Jobs", "sh")
    # the first job of a gateway
    assert job["id"] in command
    result = subprocess.run(
        ["sh", "-euc", command.replace(ADDRESS, sending_gateway)],
        env={**os.environ, "TOKEN": token},
        capture_output=True,
        timeout=60,
        check=True,
        text=True,
    )
    told = [
        json.loads(data)["data"]["jobUpdates"] for data in re.findall(r"^data: ({.+})$", result.stdout, re.MULTILINE)
    ]
    assert told[-1] == {"state": "SUCCESS", "progress": 1.0, "error": None}
    assert json.loads(ask(pacs, "/studies")) == [study]
    # it has ended
    answer = graphql(sending_gateway, example(OPERATIONS, "Jobs", "graphql", "cancelJob"), token)
    assert answer == {"data": {"cancelJob": {"job": {"state": "SUCCESS", "isBeingCancelled": False}}}}
    query = example(OPERATIONS, "Jobs", "graphql", "jobs(")
    assert graphql(sending_gateway, query, token) == {"data": {"jobs": {"nodes": []}}}
    [node] = graphql(sending_gateway, query.replace("true", "false"))["data"]["jobs"]["nodes"]
    assert (node["id"], node["kind"], node["target"]["destination"]) == (job["id"], "SEND", "PACS")
    assert node["study"] == {"description": "Head"}


def test_a_study_of_another_server_is_found_and_retrieved(
    sending_orthanc: LocalOrthanc, pacs: LocalOrthanc, sending_gateway: str, tmp_path: Path
) -> None:
    load(pacs, [instance(StudyDescription="Head"), instance(2)])
    make(tmp_path, manager := User("manager", ["Manager"]))
    shell = {"TOKEN": create_token(tmp_path, manager)}
    answer = graphql(sending_gateway, example(OPERATIONS, "Retrieve", "graphql"), shell["TOKEN"])
    assert answer == {"data": {"sources": [{"name": "PACS", "aet": "PACS"}]}}
    answer = run(example(OPERATIONS, "Retrieve", "sh", "findOnModality"), sending_gateway, tmp_path, **shell)
    found = {one["patientId"]: one for one in answer["data"].pop("findOnModality")}
    documented = json.loads(example(OPERATIONS, "Retrieve", "json", '"data"'))
    assert (found["P001"], len(found)) == (documented["data"]["findOnModality"][0], 2)
    shell["UID"] = found["P001"]["studyInstanceUID"]
    answer = run(example(OPERATIONS, "Retrieve", "sh", "retrieveFromModality"), sending_gateway, tmp_path, **shell)
    assert answer["data"]["retrieveFromModality"]["job"]["state"] == "PENDING"
    job = "{ jobs { nodes { state study { studyInstanceUID } } } }"
    headers = {"Authorization": f"Bearer {shell['TOKEN']}"}

    def nodes() -> Any:
        response = requests.post(f"{sending_gateway}/graphql/", json={"query": job}, headers=headers, timeout=60)
        return response.json()["data"]["jobs"]["nodes"]

    wait_until(lambda: nodes()[0]["state"] not in {"PENDING", "RUNNING"})
    assert nodes() == [{"state": "SUCCESS", "study": {"studyInstanceUID": shell["UID"]}}]
    assert len(json.loads(ask(sending_orthanc, "/instances"))) == 1


def test_the_subscription_tells_of_a_new_study(orthanc: LocalOrthanc, gateway: str, tmp_path: Path) -> None:
    command = example("docs/graphql.md", "Changes", "sh").replace(ADDRESS, gateway)
    with subprocess.Popen(["sh", "-euc", f"exec {command}"], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout
        assert curl.stdout.readline() == "retry: 2000\n"
        load(orthanc, [instance(StudyDescription="Head")])
        name, number, told = next_change(curl.stdout)
        while told["kind"] == "DELETED":
            # by the fixture: the index finds it within seconds
            name, number, told = next_change(curl.stdout)
        curl.terminate()
    assert (name, number) == ("event: next\n", f"id: {told['cursor']}\n")
    assert (told["kind"], told["study"]) == ("ADDED", {"description": "Head", "instancesCount": 1})


def next_change(stream: IO[str]) -> tuple[str, str, Any]:
    """Read an event: its name, its number, and the change."""
    [_, name, number, data] = [stream.readline() for _ in range(4)]
    return name, number, json.loads(data.removeprefix("data: "))["data"]["archiveChanges"]


def documented_routes() -> Iterator[tuple[str, str]]:
    page = (CHECKOUT / "docs/rest.md").read_text("utf-8")
    for method, path in re.findall(r"^\| `([A-Z]+) (/api/[^`?]*)", page, re.MULTILINE):
        alternatives = re.search(r"\{(\w+(?:,\w+)+)\}", path)
        if alternatives is None:
            yield method, path
        else:
            yield from ((method, path.replace(alternatives[0], name)) for name in alternatives[1].split(","))


def test_the_documented_rest_routes_are_those_that_exist(gateway: str) -> None:
    answer = requests.get(f"{gateway}/api/orthanc/schema/", headers={"Accept": "application/json"}, timeout=60).json()
    routes = {
        (method.upper(), re.sub(r"\{\w+\}", "{id}", path))
        for path, methods in answer["paths"].items()
        for method in methods
    }
    assert set(documented_routes()) == routes
