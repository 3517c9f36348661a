"""Schemathesis, all of its checks, against the OpenAPI and GraphQL schemas of a gateway as it is deployed."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.corpus import ROOT, hierarchy, load
from tests.orthancs import StartOrthanc

# with labels there are more operations to reach
pytestmark = [pytest.mark.live, pytest.mark.long, pytest.mark.since("1.12.0")]

HERE = Path(__file__).parent
SEED = 20260111
KEPT = range(41, 46)  # the last ones: links lead to the first of each list, also to delete it
DOOMED = {"openapi.toml": range(1, 26), "graphql.toml": range(26, 41)}
FILES = {
    Level.PATIENT: "patients",
    Level.STUDY: "studies",
    Level.SERIES: "series",
    Level.INSTANCE: "instances",
}
BAD_LINES = re.compile(
    r"Traceback|unexpected error|request failed|stream failed|Exception in ASGI|\"level\": \"(?:error|critical)\""
)


@dataclass(frozen=True)
class Served:
    """A gateway, and a token with which one may do everything."""

    gateway: LocalGateway
    token: str


@pytest.fixture(scope="module")
def tested(start_orthanc: StartOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that lets nobody in without a token, before an archive that may be deleted."""
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, hierarchy(patients=KEPT[-1], studies=1, series=2, instances=2))
    with gateway_of(orthanc, tmp_path_factory.mktemp("gateway")) as served:
        yield served


@contextmanager
def gateway_of(orthanc: LocalOrthanc, folder: Path) -> Iterator[Served]:
    with serving(orthanc.base_url, folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway:
        manage(folder, "createsuperuser", "--noinput", "--username", "tester", "--email", "tester@example.org")
        yield Served(gateway, manage(folder, "create_api_token", "tester"))


def manage(folder: Path, *command: str) -> str:
    """What a management command prints, run for the gateway in the folder."""
    environment = os.environ | {"DJANGO_DATA_DIR": str(folder / "data"), "DJANGO_SUPERUSER_PASSWORD": "as good as any"}
    run = subprocess.run(
        [sys.executable, CHECKOUT / "manage.py", *command], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def orthanc_id(*identifiers: str) -> str:
    digest = hashlib.sha1("|".join(identifiers).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))


def ids(patients: Iterable[int], level: Level) -> list[str]:
    """Orthanc's ids of what is below these patients of `hierarchy`, at a level: the first of each, and the last."""
    found = []
    for patient in patients:
        for last in (1, 2):
            study = f"{ROOT}.{patient}.1"
            names = [f"P{patient:03d}", study, f"{study}.{last}", f"{study}.{last}.{last}"]
            found.append(orthanc_id(*names[: list(Level).index(level) + 1]))
    return list(dict.fromkeys(found))


def write_dictionaries(folder: Path, doomed: Iterable[int]) -> None:
    nodes = []
    # no study of a patient that is deleted as such
    doomed = list(doomed)
    patients, others = doomed[::2], doomed[1::2]
    for level, name in FILES.items():
        write_dictionary(folder / f"{name}.dict", ids(KEPT, level))
        write_dictionary(folder / f"doomed-{name}.dict", ids(patients if level is Level.PATIENT else others, level))
        nodes += [base64.b64encode(f"{level.value}:{one}".encode()).decode() for one in ids(KEPT, level)]
    write_dictionary(folder / "nodes.dict", nodes)


def write_dictionary(file: Path, values: Iterable[str]) -> None:
    file.write_text("".join(f'"{value}"\n' for value in values))


def run_schemathesis(folder: Path, configuration: str, address: str, token: str | None, *options: str) -> None:
    """Run it; it fails the test when it finds something, and prints how to see it again."""
    shutil.copy(HERE / configuration, folder)
    write_dictionaries(folder, DOOMED.get(configuration, ()))
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", folder / configuration, "run", address),
            *("--checks", "all", "--seed", str(SEED), "--generation-database", "none", "--workers", "1"),
            *("--continue-on-failure", "--no-color", "--request-timeout", "60"),
            *(("--header", f"Authorization: Bearer {token}") if token else ()),
            *options,
        ],
        cwd=CHECKOUT,
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "tests.schemathesis.hooks",
            "TEST_CALLER": "superuser" if token else "anonymous",
            "PYTHONHASHSEED": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def assert_quiet(gateway: LocalGateway) -> None:
    """The gateway's log has nothing that nobody meant to write."""
    lines = gateway.log.read_text().splitlines()
    assert [line for line in lines if BAD_LINES.search(line)] == []


@pytest.mark.parametrize("is_known", [True, False], ids=["token", "anonymous"])
def test_rest(tested: Served, tmp_path: Path, is_known: bool) -> None:
    address = f"{tested.gateway.address}/api/orthanc/schema/"
    token = tested.token if is_known else None
    run_schemathesis(tmp_path, "openapi.toml", address, token, "--mode", "all", "--max-examples", "25")
    assert_quiet(tested.gateway)


def test_dicomweb(tested: Served, tmp_path: Path) -> None:
    """Parameters that a route does not know are ignored."""
    write_uids(tmp_path, "", KEPT[0])
    address = f"{tested.gateway.address}/dicom-web/schema/"
    # any text is an Accept in OpenAPI, and hardly any names a media type
    excluded = "positive_data_acceptance,negative_data_rejection,every_operation_is_reached"
    reading = ("--include-method", "GET", "--phases", "fuzzing", "--exclude-checks", excluded)
    run_schemathesis(tmp_path, "dicomweb.toml", address, tested.token, "--mode", "all", "--max-examples", "6", *reading)
    assert_quiet(tested.gateway)


def test_dicomweb_changes(start_orthanc: StartOrthanc, tmp_path: Path) -> None:
    """What is stored and deleted is in an archive of its own: each level of a different study."""
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, hierarchy(patients=len(Level), studies=1, series=2, instances=2))
    for number, level in enumerate(Level, 1):
        write_uids(tmp_path, f"{FILES[level]}-", number)
    changing = ("--include-method", "POST", "--include-method", "DELETE", "--phases", "coverage,fuzzing")
    with gateway_of(orthanc, tmp_path / "gateway") as served:
        address = f"{served.gateway.address}/dicom-web/schema/"
        for token in (None, served.token):
            run_schemathesis(tmp_path, "dicomweb-changes.toml", address, token, "--max-examples", "25", *changing)
        assert_quiet(served.gateway)


def write_uids(folder: Path, prefix: str, patient: int) -> None:
    """Write the UIDs of one instance of `hierarchy`, so that they belong together."""
    study = f"{ROOT}.{patient}.1"
    for level, uid in (("study", study), ("series", f"{study}.1"), ("instance", f"{study}.1.1")):
        write_dictionary(folder / f"{prefix}{level}-uids.dict", [uid])


# in one run with those that do not fit the schema, hardly any queries would fit it
@pytest.mark.parametrize(
    "options",
    [
        ("--mode", "positive", "--max-examples", "20"),
        ("--mode", "negative", "--max-examples", "5", "--exclude-checks", "every_operation_is_reached"),
    ],
    ids=["valid", "invalid"],
)
def test_graphql(tested: Served, tmp_path: Path, options: tuple[str, ...]) -> None:
    address = f"{tested.gateway.address}/graphql/"
    run_schemathesis(tmp_path, "graphql.toml", address, tested.token, *options)
    assert_quiet(tested.gateway)
